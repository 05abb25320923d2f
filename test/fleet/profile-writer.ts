import { SqliteStore } from '../../src/store/sqlite-store.ts';
import { openSmallFleet } from './small-fleet.ts';

/**
 * Changes a profile, its file, and a node with it again and again until it is killed; prints a number once that is
 * acknowledged. Argument: the state's file.
 */
const store = new SqliteStore(process.argv[2] as string);
const fleet = await openSmallFleet({ store });
const fileOf = (number: number) => {
  const content = Buffer.from(`${number} ${'x'.repeat(20_000)}`).toString('base64');
  return { mode: '0600', owner: 'root', group: 'root', content };
};

const past = fleet.profiles.all()[0]?.settings.memory ?? '1M';
for (let number = Number.parseInt(past, 10) + 1; ; number++) {
  await fleet.profiles.set('rack', {
    image: 'web',
    memory: `${number}M`,
    files: { '/etc/app/key': fileOf(number) },
  });
  const serial = (number % 7).toString(16).padStart(8, 'a');
  const node = {
    name: `n${number % 7}`,
    profile: 'rack',
    outlet: `${number}`,
    files: { '/own': fileOf(number) },
  };
  if (fleet.view().nodes.has(serial as never)) await fleet.removeNode(serial);
  else await fleet.addNode({ ...node, serial: serial as never });
  process.stdout.write(`${number}\n`);
}
