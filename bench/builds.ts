import { appendFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import type { GenerationAnswer } from '../src/api/image-routes.ts';
import { Appliance, REPOSITORY } from '../test/rack/appliance.ts';
import { table, writeSections } from './markdown.ts';

/** A program, run by scripts/measure-builds.sh. */

/** Small packages that the image has not got, one for each run. */
const SMALL = ['tree', 'pv', 'ncdu'];
const CHANGES = 5;

interface Place {
  readonly folder: string;
  readonly images: string;
  readonly appliance: Appliance;
}

/** An appliance with recipes, cache and generations of its own, all below `folder`, as after installing. */
async function makePlace(parent: string, name: string): Promise<Place> {
  const folder = join(parent, name);
  const images = join(folder, 'images');
  await mkdir(folder);
  await cp(join(REPOSITORY, 'images'), images, { recursive: true, verbatimSymlinks: true });
  const appliance = await Appliance.make(name, 'dhcp: full, pool: 192.168.172.100-192.168.172.199', {
    images,
    cache: 'cache',
    generations: 'generations',
    log: 'warn',
  });
  await appliance.start();
  return { folder, images, appliance };
}

async function seconds<T>(work: () => Promise<T>): Promise<[number, T]> {
  const started = performance.now();
  const result = await work();
  return [(performance.now() - started) / 1000, result];
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] as number;

async function shown({ appliance }: Place): Promise<GenerationAnswer> {
  return JSON.parse(await appliance.netboot('show-image', 'web', '--json')) as GenerationAnswer;
}

/** The time of mmdebstrap alone for these packages, from the mirror that the builds use. */
async function bareMmdebstrap(parent: string, packages: readonly string[]): Promise<number> {
  const { readMirrors } = await import('../src/imaging/packages/mirror.ts');
  const { main, security } = await readMirrors('/etc/apt');
  const suites = [
    `${main} trixie`,
    `${main} trixie-updates`,
    ...(security ? [`${security} trixie-security`] : []),
  ];
  const sources = suites.map((suite) => `deb ${suite} main non-free-firmware`);
  const argv = ['--mode=root', '--format=directory', '--arch=arm64', '--variant=minbase'];
  const target = join(parent, 'bare');
  // It has to find the emulator's handler, which our own builds see to by themselves.
  const shell = `mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    update-binfmts --enable
    exec mmdebstrap "$@"`;
  const [took] = await seconds(() =>
    execa('unshare', [
      ...['--mount', '--pid', '--fork', '--kill-child', 'sh', '-euc', shell, 'sh', ...argv],
      ...[`--include=${packages.join(',')}`, 'trixie', target, ...sources],
    ]),
  );
  await rm(target, { recursive: true });
  return took;
}

const parent = await mkdtemp('/var/tmp/netboot-builds.');
const places: Place[] = [];
const say = (text: string) => console.error(text);
try {
  const place = await makePlace(parent, 'builds');
  places.push(place);
  const { appliance } = place;
  const build = (...options: string[]) => seconds(() => appliance.netboot('build-image', 'web', ...options));

  say('a cold build: nothing cached, nothing downloaded');
  const [cold] = await build();
  const { generation: first, fetched = {} } = await shown(place);
  // Now: the builds to come push the first generation out.
  const lock = join(parent, 'image.lock');
  await writeFile(lock, `${await appliance.netboot('show-image', first.id, '--lock')}\n`);

  say(`${cold.toFixed(0)} s; nothing changed, then one file, ${CHANGES} times`);
  const unchanged: number[] = [];
  const oneFile: number[] = [];
  for (let run = 1; run <= CHANGES; run++) {
    unchanged.push((await build())[0]);
    await writeFile(join(place.images, 'web/rootfs/etc/motd'), `change ${run}\n`);
    oneFile.push((await build())[0]);
  }
  await rm(join(place.images, 'web/rootfs/etc/motd'));

  say(`${list(unchanged)}; ${list(oneFile)}; one package more, a small one`);
  const onePackage: number[] = [];
  const recipe = join(place.images, 'web/image.yaml');
  const text = await readFile(recipe, 'utf8');
  for (const name of SMALL) {
    await writeFile(recipe, text.replace('packages: [', `packages: [${name}, `));
    const [took] = await build();
    onePackage.push(took);
    if (!((await shown(place)).generation.packages[name] ?? ''))
      throw new Error(`${name} is not in the image`);
  }
  await writeFile(recipe, text);

  say(`${list(onePackage)}; from the lock of the first build, in a folder and a cache of its own`);
  const other = await makePlace(parent, 'elsewhere');
  places.push(other);
  await appendFile(join(other.images, 'web/image.yaml'), '# a remark, which means nothing\n');
  const [locked] = await seconds(() => other.appliance.netboot('build-image', 'web', '--lock', lock));
  const { generation: second } = await shown(other);

  const names = Object.keys(first.packages);
  say(
    `${locked.toFixed(0)} s, ${second.root.sha256 === first.root.sha256}; bare mmdebstrap of ${names.length} packages`,
  );
  const bare = await bareMmdebstrap(parent, names);

  const largest = Math.max(...Object.values(first.boot.files).map(({ size }) => size));
  const rows: [string, string, string][] = [
    [
      'cold build of `web`, nothing downloaded',
      `${cold.toFixed(0)} s`,
      `${(cold / bare).toFixed(2)} × bare mmdebstrap (goal ≤ 1.0)`,
    ],
    [`bare \`mmdebstrap\`, the same ${names.length} packages`, `${bare.toFixed(0)} s`, '1'],
    ['nothing changed', `${median(unchanged).toFixed(2)} s`, 'goal < 2 s'],
    ['one file of `rootfs/` changed, built and published', `${median(oneFile).toFixed(1)} s`, 'goal < 15 s'],
    ['one small package more, built and published', `${median(onePackage).toFixed(1)} s`, 'goal < 90 s'],
    [
      'from the lock, elsewhere, nothing downloaded',
      `${locked.toFixed(0)} s`,
      first.root.sha256 === second.root.sha256 ? 'identical squashfs' : 'ANOTHER squashfs',
    ],
  ];
  const body = [
    `Made by \`scripts/measure-builds.sh\` on ${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${cpus()[0]?.model}. Medians of ${CHANGES} (packages: ${SMALL.length}); from the start of the command to its end.`,
    table(['what', 'time', ''], rows),
    `What a board fetches per boot of \`${first.id}\`: ${Object.entries(fetched)
      .map(([board, bytes]) => `${board} ${(bytes / 1e6).toFixed(1)} MB`)
      .join(
        ', ',
      )}; the largest file of its boot tree has ${(largest / 2 ** 20).toFixed(1)} MiB (goals: Pi 4 ≤ 28 MB, 32 MiB).`,
    `Squashfs ${first.root.sha256} and ${second.root.sha256}; single times: nothing changed ${list(unchanged)}, one file ${list(oneFile)}, one package ${list(onePackage)}.`,
  ].join('\n\n');
  await writeSections(join(REPOSITORY, 'bench/builds.md'), '# How long builds take', [
    { title: 'Builds', body },
  ]);
  console.log(body);
  if (first.root.sha256 !== second.root.sha256) process.exitCode = 1;
} finally {
  for (const { appliance } of places) await appliance.remove();
  await execa('chattr', ['-R', '-i', parent], { reject: false });
  await rm(parent, { recursive: true, force: true });
}

function list(values: readonly number[]): string {
  return values.map((value) => value.toFixed(2)).join(', ');
}
