import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { appendFile, chmod, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { run } from '../../../src/host/run.ts';
import { skip, type Workshop, workshop } from '../workshop.ts';

/** Steps in order, and what of them a change of the root's files alone reaches. */
const LAYERS = [
  'ground/import',
  'ground/files',
  'ground/hooks/10-a.sh',
  'top/files',
  'top/users',
  'top/units',
  'top/hooks/10-b.sh',
  'top/hooks/20-c.sh',
  'top/clean',
] as const;
type Layer = (typeof LAYERS)[number];

/** This layer and all on it, and the squashfs; the boot tree only when the kernel is another one. */
const from = (layer: Layer, { kernel = false } = {}): string[] => [
  ...LAYERS.slice(LAYERS.indexOf(layer)),
  ...(kernel ? ['top/boot-tree'] : []),
  'top/squash',
];
const NOTHING = 'unchanged';

/** What the recipes say, as values; `write` puts them in files, in an order of keys and with comments as told. */
interface State {
  port: number;
  unused: number;
  fstab: string;
  masked: string;
  user: string;
  cmdline: string;
  comment: string;
  turned: boolean;
  sha256: string;
}

async function write(made: Workshop, state: State): Promise<void> {
  const ground = [
    `base: {tarball: root.tar.gz, sha256: ${state.sha256}, arch: amd64}`,
    `variables: {port: {type: integer, default: 1}, unused: {type: integer, default: 1}}`,
  ];
  const top = [
    'base: {from: ground}',
    `set: {port: ${state.port}, unused: ${state.unused}}`,
    `fstab: ['${state.fstab} /x tmpfs defaults 0 0']`,
    `units: ${state.turned ? `{mask: [${state.masked}], enable: []}` : `{enable: [], mask: [${state.masked}]}`}`,
    `users: [{name: ${state.user}, shell: /bin/sh}]`,
    `boot: {initramfs: false, cmdline: ['${state.cmdline}']}`,
  ];
  const text = (lines: string[]) =>
    `# ${state.comment}\n${(state.turned ? lines.toReversed() : lines).join('\n')}\n`;
  await made.write('ground/image.yaml', text(ground));
  await made.write('top/image.yaml', text(top));
}

type Change = (by: {
  made: Workshop;
  state: State;
  fresh: () => number;
}) => Promise<readonly string[] | string>;

/** Each changes one input, and tells what has to run: not more, not less. */
const CHANGES: Record<string, Change> = {
  'a file of the base': async ({ made, fresh }) => {
    await made.write('ground/rootfs/etc/ground', `${fresh()}\n`);
    return from('ground/files');
  },
  'a hook of the base': async ({ made, fresh }) => {
    await made.write('ground/hooks/10-a.sh', `#!/bin/sh -e\necho ${fresh()} >/etc/a\n`);
    return from('ground/hooks/10-a.sh');
  },
  'a file': async ({ made, fresh }) => {
    await made.write('top/rootfs/etc/top', `${fresh()}\n`);
    return from('top/files');
  },
  'one more file': async ({ made, fresh }) => {
    await made.write(`top/rootfs/etc/new-${fresh()}`, '');
    return from('top/files');
  },
  'the mode of a file': async ({ made, fresh }) => {
    const path = `top/rootfs/etc/mode-${fresh()}`;
    await made.write(path, 'same\n', 0o644);
    await made.build();
    await chmod(join(made.top, 'images', path), 0o755);
    return from('top/files');
  },
  'the kernel': async ({ made, fresh }) => {
    await made.write('top/rootfs/boot/vmlinuz-6.12.0', `kernel ${fresh()}`);
    return from('top/files', { kernel: true });
  },
  'the archive of the base': async ({ made, state, fresh }) => {
    const file = join(made.top, 'images/ground/root.tar');
    const packed = join(made.top, 'images/ground/root.tar.gz');
    await run('sh', ['-c', 'gzip -dc "$0" >"$1"', packed, file]);
    const extra = join(made.top, 'extra');
    await writeFile(extra, `${fresh()}`);
    await run('tar', ['-rf', file, '-C', made.top, '--transform', 's,^,./etc/,', 'extra']);
    await run('gzip', ['-nf', file]);
    state.sha256 = createHash('sha256')
      .update(await readFile(packed))
      .digest('hex');
    await write(made, state);
    return from('ground/import', { kernel: false });
  },
  'a hook': async ({ made, fresh }) => {
    await made.write('top/hooks/10-b.sh', `#!/bin/sh -e\necho ${fresh()} $VAR_PORT >/etc/b\n`);
    return from('top/hooks/10-b.sh');
  },
  'the last hook': async ({ made, fresh }) => {
    await made.write('top/hooks/20-c.sh', `#!/bin/sh -e\necho ${fresh()} >/etc/c\n`);
    return from('top/hooks/20-c.sh');
  },
  'a variable that a template and a hook use': async ({ made, state, fresh }) => {
    state.port = fresh();
    await write(made, state);
    return from('top/files');
  },
  'a variable that nothing uses': async ({ made, state, fresh }) => {
    state.unused = fresh();
    await write(made, state);
    return NOTHING;
  },
  'a line of fstab': async ({ made, state, fresh }) => {
    state.fstab = `tmpfs${fresh()}`;
    await write(made, state);
    return from('top/files');
  },
  'a masked unit': async ({ made, state, fresh }) => {
    state.masked = `u${fresh()}.service`;
    await write(made, state);
    return from('top/units');
  },
  'a user': async ({ made, state, fresh }) => {
    state.user = `user${fresh()}`;
    await write(made, state);
    return from('top/users');
  },
  'the command line': async ({ made, state, fresh }) => {
    state.cmdline = `x=${fresh()}`;
    await write(made, state);
    return ['top/squash'];
  },
  'a comment': async ({ made, state, fresh }) => {
    state.comment = `${fresh()}`;
    await write(made, state);
    return NOTHING;
  },
  'the order of keys': async ({ made, state }) => {
    state.turned = !state.turned;
    await write(made, state);
    return NOTHING;
  },
  'the time of a file': async ({ made, fresh }) => {
    await utimes(join(made.top, 'images/top/rootfs/etc/top'), fresh(), fresh());
    return NOTHING;
  },
  'a file, and back': async ({ made, fresh }) => {
    const file = join(made.top, 'images/top/rootfs/etc/top');
    const before = await readFile(file);
    await appendFile(file, `${fresh()}`);
    assert.deepEqual(await made.build(), from('top/files'));
    await writeFile(file, before);
    return NOTHING;
  },
  'an unknown file beside the recipe': async ({ made, fresh }) => {
    await made.write('top/NOTES', `${fresh()}`);
    return NOTHING;
  },
};

async function start(t: TestContext) {
  const made = await workshop(t, 'top');
  const state: State = {
    port: 1,
    unused: 1,
    fstab: 'tmpfs',
    masked: 'a.service',
    user: 'ops',
    cmdline: 'quiet',
    comment: '',
    turned: false,
    sha256: await made.addTarball('ground'),
  };
  await write(made, state);
  await made.write('ground/rootfs/etc/ground', 'ground\n');
  await made.write('ground/hooks/10-a.sh', '#!/bin/sh -e\necho a >/etc/a\n');
  await made.write('top/rootfs/etc/top', 'top\n');
  await made.write('top/templates/etc/port', 'port {{ port }}\n');
  await made.write('top/hooks/10-b.sh', '#!/bin/sh -e\necho $VAR_PORT >/etc/b\n');
  await made.write('top/hooks/20-c.sh', '#!/bin/sh -e\necho c >/etc/c\n');
  assert.deepEqual(await made.build(), from('ground/import', { kernel: true }).toSorted(byPlan));
  let count = 1000;
  return { made, state, fresh: () => ++count };
}

/** The boot tree is made before the squashfs, after the last layer. */
const ORDER = [...LAYERS, 'top/boot-tree', 'top/squash'];
const byPlan = (a: string, b: string) => ORDER.indexOf(a) - ORDER.indexOf(b);

describe('the cache', { skip, timeout: 300_000 }, () => {
  it('has each single change rebuild exactly what depends on it, and in any order', async (t) => {
    const names = Object.keys(CHANGES);
    const orders = fc.shuffledSubarray(names, { minLength: names.length, maxLength: names.length });
    const rounds = Number(process.env.NETBOOT_CACHE_ROUNDS ?? 1);
    await fc.assert(
      fc.asyncProperty(orders, async (order) => {
        const by = await start(t);
        for (const name of order) {
          const expected = await (CHANGES[name] as Change)(by);
          assert.deepEqual(await by.made.build(), expected, name);
          assert.equal(await by.made.build(), NOTHING, `after ${name}`);
        }
        await rm(by.made.order.cacheFolder, { recursive: true });
      }),
      { numRuns: rounds, endOnFailure: true },
    );
  });
});
