import { type BootView, indexByTail } from '../../src/model/boot-view.ts';
import { generationSchema, type StoredGeneration } from '../../src/model/generation.ts';
import type { Network } from '../../src/model/network.ts';
import { type Node, nodeSchema } from '../../src/model/node.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';

const SHA = '0'.repeat(64);

/** A sealed generation with these boot files (name → size), as the schema accepts it. */
export function sampleGeneration(
  image: string,
  files: Record<string, number>,
  folder: string,
): StoredGeneration {
  const generation = generationSchema.parse({
    id: `${image}-0123456789ab`,
    image,
    arch: 'arm64',
    sealedAt: '2026-01-02T03:04:05Z',
    recipeKey: SHA,
    root: { size: 1, sha256: SHA },
    boot: {
      kernel: 'vmlinuz',
      initramfs: 'initrd.img',
      config: ['arm_64bit=1', '[pi4]', 'max_framebuffers=2'],
      cmdline: ['console=serial0,115200', 'console=tty1'],
      files: Object.fromEntries(Object.entries(files).map(([name, size]) => [name, { size, sha256: SHA }])),
    },
    roles: { web: { target: 'web-cluster-node.target' } },
    packages: {},
  });
  return { ...generation, folder };
}

export const sampleNode = (fields: Record<string, string>): Node =>
  nodeSchema.parse({ name: `pi-${fields.serial}`, image: 'web', ...fields });

export const sampleNetwork: Network = {
  interface: 'eth0',
  address: '192.168.172.1' as Ipv4,
  subnet: { network: '192.168.172.0' as Ipv4, prefix: 24 },
  mtu: 1500,
  dhcp: 'full',
  dns: [],
  leaseSeconds: 3600,
};

/** A view of these nodes and generations, its look-up maps filled as the fleet fills them. */
export function sampleView(
  nodes: readonly Node[],
  generations: readonly StoredGeneration[],
  policy: BootView['policy'] = { unknown: 'hold' },
): BootView {
  return {
    revision: 1,
    networks: new Map([['eth0', sampleNetwork]]),
    nodes: new Map(nodes.map((node) => [node.serial, node])),
    nodesByMac: new Map(nodes.flatMap((node) => (node.mac ? [[node.mac, node]] : []))),
    nodesByTail: indexByTail(nodes),
    nodesByIp: new Map(nodes.flatMap((node) => (node.ip ? [[node.ip, node]] : []))),
    published: new Map(generations.map((generation) => [generation.image, generation])),
    policy,
    exportsFolder: '/exports',
  };
}
