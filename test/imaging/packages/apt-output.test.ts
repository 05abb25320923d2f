import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeAptFailure } from '../../../src/imaging/packages/apt-failure.ts';
import { lockedPackage, parseSimulation, parseStanzas } from '../../../src/imaging/packages/apt-output.ts';

describe('parseSimulation', () => {
  it('reads what is installed, from whatever archive, what is upgraded and what goes', () => {
    const said = `NOTE: This is only a simulation!
Inst libc6 (2.41-12+deb13u4 Debian:13.7/stable [arm64]) []
Inst nginx-common [1.26.3-3] (1.26.3-3+deb13u11 Debian-Security:13/stable-security, Debian:13.7/stable [all])
Inst libc6:armhf (2.41-12 Debian:13.7/stable [armhf])
Inst own (1:7~x local-deb [all])
Conf libc6 (2.41-12+deb13u4 Debian:13.7/stable [arm64])
Remv sysvinit-core [3.14-4] [init:arm64 ]
Purg vim:armhf [2:9.1]
`;
    assert.deepEqual(parseSimulation(said), {
      install: [
        { name: 'libc6', version: '2.41-12+deb13u4', architecture: 'arm64' },
        { name: 'nginx-common', version: '1.26.3-3+deb13u11', architecture: 'all' },
        { name: 'libc6', version: '2.41-12', architecture: 'armhf' },
        { name: 'own', version: '1:7~x', architecture: 'all' },
      ],
      remove: ['sysvinit-core', 'vim'],
    });
  });
});

describe('parseStanzas', () => {
  const stanza = `Package: nginx
Version: 1
Architecture: all
Description: a server
 Version: 2 is not a field
Filename: ./pool/n/nginx_1_all.deb
Size: 12
SHA256: ${'a'.repeat(64)}
`;
  it('reads each package, and no field of a folded line', () => {
    const [first, second] = parseStanzas(`${stanza}\n${stanza.replace('nginx', 'other')}`);
    assert.equal(first?.get('Version'), '1');
    assert.equal(second?.get('Package'), 'other');
    const locked = lockedPackage(first ?? new Map(), 'install');
    assert.deepEqual([locked?.filename, locked?.size], ['pool/n/nginx_1_all.deb', 12]);
  });
  it('makes no locked package of a stanza without a sum', () => {
    const [fields] = parseStanzas(stanza.replace(/SHA256.*/, ''));
    assert.equal(lockedPackage(fields ?? new Map(), 'install'), undefined);
  });
});

describe('describeAptFailure', () => {
  for (const { says, expect } of [
    { says: "E: Package 'awk' has no installation candidate", expect: /no package "awk"/ },
    { says: "E: Version '9' for 'nginx' was not found", expect: /no package "nginx"/ },
    { says: 'E: You do not have enough free space in /x.', expect: /the disk is full\. Make room/ },
    { says: "W: Could not resolve 'mirror.test'", expect: /the mirror mirror\.test cannot be reached/ },
    {
      says: 'E: Release file for http://m/InRelease is not valid yet (invalid for another 3h)',
      expect: /http:\/\/m\/InRelease is out of date/,
    },
    { says: 'E: something new', expect: /^Doing: E: something new\. Mend/ },
  ]) {
    it(`says in a line what "${says}" means`, () => {
      const { message, name } = describeAptFailure('Doing', ['Reading…', says], undefined);
      assert.equal(name, 'Refusal');
      assert.match(message, expect);
    });
  }
});
