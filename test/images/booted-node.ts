import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type Asked, REPORT_KEY, type Reply, TOKEN, ToldAppliance } from './appliance.ts';
import { NodeNamespace, type NodeSettings } from './node-namespace.ts';

export const base64 = (text: string | Buffer) => Buffer.from(text).toString('base64');
export const KEY = '-----BEGIN OPENSSH PRIVATE KEY-----\nPRIVATE-HALF\n-----END OPENSSH PRIVATE KEY-----\n';
export const IDENTITY = [
  `report-key ${REPORT_KEY}`,
  'run r1',
  `host-key ${base64(KEY)}`,
  'host-key-public ssh-ed25519 AAAAPUBLIC root@anna',
  '',
].join('\n');
/** An answer that it may believe, with more lines than every node is given. */
export const given = (...lines: string[]): Reply => ({
  body: IDENTITY + lines.map((line) => `${line}\n`).join(''),
  key: TOKEN,
});

/** A node whose node.pl has run to its end, and what that said. */
export async function bootedNode(
  context: TestContext,
  answer: (asked: Asked, count: number) => Reply | Promise<Reply>,
  settings: Omit<NodeSettings, 'port'> = {},
) {
  const appliance = await ToldAppliance.open(answer);
  context.after(() => appliance.close());
  const node = await NodeNamespace.make({ ...settings, port: appliance.port });
  context.after(() => node.remove());
  const { exitCode, stderr } = await node.run('node.pl');
  assert.equal(exitCode, 0, stderr);
  return { appliance, node, said: stderr };
}

/** A line of such an answer. */
export const file = (path: string, content: string | Buffer = 'of the node\n', more = '0640 root root') =>
  `file ${more} ${path} ${base64(content) || '-'}`;
