import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { arch } from 'node:process';
import { test } from 'node:test';
import { checkPrograms } from '../../../src/imaging/run/preflight.ts';
import { CommandError, type Run } from '../../../src/model/command.ts';

/** A machine that has all programs and allows no namespaces. */
const run: Run = async (program, args) => {
  if (args.includes('--version')) return '';
  const details = { argv: [program], exitCode: 1, stderrTail: 'unshare: Operation not permitted' };
  throw new CommandError('"unshare" failed', details);
};

const OWN = arch === 'arm64' ? 'arm64' : 'amd64';
const CASES = [
  {
    target: OWN,
    expect: /^Refusal: Namespaces cannot be made here \(unshare: .*\)\. Build where root may mount/,
  },
  { target: 'armhf', expect: /^Refusal: Programs of another .*\. Install qemu-user-static, and build where/ },
] as const;

for (const { target, expect } of CASES) {
  test(`where nothing may be mounted, the remedy for ${target === OWN ? 'its own' : 'another'} architecture`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'netboot-preflight-'));
    try {
      await assert.rejects(checkPrograms(run, folder, target, []), (error) => {
        assert.match(String(error), expect);
        return true;
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
}
