import type { Lock } from '../plan/step.ts';

/** An installed Debian package, as dpkg knows it. */
export interface InstalledPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Of the source package it was built from. */
  readonly source: string;
  readonly sourceVersion: string;
}

export interface SbomOrder {
  readonly image: string;
  /** Of the generation: its content hash. */
  readonly version: string;
  readonly packages: readonly InstalledPackage[];
  /** Tells the hashes of package files, and those that were unpacked and never installed. */
  readonly lock?: Lock | undefined;
  /** The text of os-release(5). */
  readonly osRelease: string;
  /** Seconds since 1970 that the build counts as now. */
  readonly epoch: number;
}

/** `packages.txt` of steps/listing.sh; an older one has a name and a version alone. */
export function parsePackages(text: string): InstalledPackage[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [name = '', version = '', architecture = '', source = name, sourceVersion = version] =
      line.split(' ');
    return { name, version, architecture, source, sourceVersion };
  });
}

/**
 * The bill of materials, CycloneDX 1.6 (ECMA-424) as JSON. The same generation gives the same bytes: it has no serial number of
 * its own, and its time is the build's epoch.
 */
export function renderSbom(order: SbomOrder): string {
  const { ID = 'debian', VERSION_CODENAME, VERSION_ID = '' } = parseOsRelease(order.osRelease);
  const distro = VERSION_CODENAME ?? (VERSION_ID && `${ID}-${VERSION_ID}`);
  const locked = Object.values(order.lock?.steps ?? {}).flatMap(({ packages }) => packages);
  const fileOf = new Map(locked.map((each) => [`${each.name} ${each.version} ${each.architecture}`, each]));
  const component = (found: InstalledPackage, properties: Readonly<Record<string, string>>) => {
    const { name, version, architecture } = found;
    const reference = purl(ID, name, version, { arch: architecture, distro });
    const file = fileOf.get(`${name} ${version} ${architecture}`);
    return {
      type: 'library',
      'bom-ref': reference,
      name,
      version,
      ...(file ? { hashes: [{ alg: 'SHA-256', content: file.sha256 }] } : {}),
      purl: reference,
      properties: Object.entries(properties).map(([key, value]) => ({ name: `netboot:${key}`, value })),
    };
  };
  const installed = order.packages.map((found) =>
    component(found, { source: found.source, sourceVersion: found.sourceVersion }),
  );
  const unpacked = locked
    .filter(({ purpose }) => purpose === 'fetch only')
    .map((found) =>
      component({ ...found, source: found.name, sourceVersion: found.version }, { use: 'boot' }),
    );
  const components = [
    ...new Map([...unpacked, ...installed].map((each) => [each['bom-ref'], each])).values(),
  ];
  components.sort((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : 1));
  const image = {
    type: 'operating-system',
    'bom-ref': order.image,
    name: order.image,
    version: order.version,
  };
  const bom = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: new Date(order.epoch * 1000).toISOString(),
      tools: { components: [{ type: 'application', name: 'netboot' }] },
      component: image,
    },
    components,
    dependencies: [{ ref: order.image, dependsOn: components.map((each) => each['bom-ref']) }],
  };
  return `${JSON.stringify(bom, undefined, 2)}\n`;
}

/** A package URL (purl-spec, type `deb`): colons of a version stay as they are. */
function purl(vendor: string, name: string, version: string, qualifiers: Record<string, string>): string {
  const encode = (text: string) => encodeURIComponent(text).replaceAll('%3A', ':');
  const pairs = Object.entries(qualifiers).filter(([, value]) => value !== '');
  const query = pairs.map(([key, value]) => `${key}=${encode(value)}`).join('&');
  return `pkg:deb/${encode(vendor)}/${encode(name)}@${encode(version)}${query && `?${query}`}`;
}

/** os-release(5): shell-like assignments. */
function parseOsRelease(text: string): Partial<Record<string, string>> {
  const pairs = text.matchAll(/^([A-Z_]+)=(["']?)(.*)\2$/gm);
  return Object.fromEntries([...pairs].map(([, key = '', , value = '']) => [key, value]));
}
