import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { Connections } from '../../src/model/connections.ts';

const LIMITS = { connections: 5, connectionsPerClient: 3 };

/** Those of a client, one a millisecond after the other. */
function filled(...clients: string[]) {
  let now = 0;
  const connections = new Connections(LIMITS, () => now);
  const add = (client: string) => {
    now += 1;
    const socket = new Socket();
    return { socket, superfluous: connections.add(client, socket) };
  };
  const sockets = clients.map((client) => add(client).socket);
  return { connections, add, sockets, tick: () => (now += 1) };
}

test('a client has so many and no more', () => {
  const { add } = filled('a', 'a', 'a');
  const { socket, superfluous } = add('a');
  assert.equal(superfluous, socket);
  assert.equal(add('b').superfluous, undefined);
});

test('when all are taken, the idlest of the client with most goes for one with fewer', () => {
  const { connections, add, sockets, tick } = filled('a', 'b', 'b', 'b', 'a');
  tick();
  connections.touch('b', sockets[1] as Socket);
  assert.equal(add('c').superfluous, sockets[2]);
  assert.ok(!connections.all().includes(sockets[2] as Socket));
  assert.equal(connections.all().length, LIMITS.connections);
});

test('who holds as many as anybody gets no more', () => {
  const { add } = filled('a', 'a', 'b', 'b', 'c');
  for (const client of ['a', 'b']) {
    const { socket, superfluous } = add(client);
    assert.equal(superfluous, socket);
  }
  assert.notEqual(add('c').superfluous, undefined);
});

test('what is closed makes room, once', () => {
  const { connections, add, sockets } = filled('a', 'a', 'b', 'b', 'c');
  for (let times = 0; times < 2; times++) connections.delete('a', sockets[0] as Socket);
  assert.equal(add('a').superfluous, undefined);
  const { socket, superfluous } = add('b');
  assert.equal(superfluous, socket);
});
