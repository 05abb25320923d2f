import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { askUntilPassed, askUrl, type CheckResult } from '../../../src/fleet/rollout/check.ts';
import { assertCheckUrl, checkUrlOf } from '../../../src/fleet/rollout/check-url.ts';
import type { Ipv4 } from '../../../src/net/ipv4.ts';
import { sampleNode } from '../../boot/sample-view.ts';

const NEVER = new AbortController().signal;

async function withServer(listener: RequestListener, use: (url: string) => Promise<void>): Promise<void> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

describe('a check', () => {
  const cases: Array<{ status: number; passed: boolean }> = [
    { status: 200, passed: true },
    { status: 204, passed: true },
    { status: 302, passed: true },
    { status: 404, passed: false },
    { status: 503, passed: false },
  ];
  for (const { status, passed } of cases) {
    it(`${passed ? 'passes' : 'fails'} with ${status}, and follows nobody`, async () => {
      let count = 0;
      const answer: RequestListener = (_, response) => {
        count += 1;
        response.writeHead(status, { location: '/elsewhere' }).end();
      };
      await withServer(answer, async (url) => {
        assert.deepEqual(await askUrl(url, NEVER), { passed, text: `${url} answers ${status}` });
      });
      assert.equal(count, 1);
    });
  }

  it('fails where nobody listens', async () => {
    let free = '';
    await withServer(
      () => {},
      async (url) => {
        free = url;
      },
    );
    assert.match((await askUrl(free, NEVER)).text, /cannot be asked: ECONNREFUSED/);
  });

  it('fails where the answer is another protocol, with which Node ends the connection', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n');
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const late = sleep(8000, undefined, { ref: false });
    assert.deepEqual(await Promise.race([askUrl(url, NEVER), late]), {
      passed: false,
      text: `${url} cannot be asked: the connection ended without an answer`,
    });
    server.close();
  });

  it('that hangs is given up after 5 s', async () => {
    await withServer(
      () => {},
      async (url) => {
        const startedAt = performance.now();
        const { passed, text } = await askUrl(url, NEVER);
        assert.equal(passed, false);
        assert.match(text, /did not answer within 5 s/);
        assert.ok(performance.now() - startedAt < 6500);
      },
    );
  });

  it('reads no more of an endless answer than it must', async () => {
    let sent = 0;
    const endless: RequestListener = (_, response) => {
      const write = () => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384))) sent += 16_384;
      };
      response.writeHead(200).on('drain', write);
      write();
    };
    await withServer(endless, async (url) => {
      assert.equal((await askUrl(url, NEVER)).passed, true);
    });
    assert.ok(sent < 16 * 1024 * 1024, `${sent}`);
  });

  it('of a body that never ends is not waited for longer', async () => {
    const slow: RequestListener = (_, response) => void response.writeHead(200).write('a');
    await withServer(slow, async (url) => {
      assert.equal((await askUrl(url, NEVER)).passed, false);
    });
  });

  for (const url of [
    'http://%zz@127.0.0.1/',
    'http://dc:a6:32:01:36:c2:8000/',
    'http://09:8000/',
    'http://08999999:8000/',
    'https://',
    'nonsense',
  ]) {
    it(`of what is no URL is not passed: ${url}`, async () => {
      const { passed, text } = await askUrl(url, NEVER);
      assert.equal(passed, false);
      assert.match(text, /cannot be asked: .*URI|cannot be asked: .*URL/);
    });
  }

  it('that goes wrong is one that is not passed, and repeated', async () => {
    const results: CheckResult[] = [];
    let count = 0;
    const ask = () => {
      count += 1;
      if (count === 1) throw new Error('no such thing');
      return Promise.resolve({ passed: true, text: '' });
    };
    await askUntilPassed(ask, (result) => results.push(result), NEVER);
    assert.deepEqual(results, [
      { passed: false, text: 'cannot be asked: no such thing' },
      { passed: true, text: '' },
    ]);
  });

  it('is repeated until it passes, and no more', async () => {
    const results: CheckResult[] = [];
    let count = 0;
    const ask = async () => {
      count += 1;
      return { passed: count === 2, text: '' };
    };
    await askUntilPassed(ask, (result) => results.push(result), NEVER);
    assert.deepEqual(
      results.map(({ passed }) => passed),
      [false, true],
    );
  });

  it('ends with what it is for', async () => {
    const over = new AbortController();
    let count = 0;
    const ask = async () => {
      count += 1;
      over.abort();
      return { passed: false, text: '' };
    };
    await askUntilPassed(ask, () => assert.fail('nobody wants to hear it'), over.signal);
    assert.equal(count, 1);
  });
});

describe('a check URL', () => {
  for (const bad of [
    'ftp://{ip}/',
    '{ip}:8000',
    'http://',
    'http://{ip}/{password}',
    'javascript:1',
    'http://{}/',
    'http://{mac}:8000/',
    'http://%zz@{ip}/',
  ]) {
    it(`is refused: ${bad}`, () => assert.throws(() => assertCheckUrl(bad), /\{ip\}/));
  }
  it('is the node’s, or tells what the node lacks', () => {
    const node = sampleNode({ serial: '9ffefdef', name: 'pi-1' });
    const url = 'https://{ip}:8443/{name}?s={serial}';
    assertCheckUrl(url);
    assert.deepEqual(checkUrlOf(url, node, '10.0.0.5' as Ipv4), {
      url: 'https://10.0.0.5:8443/pi-1?s=9ffefdef',
    });
    assert.deepEqual(checkUrlOf(url, node, undefined), { lacks: 'its address is not known' });
    assert.deepEqual(checkUrlOf('http://{mac}/', node, undefined), { lacks: 'its mac is not known' });
    const named = { ...node, name: '09' };
    assertCheckUrl('http://{name}:8000/{mac}');
    assert.deepEqual(checkUrlOf('http://{name}:8000/', named, undefined), {
      lacks: 'http://09:8000/ is no URL',
    });
  });
});
