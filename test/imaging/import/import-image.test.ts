import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { filter } from '../../../src/host/filter.ts';
import { run } from '../../../src/host/run.ts';
import { type Imported, type ImportOrder, importImage } from '../../../src/imaging/import/import-image.ts';
import { plan } from '../../../src/imaging/plan/plan.ts';
import { baseOf, settingsOf } from '../../../src/imaging/recipe/chain.ts';
import { readRecipeChain } from '../../../src/imaging/recipe/read.ts';
import { bookworm, bullseye, makeCard, sha256Of, trixie } from './card.ts';

let folder: string;
let recipesFolder: string;
let file: string;

before(async () => {
  folder = await mkdtemp('/var/tmp/netboot-import-');
  recipesFolder = join(folder, 'images');
  await mkdir(recipesFolder);
  file = await makeCard(join(folder, '2026-04-21-raspios-trixie-arm64-lite.img'), trixie());
});
after(() => rm(folder, { recursive: true, force: true }));

const importIt = (order: Partial<ImportOrder> = {}): Promise<Imported> =>
  importImage({
    file,
    recipesFolder,
    cacheFolder: join(folder, 'cache'),
    run,
    filter,
    onProgress: () => {},
    ...order,
  });

describe('importing an image', () => {
  it('writes a recipe that the rest of the program understands', async () => {
    await using imported = await importIt();
    assert.equal(imported.name, 'raspios-trixie-arm64-lite');
    assert.equal(imported.outcome, 'written');
    assert.deepEqual(imported.remarks, []);
    const chain = await readRecipeChain(recipesFolder, imported.name);
    assert.deepEqual(baseOf(chain), { kind: 'image', file, sha256: sha256Of(file), arch: 'arm64' });
    const { config, cmdline } = settingsOf(chain).boot;
    assert.deepEqual(cmdline, ['console=serial0,115200', 'console=tty1', 'cfg80211.ieee80211_regdom=DE']);
    assert.deepEqual(config, [
      'dtparam=sd_poll_once',
      'dtparam=audio=on',
      'camera_auto_detect=1',
      'dtoverlay=vc4-kms-v3d',
      '[cm4]',
      'otg_mode=1',
      '[cm5]',
      'dtoverlay=dwc2,dr_mode=host',
      '[all]',
      'enable_uart=1',
      'arm_64bit=1',
    ]);
    const ids = plan(chain).map(({ id }) => id);
    assert.deepEqual(ids.slice(0, 2), [
      'raspios-trixie-arm64-lite/import',
      'raspios-trixie-arm64-lite/adapt',
    ]);
  });

  it('can be what other images are built on', async () => {
    await mkdir(join(recipesFolder, 'kiosk'));
    writeFileSync(
      join(recipesFolder, 'kiosk/image.yaml'),
      'base: {from: raspios-trixie-arm64-lite}\nboot: {config: [gpu_mem=128]}\n',
    );
    const chain = await readRecipeChain(recipesFolder, 'kiosk');
    assert.equal(baseOf(chain).kind, 'image');
    assert.equal(settingsOf(chain).boot.config.at(-1), 'gpu_mem=128');
    assert.deepEqual(settingsOf(chain).boot.config.slice(0, 4), [
      'dtparam=sd_poll_once',
      'dtparam=audio=on',
      'camera_auto_detect=1',
      'dtoverlay=vc4-kms-v3d',
    ]);
  });

  it('leaves the recipe as it is the second time, with what a person wrote into it', async () => {
    const recipe = join(recipesFolder, 'raspios-trixie-arm64-lite/image.yaml');
    writeFileSync(recipe, `${readFileSync(recipe, 'utf8')}\nunits: {enable: [ssh.service]}\n`);
    const edited = readFileSync(recipe, 'utf8');
    {
      await using again = await importIt();
      assert.equal(again.outcome, 'was there');
    }
    await sleep(2100); // its hash is kept once nobody can have written to it in the same moment
    {
      await using _ = await importIt();
    }
    let isRead = false;
    await using quick = await importIt({
      onProgress: () => {
        isRead = true;
      },
    });
    assert.deepEqual([quick.outcome, isRead], ['was there', false]);
    assert.equal(readFileSync(recipe, 'utf8'), edited);
  });

  it('says which packages the initramfs lacks', async () => {
    const plan = bookworm();
    const root = plan.root.map((entry) =>
      entry.path === 'var/lib/dpkg/status'
        ? { ...entry, content: 'Package: dpkg\nStatus: install ok installed\nArchitecture: arm64\n' }
        : entry,
    );
    const bare = await makeCard(join(folder, 'bare.img'), { ...plan, root });
    await using imported = await importIt({ file: bare });
    assert.match(imported.remarks.join(), /no busybox-static and no klibc-utils: the build gets that/);
    assert.match(readFileSync(imported.recipe, 'utf8'), /^packages: \[busybox-static, klibc-utils\]$/m);
  });

  it('knows a 32-bit system, and the 64-bit kernel it is to boot', async () => {
    await using imported = await importIt({ file: await makeCard(join(folder, 'armhf.img'), bullseye()) });
    const chain = await readRecipeChain(recipesFolder, imported.name);
    assert.equal(chain.arch, 'armhf');
    assert.equal(settingsOf(chain).boot.config.at(-1), 'arm_64bit=1');
  });

  it('leaves nothing unpacked behind', () =>
    assert.deepEqual(readdirSync(join(folder, 'cache/imports')), []));
});

describe('an import that is refused', () => {
  const refused = async (order: Partial<ImportOrder>, expected: RegExp) => {
    const before = readdirSync(recipesFolder);
    await assert.rejects(importIt(order), expected);
    assert.deepEqual(readdirSync(recipesFolder), before);
    const imports = join(folder, 'cache/imports');
    assert.deepEqual(existsSync(imports) ? readdirSync(imports) : [], []);
  };

  it('with another sum than it is to have', async () => {
    await refused({ name: 'other', sha256: 'b'.repeat(64) }, /has the SHA-256 [0-9a-f]{64}, not b{64}/);
    await refused({ name: 'other', sha256: 'b' }, /"b" is no SHA-256/);
  });

  it('with another sum in the file beside it, or none', async () => {
    const sum = `${file}.sha256`;
    writeFileSync(sum, `${'c'.repeat(64)}  2026-04-21-raspios-trixie-arm64-lite.img\n`);
    await refused({ name: 'other' }, /not c{64}/);
    writeFileSync(sum, 'not found\n');
    await refused({ name: 'other' }, /has no SHA-256 for 2026-04-21-/);
    await rm(sum);
  });

  it('under the name of an image that is made of something else', async () => {
    await mkdir(join(recipesFolder, 'taken'));
    writeFileSync(join(recipesFolder, 'taken/image.yaml'), 'base: {debian: trixie, arch: arm64}\n');
    await refused({ name: 'taken' }, /There is an image "taken" already.*under another --name/);
    await refused({ name: 'Not Good' }, /"Not Good" is no name for an image: .*Give another with --name/);
  });

  it('when it is no system for a Pi: no recipe is left', async () => {
    const status = 'Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\n';
    const amd64 = await makeCard(join(folder, 'amd64.img'), {
      ...bookworm(),
      root: [{ path: 'var/lib/dpkg/status', content: status }],
    });
    await refused({ file: amd64 }, /is for amd64/);
  });
});
