import { execa } from 'execa';
import type { NodesAnswer } from '../../src/api/schemas.ts';
import { openUdp } from '../../src/host/udp.ts';
import { decodePacket, encodePacket } from '../../src/tftp/packet.ts';
import { api } from './api.ts';
import { NETBOOT } from './appliance.ts';

/**
 * A program for a machine of the rack: `add-and-fetch.ts CONFIG SOCKET SERVER api|cli COUNT`. Adds so many nodes, one
 * after the other, and asks for each one's config.txt over TFTP until it is served. Writes a {@link Served} for each.
 */
export interface Served {
  /** Milliseconds from the API's answer, or the end of the command, until the first block was here; 0 if it was before. */
  readonly afterAnswer: number;
  /** Milliseconds from the request, or the start of the command. */
  readonly afterStart: number;
}

const [config, socket, server, how, count] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
/** Seldom enough not to slow down what is measured. */
const RETRY_MS = 5;
const GIVE_UP_MS = 30_000;

/** When the file was there: asked for again and again, since a Pi that boots just then would do so. */
async function served(path: string): Promise<number> {
  const request = encodePacket({ kind: 'rrq', filename: path, mode: 'octet', options: new Map() });
  for (const until = performance.now() + GIVE_UP_MS; performance.now() < until; ) {
    const client = await openUdp({ interface: 'eth0', port: 0 });
    const answer = new Promise<Buffer>((resolve) => client.once('message', resolve));
    client.send(request, 69, server);
    const packet = decodePacket(await answer);
    client.close();
    if (packet.kind === 'data') return performance.now();
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  throw new Error(`${path} was not served`);
}

const { nodes } = await api<NodesAnswer>(socket, 'GET', '/v1/nodes');
for (let number = 1; number <= Number(count); number++) {
  const serial = (0xbb000000 + nodes.length + number).toString(16);
  const start = performance.now();
  const added =
    how === 'api'
      ? api(socket, 'POST', '/v1/nodes', { serial })
      : execa(NETBOOT, ['--config', config, 'add-node', serial]);
  const answered = added.then(() => performance.now());
  const [at, answeredAt] = await Promise.all([served(`${serial}/config.txt`), answered]);
  const result: Served = { afterAnswer: Math.max(0, at - answeredAt), afterStart: at - start };
  console.log(JSON.stringify(result));
}
