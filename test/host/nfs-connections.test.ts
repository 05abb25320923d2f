import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { watchMounts } from '../../src/host/nfs-connections.ts';
import { connectionsTo } from '../../src/host/tcp-table.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const HEAD6 = '  sl  local_address                         remote_address                        st …';

describe('the table of TCP connections', () => {
  const cases: Array<{ given: string; line: string; expect: object[] }> = [
    {
      given: 'a connection',
      line: '   3: 01ACA8C0:0801 15ACA8C0:03E1 01 00000000:00000000 02:000A7D8C 00000000     0        0 41245 2 0000000000000000 20 4 27 10 -1',
      expect: [{ address: '192.168.172.21', id: '03E1 41245' }],
    },
    {
      given: 'one that is being closed',
      line: '   3: 01ACA8C0:0801 15ACA8C0:03E1 08 00000000:00000000 00:00000000 00000000     0        0 41245 1 0000000000000000 20 4 27 10 -1',
      expect: [],
    },
    {
      given: 'the listening socket',
      line: '   0: 00000000:0801 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17871 1 0000000000000000 100 0 0 10 0',
      expect: [],
    },
    {
      given: 'a connection of ours to somebody else’s 2049',
      line: '   4: 01ACA8C0:03E1 15ACA8C0:0801 01 00000000:00000000 00:00000000 00000000     0        0 41246 1 0000000000000000 20 4 30 10 -1',
      expect: [],
    },
    {
      given: 'an IPv4 client of a server that listens for both',
      line: '   1: 0000000000000000FFFF000001ACA8C0:0801 0000000000000000FFFF000015ACA8C0:02D1 01 00000000:00000000 00:00000000 00000000     0        0 90001 1 0000000000000000 20 4 30 10 -1',
      expect: [{ address: '192.168.172.21', id: '02D1 90001' }],
    },
    {
      given: 'an IPv6 client',
      line: '   1: 000080FE00000000FF005450563412FE:0801 000080FE00000000FF005450563412FF:02D1 01 00000000:00000000 00:00000000 00000000     0        0 90002 1 0000000000000000 20 4 30 10 -1',
      expect: [],
    },
    { given: 'half a line', line: '   1: 01ACA8C0:0801 15AC', expect: [] },
    { given: 'garbage', line: ':0801 :0801 01', expect: [] },
  ];
  for (const { given, line, expect } of cases) {
    it(`with ${given}`, () => {
      assert.deepEqual(connectionsTo(2049, [HEAD, line, HEAD6, ''].join('\n')), expect);
    });
  }
});

describe('the watch for mounts', () => {
  let server: Server;
  const sockets: Socket[] = [];
  const stops: Array<() => void> = [];
  const port = () => (server.address() as AddressInfo).port;

  const dial = async (): Promise<Socket> => {
    const socket = connect(port(), '127.0.0.1');
    sockets.push(socket);
    const accepted = once(server, 'connection');
    await once(socket, 'connect');
    sockets.push((await accepted)[0] as Socket);
    return socket;
  };
  const watch = (awaited: Map<string, number>) => {
    const mounted: string[] = [];
    const options = {
      awaited: () => awaited,
      addressOf: (name: string) => (name === 'nowhere' ? undefined : ('127.0.0.1' as Ipv4)),
      onMounted: (name: string) => {
        mounted.push(name);
        awaited.delete(name);
      },
    };
    stops.push(watchMounts({ ...options, port: port(), lookMs: 20 }).stop);
    return mounted;
  };

  for (const host of ['127.0.0.1', '::']) {
    describe(`of a server that listens on ${host}`, () => {
      beforeEach(async () => {
        server = createServer();
        server.listen(0, host);
        await once(server, 'listening');
      });
      afterEach(() => {
        for (const stop of stops.splice(0)) stop();
        for (const socket of sockets.splice(0)) socket.destroy();
        server.close();
      });

      it('tells of a connection since it looks, once, and not of one that was there before', async () => {
        await dial();
        const mounted = watch(
          new Map([
            ['one', 100],
            ['nowhere', 100],
          ]),
        );
        await sleep(80);
        assert.deepEqual(mounted, []);
        await dial();
        await sleep(80);
        assert.deepEqual(mounted, ['one']);
      });

      it('takes any connection of one that is waited for since before the service started', async () => {
        await dial();
        const mounted = watch(new Map([['one', 60_000]]));
        await sleep(80);
        assert.deepEqual(mounted, ['one']);
      });
    });
  }

  it('finds the tables where it looks for them', () => {
    assert.match(readFileSync('/proc/net/tcp', 'utf8'), /local_address.*inode/);
  });
});
