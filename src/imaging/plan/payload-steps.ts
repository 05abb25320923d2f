import type { ImageSettings } from '../recipe/chain.ts';
import { firmwareBuilds, initramfsInputs, READS } from './payload-reads.ts';
import type { Arch, PackageRequest, Step } from './step.ts';

/** What of an image the firmware and the boot loaders of its nodes fetch, and the root they mount. */
export interface Payload {
  readonly image: string;
  readonly arch: Arch;
  readonly boot: ImageSettings['boot'];
  /** Where boot loaders come from: from where the image's own packages do. */
  readonly archive: Pick<PackageRequest, 'suite' | 'components' | 'mirror'>;
}

/** The steps after `clean`: what each leaves in its $OUT becomes part of the generation's `boot/`, but for the squashed root. */
export function payloadSteps({ image, arch, boot, archive }: Payload): readonly Step[] {
  const artifact = (script: keyof typeof READS, name: string, rest: Partial<Step>): Step => ({
    id: `${image}/${script}`,
    name,
    script,
    variables: {},
    inputs: [],
    output: 'artifact',
    reads: READS[script],
    ...rest,
  });
  const { kernel, initramfs, initramfsModules, loaders, config } = boot;
  return [
    ...(initramfs === undefined
      ? []
      : [
          artifact('initramfs', 'make the initramfs', {
            variables: { INITRAMFS: initramfs, MODULES: initramfsModules.toSorted().join(' ') },
            inputs: initramfsInputs(arch),
          }),
        ]),
    artifact('boot-tree', arch === 'amd64' ? 'take the kernel' : 'collect firmware and kernel', {
      variables: { KERNEL: kernel, FIRMWARE: firmwareBuilds(config) },
    }),
    ...(loaders.length === 0
      ? []
      : [
          artifact('loaders', `add ${loaders.join(', ')}`, {
            variables: { LOADERS: loaders.join(' ') },
            ...(loaders.includes('ipxe') ? { packages: fetching(['ipxe'], arch, archive) } : {}),
          }),
        ]),
    {
      id: `${image}/squash`,
      name: 'squash the root',
      script: 'squash',
      variables: {},
      inputs: [],
      output: 'seal',
    },
  ];
}

/** Where the root came from Debian's archive, that is asked; otherwise the root's own sources. */
function fetching(fetchOnly: readonly string[], arch: Arch, archive: Payload['archive']): PackageRequest {
  const onto = archive.suite === undefined ? 'root' : 'debian';
  return { onto, arch, ...archive, add: [], remove: [], upgrade: false, fetchOnly, local: [] };
}
