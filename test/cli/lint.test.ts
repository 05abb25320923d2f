import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { DEBIAN, type Files, imagesFolder } from '../imaging/recipe/folder.ts';

const NETBOOT = resolve(import.meta.dirname, '../../scripts/netboot');

/** Runs `netboot lint-image` on these images. */
async function lint(files: Files, ...args: string[]) {
  await using folder = await imagesFolder(files);
  const config = join(folder.path, 'netboot.yaml');
  await writeFile(config, `interfaces: {lo: {dhcp: off}}\npaths: {images: ${folder.path}}\n`);
  const options = { cwd: folder.path, encoding: 'utf8', timeout: 30_000 } as const;
  const { status, stdout, stderr } = spawnSync(NETBOOT, ['-c', config, 'lint-image', ...args], options);
  return { status, stdout, stderr };
}

const WRONG = {
  'base/image.yaml': `${DEBIAN}variables: {port: {type: integer, default: 80}}\nunits: {enable: [a.service], mask: [a.service]}\n`,
  'web/image.yaml': 'base: {from: base}\npackage: [nginx]\n',
};

describe('netboot lint-image', () => {
  it('says all of it, the shortest way to the file, and ends with 1', async () => {
    const { status, stdout } = await lint(WRONG);
    assert.equal(status, 1);
    const lines = stdout.trimEnd().split('\n');
    assert.match(lines[0] ?? '', /^base\/image\.yaml:3: units\.enable\.0: .* \(warning\)$/);
    assert.match(lines[1] ?? '', /^web\/image\.yaml:2: package: there is no such key; /);
    assert.equal(lines[2], '2 images: 1 mistake, 1 warning');
  });

  it('is content with warnings', async () => {
    const { status, stdout } = await lint(WRONG, 'base');
    assert.equal(status, 0);
    assert.match(stdout, /^the image base: no mistakes, 1 warning$/m);
  });

  it('has it for programs', async () => {
    const { status, stdout } = await lint(WRONG, '--json');
    assert.equal(status, 1);
    const { images, findings } = JSON.parse(stdout) as {
      images: string[];
      findings: Record<string, unknown>[];
    };
    assert.deepEqual(images, ['base', 'web']);
    assert.deepEqual(
      findings.map(({ severity, line, key }) => ({ severity, line, key })),
      [
        { severity: 'warning', line: 3, key: 'units.enable.0' },
        { severity: 'mistake', line: 2, key: 'package' },
      ],
    );
  });

  it('checks values for variables', async () => {
    const { status, stdout } = await lint(WRONG, 'base', '--set', 'port=http');
    assert.deepEqual([status, stdout.split('\n')[0]], [1, '--set: port: must be a whole number']);
  });

  it('refuses an image that is not there', async () => {
    const { status, stderr } = await lint(WRONG, 'wbe');
    assert.equal(status, 1);
    assert.match(stderr, /^netboot: There is no image "wbe" .* There are: base, web$/m);
  });

  it('refuses a value without its variable', async () => {
    const { status, stderr } = await lint(WRONG, 'base', '--set', 'port');
    assert.deepEqual(
      [status, stderr],
      [1, 'netboot: "--set port" sets nothing. Write it as --set variable=value.\n'],
    );
  });
});
