import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, test } from 'node:test';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { type AgentCondition, type AgentEvent, runAgent } from '../../src/sim/agent.ts';
import { call } from '../../src/sim/agent-call.ts';
import { readAgentWords } from '../../src/sim/agent-cmdline.ts';
import { failureOf, parseFailureRule } from '../../src/sim/agent-failure.ts';

/** Against a server that was written for this test from the description of the exchange alone. */

const TOKEN = 'k3v9.AAAAAAAAAAAAAAAAAAAAAA';
const KEY = 'ab'.repeat(32);
const mac = (key: string, told: string) => createHmac('sha256', key).update(told).digest('hex');

interface Said {
  readonly path: string;
  readonly lines: Record<string, string>;
  readonly isProven: boolean;
  readonly from: string;
  readonly port: number;
}

interface Reply {
  readonly status?: number;
  readonly body?: string;
  /** Signed with this in place of the key. */
  readonly key?: string;
  /** Holds the answer up. */
  readonly after?: Promise<void>;
}

const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** An appliance that answers as `reply` says; all that it was told is in `said`. */
async function appliance(reply: (said: Said, nth: number) => Reply) {
  const said: Said[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await text(request);
    const path = request.url ?? '';
    const key = path === '/v1/identity' ? TOKEN : KEY;
    const told = String(request.headers['netboot-mac']);
    const lines = Object.fromEntries(
      body
        .split('\n')
        .filter(Boolean)
        .map((line) => [line.split(' ')[0] ?? '', line.slice(line.indexOf(' ') + 1)]),
    );
    assert.ok(body.endsWith('\n'));
    assert.equal(request.headers.connection, 'close');
    const isProven = told === mac(key, `${path}\n${body}`);
    said.push({
      path,
      lines,
      isProven,
      from: request.socket.remoteAddress ?? '',
      port: request.socket.remotePort ?? 0,
    });
    const {
      status = 200,
      body: out = 'run r1\n',
      key: signing = key,
      after,
    } = reply(said.at(-1) as Said, said.length);
    await after;
    response.writeHead(status, { 'Netboot-Mac': mac(signing, `answer\n${told}\n${out}`) }).end(out);
  };
  const server = createServer((request, response) => void answer(request, response));
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { said, port: (server.address() as AddressInfo).port };
}

const IDENTITY = `report-key ${KEY}\nrun r1\nhost-key QUJD\nhost-key-public ssh-ed25519 AAAA\nfile 0600 root root /etc/x -\n`;

function agent(port: number, condition: () => AgentCondition = () => ({ state: 'running' })) {
  const events: AgentEvent[] = [];
  const cut = new AbortController();
  const isolated: string[] = [];
  const ended = runAgent({
    server: '127.0.0.1' as Ipv4,
    port,
    localAddress: '127.0.0.9' as Ipv4,
    serial: parseSerial('9ffefdef'),
    token: TOKEN,
    generation: 'web-0123456789ab',
    condition,
    isolate: (target) => isolated.push(target),
    clock: () => 12,
    waitSeconds: 5,
    timeScale: 0.01,
    report: (event) => events.push(event),
    signal: AbortSignal.any([cut.signal, AbortSignal.timeout(5_000)]),
  });
  return { ended, events, cut, isolated };
}

test('three hundred that ask as root from one address at once do not want for ports', async () => {
  const { said, port } = await appliance(() => ({ body: IDENTITY }));
  const from = { server: '127.0.0.1' as Ipv4, port, localAddress: '127.0.0.8' as Ipv4 };
  const answers = await Promise.all(
    Array.from({ length: 300 }, () => call(from, '/v1/identity', ['serial x'], TOKEN, { asRoot: true })),
  );
  assert.deepEqual(new Set(answers.map(({ kind }) => kind)), new Set(['ok']));
  assert.ok(said.every((each) => each.port < 1024));
});

test('it proves who it is, starts, reports, and reboots when told', async () => {
  const states: AgentCondition[] = [{ state: 'starting' }, { state: 'running', target: 'web.target' }];
  const { said, port } = await appliance(({ path, lines }) => {
    if (path === '/v1/identity') return { body: IDENTITY };
    return lines.state === 'running' ? { body: 'run r1\norder 7 reboot\n' } : {};
  });
  let asked = 0;
  const { ended, events } = agent(port, () => states[Math.min(Math.floor(asked++ / 2), 1)] as AgentCondition);
  assert.equal(await ended, 'reboot');
  assert.ok(said.every(({ isProven, from }) => isProven && from === '127.0.0.9'));
  assert.deepEqual(
    said.map((each) => each.port < 1024),
    [true, false, false, false],
    'its identity goes to root alone',
  );
  assert.deepEqual(
    said.map(({ path, lines }) => [path, lines.seq, lines.state, lines.wait, lines.target, lines.done]),
    [
      ['/v1/identity', undefined, undefined, undefined, undefined, undefined],
      ['/v1/report', '1', 'starting', '0', undefined, undefined],
      ['/v1/report', '2', 'running', '5', 'web.target', undefined],
      ['/v1/report', '3', 'stopping', '0', 'web.target', '7'],
    ],
  );
  assert.match(said[0]?.lines.nonce ?? '', /^[0-9a-f]{32}$/);
  assert.equal(said[0]?.lines.since, 'k3v9');
  assert.equal(said[1]?.lines.clock, '12');
  assert.deepEqual(events[0], {
    kind: 'identity',
    hostKey: 'ssh-ed25519 AAAA',
    files: ['0600 root root /etc/x -'],
  });
});

