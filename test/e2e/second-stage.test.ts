import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { filter } from '../../src/host/filter.ts';
import { run } from '../../src/host/run.ts';
import { buildImage } from '../../src/imaging/build.ts';
import { sourceOpener } from '../../src/imaging/import/source.ts';
import { api } from '../rack/api.ts';
import { Appliance, GENERATIONS, REPOSITORY } from '../rack/appliance.ts';
import { Guest, type MachineKind } from '../rack/guest.ts';
import { STARTED, sealGuestGeneration } from '../rack/guest-image.ts';
import { type Host, startRouter } from '../rack/host.ts';

/** Under emulation, on cores that have other things to do. */
const BOOT_MS = 4 * 60_000;

/** EDK2's switches, given by QEMU: what is left of its network boot is HTTP over IPv4. */
const ONLY_HTTP = ['4', '6'].flatMap((version) => [
  '-fw_cfg',
  `name=opt/org.tianocore/IPv${version}PXESupport,string=n`,
]);

const OURS = '192.168.172.17';

/** The images as they are shipped, built when that was not done before. */
async function sealImages(appliance: Appliance): Promise<void> {
  for (const name of ['pc', 'web']) {
    const { generation } = await buildImage({
      name,
      recipesFolder: join(REPOSITORY, 'images'),
      generationsFolder: GENERATIONS,
      cacheFolder: dirname(GENERATIONS),
      run,
      openSource: sourceOpener(run, filter, join(dirname(GENERATIONS), 'hashes')),
      progress: () => {},
    });
    const plainKernel = name === 'web';
    const id = await sealGuestGeneration(join(appliance.folder, 'generations'), generation, { plainKernel });
    await api(appliance.socket, 'POST', `/v1/images/${name}/publish`, { generation: id });
  }
}

/** One foreign firmware and the way it goes. */
interface Case {
  readonly name: string;
  readonly kind: MachineKind;
  readonly image: 'pc' | 'web';
  readonly extra?: readonly string[];
  /** Keys to be typed, each when the console shows what stands before it. */
  readonly dialogue?: ReadonlyArray<readonly [shown: RegExp, keys: string]>;
  /** What it has to be told, as the service wrote it down, in this order. */
  readonly told: readonly RegExp[];
}

const SCRIPT = new RegExp(`runs the script http://${OURS}/\\w{8}/boot\\.ipxe`);

