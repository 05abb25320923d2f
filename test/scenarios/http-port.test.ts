import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, it } from 'node:test';
import type { StatusAnswer } from '../../src/api/schemas.ts';
import { Appliance, eventually } from '../rack/appliance.ts';

const MOVED = '192.168.172.18';

let appliance: Appliance;
let holder: ChildProcess;

before(async () => {
  appliance = await Appliance.make('http-port', 'dhcp: proxy', { nfs: 'none', generations: 'generations' });
  const listen = `require('net').createServer().listen(80, () => console.log('listens'))`;
  const program = ['setpriv', '--pdeathsig', 'KILL', process.execPath, '-e', listen];
  holder = spawn('ip', ['netns', 'exec', `nb-${appliance.rack}`, ...program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout ?? holder, 'data');
});

after(async () => {
  holder?.kill('SIGKILL');
  await appliance?.remove();
});

const status = async () => JSON.parse(await appliance.netboot('status', '--json')) as StatusAnswer;
const fetchMissing = (address: string) =>
  appliance.inRack('curl', '-sS', '--max-time', '5', `http://${address}/nothing`);

it('a web server on port 80 is told of and keeps nothing else from being served, wherever the interface goes', async () => {
  const check = await appliance.attempt(['--config', appliance.configFile, 'serve', '--check']);
  assert.equal(check.exitCode, 0);
  assert.match(
    check.stderr,
    /HTTP is not served on br0: .*EADDRINUSE.*Stop what listens at 192\.168\.172\.17:80/,
  );

  await appliance.start();
  const warnings = async () => (await status()).warnings.map(({ id }) => id);
  assert.ok((await warnings()).includes('HTTP_NOT_SERVED br0'));
  const again = await appliance.attempt(['--config', appliance.configFile, 'serve', '--check']);
  assert.doesNotMatch(again.stderr, /HTTP/, 'the service that runs has told it itself');

  await appliance.inRack('ip', 'address', 'delete', '192.168.172.17/24', 'dev', 'br0');
  await appliance.inRack('ip', 'address', 'add', `${MOVED}/24`, 'dev', 'br0');
  await eventually(30_000, async () => assert.equal((await status()).interfaces[0]?.address, MOVED));

  holder.kill('SIGKILL');
  await eventually(30_000, async () => assert.match(await fetchMissing(MOVED), /nothing/));
  await eventually(5_000, async () => assert.ok(!(await warnings()).includes('HTTP_NOT_SERVED br0')));
});
