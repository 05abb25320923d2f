import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { parseSerial } from '../../src/net/serial.ts';
import { boardOf } from '../../src/sim/board.ts';
import { CollectedBlocks, type Fetched, type TftpDialect, TftpFetch } from '../../src/sim/tftp-client.ts';
import { eepromDialect, legacyDialect, ROM } from '../../src/sim/tftp-dialects.ts';
import { decodePacket, encodePacket, type TftpPacket } from '../../src/tftp/packet.ts';

const serial = parseSerial('9ffefdef');
const PI4 = eepromDialect(boardOf({ model: 'pi4', serial }), 'EEPROM');
const PI4_OLD = eepromDialect(boardOf({ model: 'pi4', serial, eepromDate: '2021-04-29' }), 'EEPROM');
const PI4_NEW = eepromDialect(boardOf({ model: 'pi4', serial, eepromDate: '2025-11-05' }), 'EEPROM');
const START = legacyDialect('start.elf');

type Answer = (heard: TftpPacket, nth: number) => TftpPacket | TftpPacket[] | undefined;

interface Exchange {
  readonly dialect: TftpDialect;
  readonly purpose?: 'read' | 'probe';
  readonly answer: Answer;
  readonly timeScale?: number;
}

async function openLoopback(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

/** One fetch of `file` from a server that answers what the test says; `heard` is all that the firmware sent. */
async function exchange({ dialect, purpose = 'read', answer, timeScale = 0.02 }: Exchange) {
  const [client, server] = await Promise.all([openLoopback(), openLoopback()]);
  const heard: TftpPacket[] = [];
  server.on('message', (bytes, { port }) => {
    const packet = decodePacket(bytes);
    const replies = [answer(packet, heard.push(packet))].flat();
    for (const reply of replies) if (reply) server.send(encodePacket(reply), port, '127.0.0.1');
  });
  const serverPort = server.address().port;
  const fetched = await new Promise<Fetched>((done) => {
    const send = (bytes: Uint8Array) => client.send(Buffer.from(bytes), serverPort, '127.0.0.1');
    const sink = () => new CollectedBlocks();
    const fetch = new TftpFetch({ path: 'file', dialect, purpose, timeScale, send, sink, done });
    client.on('message', (bytes, { port }) => fetch.hear(bytes, 0, bytes.length, port));
    fetch.start();
  });
  await new Promise((resolve) => setTimeout(resolve, 20)); // the last ACK is still on its way
  client.close();
  server.close();
  return { fetched, heard };
}

const oack = (options: Record<string, string>): TftpPacket => ({
  kind: 'oack',
  options: new Map(Object.entries(options)),
});
const data = (block: number, length: number): TftpPacket => ({
  kind: 'data',
  block,
  data: new Uint8Array(length),
});

/** A correct server of a file of zeros. */
function serve(size: number, options: Record<string, string>, blksize: number): Answer {
  const block = (number: number) =>
    data(number % 0x10000, Math.max(0, Math.min(blksize, size - (number - 1) * blksize)));
  let last = 0;
  return (heard) => {
    if (heard.kind === 'rrq') return Object.keys(options).length > 0 ? oack(options) : block(++last);
    return heard.kind === 'ack' && last * blksize <= size ? block(++last) : undefined;
  };
}

const requested = [
  { name: 'ROM', dialect: ROM, options: {} },
  { name: 'bootcode.bin', dialect: legacyDialect('bootcode.bin'), options: { tsize: '0' } },
  { name: 'start.elf', dialect: START, options: { tsize: '0' } },
  { name: 'Pi 4 of 2021', dialect: PI4_OLD, options: { tsize: '0', blksize: '1024' } },
  { name: 'Pi 4 of 2025', dialect: PI4, options: { tsize: '0', blksize: '1468' } },
];
for (const { name, dialect, options } of requested) {
  test(`RRQ of ${name} asks for ${JSON.stringify(options)}`, async () => {
    const { fetched, heard } = await exchange({
      dialect,
      answer: () => ({ kind: 'error', code: 1, message: 'File not found' }),
    });
    assert.deepEqual(heard, [
      { kind: 'rrq', filename: 'file', mode: 'octet', options: new Map(Object.entries(options)) },
    ]);
    assert.deepEqual(fetched, { kind: 'missing', answer: 'error 1 "File not found"' });
  });
}

test('a whole file, its last block empty', async () => {
  const answer = serve(2936, { tsize: '2936', blksize: '1468' }, 1468);
  const { fetched, heard } = await exchange({ dialect: PI4, answer, timeScale: 1 });
  assert.equal(fetched.kind, 'read');
  assert.equal(fetched.bytes.length, 2936);
  assert.deepEqual(
    heard.slice(1).map((packet) => packet.kind === 'ack' && packet.block),
    [0, 1, 2, 3],
  );
});

test('a probe breaks off with ERROR 0 "Early terminate"', async () => {
  const { fetched, heard } = await exchange({
    dialect: PI4,
    purpose: 'probe',
    answer: (packet) => (packet.kind === 'rrq' ? oack({ tsize: '7', blksize: '1468' }) : undefined),
  });
  assert.deepEqual(fetched, { kind: 'probed', size: 7, answer: 'tsize=7 blksize=1468' });
  assert.deepEqual(heard.at(-1), { kind: 'error', code: 0, message: 'Early terminate' });
});

test('the same DATA twice is acknowledged twice and kept once', async () => {
  const answer: Answer = (_, nth) =>
    [data(1, 512), [data(1, 512), data(2, 5)]][nth - 1] ?? (undefined as never);
  const { fetched, heard } = await exchange({ dialect: ROM, answer, timeScale: 1 });
  assert.equal(fetched.kind === 'read' && fetched.bytes.length, 517);
  assert.deepEqual(
    heard.slice(1).map((packet) => packet.kind === 'ack' && packet.block),
    [1, 1, 2],
  );
});

test('silence: the RRQ is sent again every 2 s until the file’s time is up', async () => {
  const { fetched, heard } = await exchange({ dialect: PI4, answer: () => undefined, timeScale: 0.01 });
  assert.deepEqual(fetched, { kind: 'silent', size: 0, answer: 'no answer in 30 s' });
  assert.ok(heard.length >= 10 && heard.length <= 16, `${heard.length} RRQs`);
});

test('an OACK that comes again is acknowledged again: that ACK was lost', async () => {
  const again = oack({ tsize: '5', blksize: '1468' });
  const answer: Answer = (_, nth) => [[again], [again], [data(1, 5)]][nth - 1];
  const { fetched, heard } = await exchange({ dialect: PI4, answer, timeScale: 1 });
  assert.equal(fetched.kind, 'read');
  assert.deepEqual(
    heard.slice(1).map((packet) => packet.kind === 'ack' && packet.block),
    [0, 0, 1],
  );
});

test('a Pi 3 is patient as long as something comes, a Pi 4 gives a file its time and no more', async () => {
  // 20 blocks, 15 ms apart: 300 ms, where 5 s are 100 ms and 30 s are 150 ms.
  for (const { dialect, timeScale, expect } of [
    { dialect: ROM, timeScale: 0.02, expect: 'read' },
    { dialect: PI4, timeScale: 0.005, expect: 'silent' },
  ] as const) {
    const fetched = await new Promise<Fetched>((done) => {
      const fetch = new TftpFetch({
        ...{ path: 'file', dialect, purpose: 'read', timeScale, done },
        send: (bytes) => {
          const packet = decodePacket(bytes);
          if (packet.kind === 'rrq') setTimeout(answer, 1, 1);
          if (packet.kind === 'ack' && packet.block < 20) setTimeout(answer, 15, packet.block + 1);
        },
        sink: () => new CollectedBlocks(),
      });
      const answer = (block: number) => {
        const bytes = encodePacket(data(block, block < 20 ? 512 : 7));
        fetch.hear(bytes, 0, bytes.length, 1234);
      };
      fetch.start();
    });
    assert.equal(fetched.kind, expect, dialect.stage);
    if (fetched.kind === 'silent') assert.match(fetched.answer, /not finished after 30 s, \d+ bytes came/);
    if (fetched.kind === 'read') assert.equal(fetched.bytes.length, 19 * 512 + 7);
  }
});

test('blocks that are neither the next nor the last one are passed over', async () => {
  const answer: Answer = (packet) => {
    if (packet.kind === 'rrq') return [data(3, 512), data(1, 512)];
    return packet.kind === 'ack' && packet.block === 1
      ? [data(65_535, 512), data(0, 512), data(2, 9)]
      : undefined;
  };
  const { fetched } = await exchange({ dialect: ROM, answer, timeScale: 1 });
  assert.equal(fetched.kind === 'read' && fetched.bytes.length, 521);
});

const faults: (Exchange & { name: string; expect: RegExp; kind?: Fetched['kind'] })[] = [
  {
    name: 'an option nobody asked for',
    dialect: PI4,
    answer: () => oack({ windowsize: '4' }),
    expect: /"windowsize", which was not asked for/,
  },
  {
    name: 'blksize where only tsize was asked',
    dialect: START,
    answer: () => oack({ blksize: '512' }),
    expect: /"blksize"/,
  },
  {
    name: 'a larger blksize',
    dialect: PI4_OLD,
    answer: () => oack({ blksize: '1468' }),
    expect: /1468, 1024 was asked for/,
  },
  {
    name: 'a block larger than agreed',
    dialect: ROM,
    answer: () => data(1, 600),
    expect: /DATA of 600 bytes where 512/,
  },
  {
    name: 'fewer bytes than tsize said',
    dialect: PI4,
    answer: (packet) => (packet.kind === 'rrq' ? oack({ tsize: '9', blksize: '1468' }) : data(1, 5)),
    expect: /tsize said 9 bytes, 5 came/,
  },
  {
    name: 'DATA without an OACK, to start.elf',
    dialect: START,
    answer: () => data(1, 5),
    expect: /takes for a missing file/,
    kind: 'missing',
  },
  {
    name: 'an initramfs of 37 MB, to a Pi 3',
    dialect: START,
    answer: () => oack({ tsize: '37000000' }),
    expect: /cannot count past block 65535/,
  },
  {
    name: '96.3 MB, to an EEPROM before 2025-09-23',
    dialect: PI4,
    answer: () => oack({ tsize: '96300000', blksize: '1468' }),
    expect: /cannot count past block 65535/,
  },
];
for (const { name, expect, kind = 'broken', ...given } of faults) {
  test(`not usable: ${name}`, async () => {
    const { fetched } = await exchange(given);
    assert.equal(fetched.kind, kind);
    assert.match(fetched.answer, expect);
  });
}

test('an EEPROM since 2025-09-23 counts on at 0 after block 65535', async () => {
  const size = 65_540 * 8;
  const answer = serve(size, { tsize: String(size), blksize: '8' }, 8);
  const { fetched } = await exchange({ dialect: PI4_NEW, answer, timeScale: 1 });
  assert.equal(fetched.kind === 'read' && fetched.bytes.length, size);
});
