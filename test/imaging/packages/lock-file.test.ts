import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatLock, parseLock } from '../../../src/imaging/packages/lock-file.ts';
import type { Lock, LockedPackage } from '../../../src/imaging/plan/step.ts';

const A = 'a'.repeat(64);
const nginx: LockedPackage = {
  name: 'nginx',
  version: '1:1.26.3-3+deb13u11~x',
  architecture: 'arm64',
  sha256: A,
  size: 573_000,
  filename: 'pool/main/n/nginx/nginx_1.26.3-3+deb13u11_arm64.deb',
  purpose: 'install',
};
const ipxe: LockedPackage = { ...nginx, name: 'ipxe', architecture: 'all', purpose: 'fetch only' };
const lock: Lock = {
  version: 1,
  image: 'web',
  steps: {
    'web/packages': { packages: [nginx, ipxe], removed: ['vim', 'nano'] },
    'base/bootstrap': { packages: [], removed: [] },
  },
};

describe('image.lock', () => {
  it('has a package on each line, under its step, in an order that does not change', () => {
    const lines = formatLock(lock).split('\n').slice(2);
    assert.deepEqual(lines, [
      'netboot-lock 1 web',
      '',
      '[base/bootstrap]',
      '',
      '[web/packages]',
      `ipxe 1:1.26.3-3+deb13u11~x all ${A} 573000 pool/main/n/nginx/nginx_1.26.3-3+deb13u11_arm64.deb fetch-only`,
      `nginx 1:1.26.3-3+deb13u11~x arm64 ${A} 573000 pool/main/n/nginx/nginx_1.26.3-3+deb13u11_arm64.deb`,
      '- nano',
      '- vim',
      '',
    ]);
  });

  it('is read as it was written', () => {
    const name = fc.stringMatching(/^[a-z0-9][a-z0-9+.-]{1,20}$/);
    const one = fc.record({
      name,
      version: fc.stringMatching(/^[0-9][0-9A-Za-z.+~:-]{0,20}$/),
      architecture: fc.constantFrom('all', 'arm64', 'armhf', 'amd64'),
      sha256: fc.stringMatching(/^[0-9a-f]{64}$/),
      size: fc.integer({ min: 1, max: 1e11 }),
      filename: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9 +%~_äß#.-]{0,20}$/),
      purpose: fc.constantFrom('install' as const, 'fetch only' as const),
    });
    const section = fc.record({ packages: fc.array(one), removed: fc.array(name) });
    const steps = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}\/[a-z]{1,8}$/), section);
    fc.assert(
      fc.property(steps, (given) => {
        const written = formatLock({ version: 1, image: 'x', steps: given });
        const read = parseLock(written, 'image.lock');
        assert.equal(formatLock(read), written);
        for (const [id, { packages }] of Object.entries(given)) {
          const line = (p: LockedPackage) => JSON.stringify(Object.entries(p).toSorted());
          assert.deepEqual(read.steps[id]?.packages.map(line).toSorted(), packages.map(line).toSorted());
        }
      }),
      { numRuns: 200 },
    );
  });

  for (const { given, text, expect } of [
    { given: 'nothing', text: '', expect: /^x\.lock:1: the lock is empty/ },
    {
      given: 'another file',
      text: '{"a": 1}',
      expect: /^x\.lock:1: a lock begins with "netboot-lock 1 <image>"/,
    },
    { given: 'a later version', text: 'netboot-lock 2 web', expect: /:1: a lock begins with/ },
    {
      given: 'a package before a step',
      text: 'netboot-lock 1 web\nnginx',
      expect: /:2: a package stands before/,
    },
    {
      given: 'a step twice',
      text: 'netboot-lock 1 web\n[a/b]\n\n[a/b]',
      expect: /:4: the step a\/b comes twice/,
    },
    {
      given: 'a short line',
      text: 'netboot-lock 1 web\n[a/b]\nnginx 1.0 all',
      expect: /:3: a package is "name version/,
    },
    {
      given: 'a name with an option in it',
      text: `netboot-lock 1 web\n[a/b]\n--root=/ 1 all ${A} 1 x`,
      expect: /:3: "--root=\/" is no name/,
    },
    {
      given: 'a short sum',
      text: 'netboot-lock 1 web\n[a/b]\nnginx 1.0 all abc 12 x.deb',
      expect: /:3: "abc" is no SHA-256/,
    },
    {
      given: 'a size that is none',
      text: `netboot-lock 1 web\n[a/b]\nnginx 1 all ${A} -2 x.deb`,
      expect: /:3: "-2" is no size/,
    },
    {
      given: 'a path that leaves the archive',
      text: `netboot-lock 1 web\n[a/b]\nnginx 1 all ${A} 2 ../x`,
      expect: /:3: "\.\.\/x" is no path/,
    },
    {
      given: 'an escaped path',
      text: `netboot-lock 1 web\n[a/b]\nnginx 1 all ${A} 2 %zz`,
      expect: /:3: "%zz" is no path/,
    },
    {
      given: 'an unknown word',
      text: `netboot-lock 1 web\n[a/b]\nnginx 1 all ${A} 2 x later`,
      expect: /:3: "later" is unknown/,
    },
  ]) {
    it(`refuses ${given}, by its line`, () => {
      assert.throws(() => parseLock(text, 'x.lock'), { name: 'Refusal', message: expect });
    });
  }
});
