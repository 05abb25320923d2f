import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { BlockList } from 'node:net';
import { test } from 'node:test';
import { createErrorSocket } from '../../src/tftp/error-socket.ts';
import { openSocket, ScriptedClient } from './loopback.ts';

/** A socket that cannot reach us, as one bound to an address that the interface has lost. */
async function openUseless(): Promise<dgram.Socket> {
  const sendBlockList = new BlockList();
  sendBlockList.addSubnet('127.0.0.0', 8);
  const socket = dgram.createSocket({ type: 'udp4', sendBlockList });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket.unref();
}

/** Two errors to one client, by sockets that these openers give; which ones were opened and which are left open. */
async function sendTwo(openers: ReadonlyArray<() => Promise<dgram.Socket>>) {
  const opened: dgram.Socket[] = [];
  let closed = 0;
  const fallback = await openSocket();
  const client = await ScriptedClient.open();
  const errors = createErrorSocket(async () => {
    const opener = openers[opened.length];
    if (!opener) throw new Error('no more sockets');
    const socket = await opener();
    socket.on('close', () => {
      closed += 1;
    });
    opened.push(socket);
    return socket;
  }, fallback);
  const messages: unknown[] = [];
  for (const message of ['one', 'two']) {
    await errors.send({ address: '127.0.0.1', port: client.port }, 1, message);
    const told = await client.next(200);
    messages.push(told?.kind === 'error' && told.message);
  }
  await errors.close();
  await client.close();
  fallback.close();
  return { messages, opened: opened.length, closed };
}

const cases = {
  'one socket for all errors': { openers: [openSocket], opened: 1, messages: ['one', 'two'] },
  'a socket that cannot send is replaced, and the error sent again': {
    openers: [openUseless, openSocket],
    opened: 2,
    messages: ['one', 'two'],
  },
  'without a new socket the listener answers': {
    openers: [openUseless],
    opened: 1,
    messages: ['one', 'two'],
  },
  'it is tried once more, not for ever': {
    openers: [openUseless, openUseless, openSocket],
    opened: 3,
    messages: [false, 'two'],
  },
};

for (const [name, { openers, ...expected }] of Object.entries(cases)) {
  test(name, async () => {
    assert.deepEqual(await sendTwo(openers), { ...expected, closed: expected.opened });
  });
}

test('errors that fail together open one new socket; after the end none is opened', async () => {
  const opened: dgram.Socket[] = [];
  const fallback = await openSocket();
  const client = await ScriptedClient.open();
  const errors = createErrorSocket(async () => {
    const socket = await (opened.length === 0 ? openUseless : openSocket)();
    opened.push(socket);
    return socket;
  }, fallback);
  const to = { address: '127.0.0.1', port: client.port };
  await Promise.all(['one', 'two', 'three'].map((message) => errors.send(to, 1, message)));
  for (let count = 0; count < 3; count += 1) assert.equal((await client.next(200))?.kind, 'error');
  assert.equal(opened.length, 2);
  await errors.close();
  fallback.close();
  await errors.send(to, 1, 'late');
  assert.equal(opened.length, 2);
  await client.close();
});
