import { createHash } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DHCP_TARGETS } from './dhcp-targets.ts';
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import { SIM_TARGETS } from './sim-targets.ts';
import type { Target } from './target.ts';
import { TEXT_TARGETS } from './text-targets.ts';
import { TFTP_TARGETS } from './tftp-targets.ts';
import { TRANSFER_TARGETS } from './transfer-targets.ts';
import { WIRE_TARGETS } from './wire-targets.ts';

/** Every parser that reads what others wrote. */
export const TARGETS: readonly Target[] = [
  ...DHCP_TARGETS,
  ...TFTP_TARGETS,
  ...TRANSFER_TARGETS,
  ...WIRE_TARGETS,
  ...TEXT_TARGETS,
  ...SIM_TARGETS,
];

const FIXTURES = join(import.meta.dirname, 'fixtures');

/** Of the processor's time: more than any input may take. A pause for garbage does not come thrice. */
const LONGEST_MS = 100;

export interface Finding {
  readonly target: string;
  readonly input: Uint8Array;
  readonly error: unknown;
}

/** Has the target read so many relatives of its seeds. The first that breaks it ends it. */
export function fuzz(target: Target, seed: number, untilMs: number, most = Number.POSITIVE_INFINITY) {
  const random = new Random(seed);
  const seeds = [
    ...target.seeds,
    ...fixtures()
      .filter((each) => each.target === target.name)
      .map((each) => each.input),
  ];
  let count = 0;
  for (; count < most && (count % 64 !== 0 || performance.now() < untilMs); count++) {
    const input = mutate(random.pick(seeds), random, seeds);
    const error = probe(target, input);
    if (error !== undefined)
      return { count, finding: { target: target.name, input, error } satisfies Finding };
  }
  return { count, finding: undefined };
}

/** What goes wrong when the target reads this, its slowness included; `undefined` when nothing does. */
export function probe(target: Target, input: Uint8Array): unknown {
  try {
    for (let tries = 0; tries < 3; tries++) {
      const before = process.threadCpuUsage();
      target.read(input);
      const { user, system } = process.threadCpuUsage(before);
      if ((user + system) / 1000 < LONGEST_MS) return undefined;
    }
    return new Error(`it takes more than ${LONGEST_MS} ms`);
  } catch (error) {
    return error;
  }
}

/** The inputs that once broke something; each stays, so that it does not come back. */
export function fixtures(): Array<{ target: string; name: string; input: Uint8Array }> {
  return globSync('*/*.bin', { cwd: FIXTURES })
    .toSorted()
    .map((path) => ({
      target: dirname(path),
      name: basename(path, '.bin'),
      input: readFileSync(join(FIXTURES, path)),
    }));
}

/** Keeps it as a fixture; gives the file. */
export function keep({ target, input }: Pick<Finding, 'target' | 'input'>): string {
  const name = createHash('sha256').update(input).digest('hex').slice(0, 12);
  const file = join(FIXTURES, target, `${name}.bin`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, input);
  return file;
}