/** Boots it as a node of its own and holds it to what it was told and to the command line it started with. */
async function bootsAs(
  appliance: Appliance,
  { name, kind, image, extra = [], dialogue = [], told }: Case,
  mac: string,
) {
  const title = name.replace(/ \(checklist .*/, '');
  const node = title.replace(/[^a-z0-9]+/gi, '-').toLowerCase();
  await appliance.netboot('add-node', mac, '--name', node, '--image', image);
  const guest = await Guest.powerOn(appliance, kind, mac, extra);
  try {
    for (const [shown, keys] of dialogue) {
      await guest.prints(shown, BOOT_MS);
      await guest.type(keys);
    }
    const [, commandLine = ''] = await guest.prints(
      new RegExp(`${STARTED}(.*systemd\\.machine_id=\\w{32})`),
      BOOT_MS,
    );
    assert.match(commandLine, new RegExp(` systemd\\.hostname=${node} `));
    assert.match(
      commandLine,
      new RegExp(`root=/dev/nfs nfsroot=${OURS}:\\S+/images/${image}-\\w{12},vers=3`),
    );
    assert.match(commandLine, image === 'pc' ? /console=ttyS0,115200/ : /console=ttyAMA0,115200/);
  } finally {
    await guest.off();
  }
  const said = (await appliance.log())
    .split('\n')
    .filter((line) => line.includes(mac) && line.includes('DHCP_'));
  let from = 0;
  for (const pattern of told) {
    const found = said.findIndex((line, index) => index >= from && pattern.test(line));
    assert.notEqual(found, -1, `it was told ${pattern} after line ${from} of:\n${said.join('\n')}`);
    from = found + 1;
  }
}

describe('firmware of others boots nodes that are no Pis', { timeout: 60 * 60_000 }, () => {
  let appliance: Appliance;

  before(async () => {
    const settings = 'dhcp: full, pool: 192.168.172.100-192.168.172.199';
    appliance = await Appliance.make('stages', settings, { nfs: 'none', generations: 'generations' });
    await appliance.start();
    await sealImages(appliance);
  });
  after(() => appliance?.remove());

  const cases: readonly Case[] = [
    { name: 'iPXE in a network card (checklist 61)', kind: 'bios', image: 'pc', told: [SCRIPT] },
    {
      name: 'our undionly.kpxe under BIOS (checklist 61)',
      ...{ kind: 'bios', image: 'pc' },
      dialogue: [
        [/Press Ctrl-B for the iPXE command line/, '\x02'],
        [/iPXE> /, `dhcp && chain tftp://${OURS}/52540002/undionly.kpxe\n`],
      ],
      told: [SCRIPT, SCRIPT],
    },
    {
      name: 'EDK2 by PXE on x86-64 (checklist 60, 63)',
      ...{ kind: 'uefi-x64', image: 'pc' },
      told: [/boots by snponly\.efi/, SCRIPT],
    },
    {
      name: 'EDK2 by HTTP on x86-64 (checklist 60, 63)',
      ...{ kind: 'uefi-x64', image: 'pc', extra: ONLY_HTTP },
      told: [new RegExp(`boots by http://${OURS}/\\w{8}/snponly\\.efi`), SCRIPT],
    },
    {
      name: 'EDK2 by PXE on arm64 (checklist 60, 63)',
      ...{ kind: 'uefi-arm64', image: 'web' },
      told: [/boots by ipxe-arm64\.efi/, SCRIPT],
    },
    {
      name: 'EDK2 by HTTP on arm64 (checklist 60, 63)',
      ...{ kind: 'uefi-arm64', image: 'web', extra: ONLY_HTTP },
      told: [new RegExp(`boots by http://${OURS}/\\w{8}/ipxe-arm64\\.efi`), SCRIPT],
    },
    {
      name: 'U-Boot by boot.scr.uimg on arm64 (checklist 62)',
      ...{ kind: 'u-boot', image: 'web' },
      told: [/runs the script boot\.scr\.uimg/],
    },
    {
      name: 'U-Boot by pxelinux.cfg on arm64 (checklist 62)',
      ...{ kind: 'u-boot', image: 'web' },
      dialogue: [
        [/Hit any key to stop autoboot/, '\n'],
        [/=> $/, 'dhcp && pxe get && pxe boot\n'],
      ],
      told: [/runs the script boot\.scr\.uimg/],
    },
  ];

  // What is started is the node's kernel, with the node's command line.
  for (const [index, each] of cases.entries()) {
    it(each.name, () => bootsAs(appliance, each, `52:54:52:54:00:0${index + 1}`));
  }

  it('one that was not added waits, is named, and is told nothing', async () => {
    const mac = '52:54:52:54:00:20';
    const guest = await Guest.powerOn(appliance, 'bios', mac);
    try {
      await guest.prints(/Nothing to boot/, BOOT_MS);
      const waiting = (await appliance.nodes()).waiting.find((found) => found.mac === mac);
      assert.equal(waiting?.machine, 'iPXE (BIOS)');
    } finally {
      await guest.off();
    }
  });
});

describe('and so beside another DHCP server', { timeout: 60 * 60_000 }, () => {
  let appliance: Appliance;
  let router: Host;

  before(async () => {
    appliance = await Appliance.make('beside', 'dhcp: proxy', { nfs: 'none', generations: 'generations' });
    router = await startRouter(appliance);
    await appliance.start();
    await sealImages(appliance);
  });
  after(async () => {
    await router?.unplug();
    await appliance?.remove();
  });

  const cases: readonly Case[] = [
    { name: 'iPXE in a network card (checklist 61)', kind: 'bios', image: 'pc', told: [SCRIPT] },
    {
      name: 'EDK2 by PXE on x86-64 (checklist 60, 63)',
      ...{ kind: 'uefi-x64', image: 'pc' },
      told: [/boots by snponly\.efi/, SCRIPT],
    },
    {
      name: 'EDK2 by HTTP on arm64 (checklist 60, 63)',
      ...{ kind: 'uefi-arm64', image: 'web', extra: ONLY_HTTP },
      told: [new RegExp(`boots by http://${OURS}/\\w{8}/ipxe-arm64\\.efi`), SCRIPT],
    },
  ];
  for (const [index, each] of cases.entries()) {
    it(each.name, () => bootsAs(appliance, each, `52:54:52:54:01:0${index + 1}`));
  }
});
