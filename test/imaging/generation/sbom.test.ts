import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { parsePackages, renderSbom, type SbomOrder } from '../../../src/imaging/generation/sbom.ts';

/** The schema of the standard itself, as the CycloneDX project's own library ships it. */
const SCHEMAS = join(
  dirname(fileURLToPath(import.meta.resolve('@cyclonedx/cyclonedx-library/package.json'))),
  'res/schema',
);
const schema = async (name: string) =>
  JSON.parse(await readFile(join(SCHEMAS, `${name}.SNAPSHOT.schema.json`), 'utf8'));

const ORDER: SbomOrder = {
  image: 'web',
  version: 'e'.repeat(64),
  packages: parsePackages(
    [
      'nginx 1.26.3-3+deb13u1 arm64 nginx 1.26.3-3+deb13u1',
      'libstdc++6 14.2.0-19 arm64 gcc-14 14.2.0-19',
      'login 1:4.16.0-2+really2.41-5 arm64 util-linux 2.41-5',
      'netbase 6.5 all netbase 6.5',
      '',
    ].join('\n'),
  ),
  osRelease:
    'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nVERSION_CODENAME=trixie\nID=debian\n',
  epoch: 1_760_000_000,
};

const locked = (name: string, version: string, purpose: 'install' | 'fetch only') => ({
  name,
  version,
  architecture: 'arm64',
  sha256: 'c'.repeat(64),
  size: 7,
  filename: `pool/main/${name}.deb`,
  purpose,
});
const LOCK = {
  version: 1,
  image: 'web',
  steps: {
    'web/packages': { packages: [locked('nginx', '1.26.3-3+deb13u1', 'install')], removed: [] },
    'web/loaders': { packages: [locked('ipxe', '1.21.1', 'fetch only')], removed: [] },
  },
} as const;

const components = (order: SbomOrder): Array<Record<string, unknown>> =>
  JSON.parse(renderSbom(order)).components;

describe('renderSbom', () => {
  const given: ReadonlyArray<{ given: string; order: SbomOrder }> = [
    { given: 'a Debian image', order: ORDER },
    { given: 'one with a lock', order: { ...ORDER, lock: LOCK } },
    {
      given: 'one without packages or a name of its system',
      order: { ...ORDER, packages: [], osRelease: '' },
    },
  ];
  for (const { given: what, order } of given) {
    it(`is CycloneDX 1.6 for ${what}`, async () => {
      const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
      ajv.addSchema(await schema('jsf-0.82'), 'http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json');
      ajv.addSchema(await schema('spdx'), 'http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json');
      const isValid = ajv.compile(await schema('bom-1.6'));
      assert.ok(isValid(JSON.parse(renderSbom(order))), JSON.stringify(isValid.errors));
      assert.ok(
        !isValid({ ...JSON.parse(renderSbom(order)), components: [{ name: 'nothing' }] }),
        'the schema is at work',
      );
    });
  }

  it('names packages by their package URL', () => {
    assert.deepEqual(
      components(ORDER).map(({ purl }) => purl),
      [
        'pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=arm64&distro=trixie',
        'pkg:deb/debian/login@1:4.16.0-2%2Breally2.41-5?arch=arm64&distro=trixie',
        'pkg:deb/debian/netbase@6.5?arch=all&distro=trixie',
        'pkg:deb/debian/nginx@1.26.3-3%2Bdeb13u1?arch=arm64&distro=trixie',
      ],
    );
  });

  it('tells the hashes of packages that are locked, and what is in the boot tree alone', () => {
    const found = components({ ...ORDER, lock: LOCK });
    const byName = (name: string) => found.find((each) => each.name === name);
    assert.deepEqual(byName('nginx')?.hashes, [{ alg: 'SHA-256', content: 'c'.repeat(64) }]);
    assert.equal(byName('netbase')?.hashes, undefined);
    assert.deepEqual(byName('ipxe')?.properties, [{ name: 'netboot:use', value: 'boot' }]);
  });

  it('is the same for the same packages in another order', () => {
    assert.equal(renderSbom({ ...ORDER, packages: ORDER.packages.toReversed() }), renderSbom(ORDER));
  });
});