test('it isolates a target and says so in its next report, once', async () => {
  const { said, port } = await appliance(({ path }, nth) =>
    path === '/v1/identity'
      ? { body: IDENTITY }
      : nth === 2
        ? { body: 'run r1\norder a1 isolate rescue.target\n' }
        : nth === 4
          ? { body: 'run r1\norder a2 reboot\n' }
          : {},
  );
  const { ended, isolated } = agent(port);
  assert.equal(await ended, 'reboot');
  assert.deepEqual(isolated, ['rescue.target']);
  assert.deepEqual(
    said.slice(1).map(({ lines }) => lines.done),
    [undefined, 'a1', undefined, 'a2'],
  );
});

test('told that the service runs anew, it takes over run and number, and reports at once', async () => {
  const { said, port } = await appliance(({ path }, nth) =>
    path === '/v1/identity'
      ? { body: IDENTITY }
      : nth === 2
        ? { status: 409, body: 'run r2\nseq 40\n' }
        : { body: 'run r2\norder 1 reboot\n' },
  );
  assert.equal(await agent(port).ended, 'reboot');
  assert.deepEqual(
    said.slice(1).map(({ lines }) => [lines.run, lines.seq]),
    [
      ['r1', '1'],
      ['r2', '41'],
      ['r2', '42'],
    ],
  );
});

test('an order from somebody without its key is not obeyed', async () => {
  const { port } = await appliance(({ path }, nth) =>
    path === '/v1/identity'
      ? { body: IDENTITY }
      : nth < 4
        ? { body: 'run r1\norder 1 isolate foreign.target\n', key: TOKEN }
        : { body: 'run r1\norder 2 reboot\n' },
  );
  const { ended, events, isolated } = agent(port);
  assert.equal(await ended, 'reboot');
  assert.deepEqual(isolated, []);
  assert.equal(
    events.filter((event) => event.kind === 'trouble' && /not believed/.test(event.text)).length,
    2,
  );
});

test('refused, it goes on asking; its identity is asked for with the same nonce', async () => {
  const { said, port } = await appliance(({ path }, nth) =>
    nth < 3
      ? { status: 403, body: 'its boot was not seen\n' }
      : path === '/v1/identity'
        ? { body: IDENTITY }
        : { body: 'run r1\norder 2 reboot\n' },
  );
  const { ended, events } = agent(port);
  assert.equal(await ended, 'reboot');
  assert.equal(new Set(said.slice(0, 3).map(({ lines }) => lines.nonce)).size, 1);
  assert.deepEqual(events[0], { kind: 'trouble', text: 'refused (403): its boot was not seen' });
});

test('its power is cut while it waits for orders: it is silent at once', async () => {
  let reached = () => {};
  const isWaiting = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const { said, port } = await appliance(({ path }) => {
    if (path === '/v1/identity') return { body: IDENTITY };
    reached();
    return { after: new Promise(() => {}) };
  });
  const { ended, cut } = agent(port);
  await isWaiting;
  cut.abort();
  assert.equal(await ended, 'cut');
  assert.equal(said.length, 2);
});

test('what it reads off its command line', () => {
  const line =
    'console=serial0,115200 root=/dev/nfs nfsroot=192.168.172.17:/exports/images/web-0123456789ab,vers=3,nocto ro ip=dhcp systemd.hostname=pi-one systemd.unit=web.target netboot.token=a.b netboot.port=99 netboot.root=overlay\n';
  assert.deepEqual(readAgentWords(line), {
    server: '192.168.172.17',
    generation: 'web-0123456789ab',
    hostname: 'pi-one',
    root: 'overlay',
    token: 'a.b',
    port: 99,
    target: 'web.target',
  });
  assert.equal(readAgentWords('root=/dev/sda1'), undefined);
  assert.equal(readAgentWords('nfsroot=10.0.0.1:/a/b')?.port, 8064);
});

test('what fails, and on which generation', () => {
  const rules = ['web-abc:lie', 'unit'].map(parseFailureRule);
  assert.equal(failureOf(rules, 'web-abcdef012345'), 'lie');
  assert.equal(failureOf(rules, 'web-000000000000'), 'unit');
  assert.equal(failureOf([], 'web-000000000000'), undefined);
  assert.throws(() => parseFailureRule('web:explode'), /is no way to fail/);
});
