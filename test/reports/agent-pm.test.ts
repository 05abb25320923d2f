import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { execa } from 'execa';
import { LOOPBACK, MAC, SERIAL, World } from './world.ts';

/** What nodes have: it was written by the description of the exchange, as was the server. */
const NODE_LIBRARY = join(import.meta.dirname, '../../images/base/rootfs/usr/lib/netboot');

/** One exchange of a node's own program: status, then body. */
async function exchange(world: World, path: string, key: string, body: string) {
  const run = join(world.folder, 'run');
  await mkdir(run, { recursive: true });
  const program = `use Appliance; $Appliance::RUN = shift; my ($server, $port, $path, $key, $body) = @ARGV;
    my ($status, $text) = Appliance::exchange({ server => $server, port => $port }, $path, $key, $body, 10);
    print "$status\\n$text";`;
  const argv = [`-I${NODE_LIBRARY}`, '-we', program, run, LOOPBACK, String(world.port), path, key, body];
  const { stdout } = await execa('perl', argv, { stripFinalNewline: false });
  const end = stdout.indexOf('\n');
  return { status: Number(stdout.slice(0, end)), body: stdout.slice(end + 1) };
}

test('the program of a real node and the server understand each other', async () => {
  await using world = await World.make();
  world.has(LOOPBACK, MAC);
  const token = world.token(SERIAL, LOOPBACK);
  const since = token.split('.')[0];
  const asked = `serial ${SERIAL}\nsince ${since}\nnonce ${'0'.repeat(32)}\n`;
  const identity = await exchange(world, '/v1/identity', token, asked);
  assert.equal(identity.status, 200);
  const [, key = '', run = ''] = /^report-key (\w{64})\nrun (\S+)\nhost-key /.exec(identity.body) ?? [];

  const report = (of: string, seq: number) =>
    `serial ${SERIAL}\nrun ${of}\nseq ${seq}\nwait 0\ngeneration web-000000000001\nroot overlay\nuptime 9.31\nclock 7\nstate starting\n`;
  assert.deepEqual(await exchange(world, '/v1/report', key, report(run, 1)), {
    status: 200,
    body: `run ${run}\n`,
  });
  assert.deepEqual(await exchange(world, '/v1/report', key, report('old', 7)), {
    status: 409,
    body: `run ${run}\nseq 1\n`,
  });
  const refused = await exchange(world, '/v1/report', '0'.repeat(64), report(run, 2));
  assert.equal(refused.status, 403);
  assert.match(refused.body, /^a report came that was not signed with the key of its boot$/);
  assert.equal(world.fleet.conditions.of(SERIAL).report?.root, 'overlay');
});
