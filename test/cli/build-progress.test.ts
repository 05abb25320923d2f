import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { PlainProgress } from '../../src/cli/build-progress.ts';
import { ByteMeter } from '../../src/cli/byte-meter.ts';
import { ProgressPost } from '../../src/cli/progress-post.ts';
import type { BuildProgress } from '../../src/imaging/build.ts';

const place = (index: number) => ({ step: `web/step-${index}`, name: `do ${index}`, index, of: 12 });

const BUILD: readonly BuildProgress[] = [
  { kind: 'waiting', owner: { pid: 7, image: 'pc', since: '2026-11-21T10:00:00Z' } },
  { kind: 'cached', bytes: 12_000_000, ...place(0) },
  { kind: 'line', line: 'looking for packages', ...place(1) },
  { kind: 'started', ...place(1) },
  { kind: 'bytes', done: 0, total: 9_000_000, ...place(1) },
  { kind: 'bytes', done: 9_000_000, total: 9_000_000, ...place(1) },
  { kind: 'finished', seconds: 12.34, bytes: 5_000_000, ...place(1) },
];

describe('progress without a terminal', () => {
  for (const verbose of [false, true]) {
    it(`is a line whenever a step starts or ends${verbose ? ', and all that it prints' : ''}`, () => {
      const lines: string[] = [];
      const view = new PlainProgress((line) => void lines.push(line), verbose);
      for (const event of BUILD) view.show(event);
      assert.deepEqual(lines, [
        'waiting for another build of pc (process 7, since 2026-11-21T10:00:00Z)',
        '[ 1/12] web/step-0: do 0: cached, 12.0 MB',
        ...(verbose ? ['    looking for packages'] : []),
        '[ 2/12] web/step-1: do 1',
        '[ 2/12] web/step-1: do 1: 12.3 s, 5.0 MB, fetched 9.0 MB',
      ]);
    });
  }
});

describe('progress on a terminal', () => {
  const program = `
    const { openProgressView } = await import(${JSON.stringify(import.meta.resolve('../../src/cli/build-progress.ts'))});
    const view = await openProgressView({ verbose: false, json: false });
    const place = (index) => ({ step: 'web/step-' + index, name: 'do', index, of: 3 });
    view.show({ kind: 'cached', bytes: 1000, ...place(0) });
    view.show({ kind: 'started', ...place(1) });
    for (const done of [0, 5e6, 9e6]) {
      view.show({ kind: 'bytes', done, total: 9e6, ...place(1) });
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    view.show({ kind: 'finished', seconds: 2, ...place(1) });
    view.show({ kind: 'line', line: '\\x1b[2Jsetting up', ...place(2) });
    view.show({ kind: 'started', ...place(2) });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await view.end('failed');
    console.log('the end');`;
  /** script(1) gives the program a terminal and its output to us. */
  const onTerminal = async (size: string): Promise<string> => {
    const command = `stty ${size}; exec "${process.execPath}" --input-type=module -e "$PROGRAM"`;
    const { stdout } = await promisify(execFile)('script', ['-qec', command, '/dev/null'], {
      env: { PATH: process.env.PATH ?? '', TERM: 'xterm', PROGRAM: program },
    });
    return stdout.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g'), '');
  };

  it('shows each step that was reached, with its newest line or how far it is', async () => {
    const shown = await onTerminal('cols 100 rows 24');
    assert.match(shown, /5\.0 MB of 9\.0 MB, \d+\.\d MB\/s, 1 s left/);
    assert.match(shown, /› setting up/, 'and nothing that moves the cursor');
    const end = shown.split('\n').slice(-5).join('\n');
    assert.match(
      end,
      /↓ \[1\/3\] web\/step-0: do: cached, 1\.0 kB\r\n✔ \[2\/3\] web\/step-1: do: 2\.0 s, fetched 9\.0 MB\r\n✖ \[3\/3\] web\/step-2: do\r\n.*the end/,
    );
  });

  it('is lines on one that does not tell its size', async () => {
    assert.match(await onTerminal('cols 0 rows 0'), /^\[1\/3\] web\/step-0: do: cached, 1\.0 kB\r\n\[2\/3\]/);
  });
});

describe('ByteMeter', () => {
  it('tells how far, how fast and how long still', () => {
    const meter = new ByteMeter();
    assert.equal(meter.show(0, 0, 10_000_000), '0 B of 10.0 MB');
    assert.equal(meter.show(1000, 2_000_000, 10_000_000), '2.0 MB of 10.0 MB, 2.0 MB/s, 4 s left');
    assert.equal(meter.show(2000, 10_000_000, 10_000_000), '10.0 MB of 10.0 MB, 5.0 MB/s');
    assert.equal(meter.sum, 10_000_000);
  });

  it('takes the rate over the last seconds, not over all', () => {
    const meter = new ByteMeter();
    for (let second = 0; second < 100; second++) meter.show(second * 1000, second * 1_000_000);
    assert.equal(meter.show(100_000, 99_000_000), '99.0 MB, 666.7 kB/s', 'two million in three seconds');
    assert.equal(meter.show(110_000, 99_000_000), '99.0 MB', 'it stands still');
  });

  it('adds up transfers that follow each other', () => {
    const meter = new ByteMeter();
    for (const done of [0, 5, 9, 1, 4]) meter.show(0, done);
    assert.equal(meter.sum, 13);
  });
});

describe('ProgressPost', () => {
  it('tells the service in order what the API takes', async () => {
    const told: unknown[] = [];
    const post = new ProgressPost(async (body) => void told.push(body));
    for (const event of BUILD) post.show(event);
    post.fail(new Error('no more disk'));
    await post.end();
    const second = { step: 'web/step-1', index: 2, of: 12 };
    assert.deepEqual(told, [
      { step: 'web/step-0', index: 1, of: 12, state: 'cached', bytes: 12_000_000 },
      { ...second, state: 'progress', text: 'looking for packages' },
      { ...second, state: 'started', text: 'do 1' },
      { ...second, state: 'finished', seconds: 12.34, bytes: 5_000_000 },
      { ...second, state: 'failed', text: 'no more disk' },
    ]);
  });

  it('tells of lines and bytes only now and then', async () => {
    let [count, clock] = [0, 0];
    const post = new ProgressPost(
      async () => void count++,
      () => clock,
    );
    for (; clock < 5000; clock += 10) {
      post.show({ kind: 'bytes', done: clock, total: 5000, ...place(1) });
      await new Promise(setImmediate);
    }
    await post.end();
    assert.equal(count, 10);
  });

  it('heaps up nothing for a service that is slow', async () => {
    const told: string[] = [];
    const slow = Promise.withResolvers<void>();
    let clock = 0;
    const post = new ProgressPost(
      async ({ state }) => {
        told.push(state);
        await slow.promise;
      },
      () => clock,
    );
    for (; clock < 60_000; clock += 1000) {
      post.show({ kind: 'line', line: 'unpacking', ...place(1) });
      await new Promise(setImmediate);
    }
    post.show({ kind: 'finished', seconds: 60, ...place(1) });
    slow.resolve();
    await post.end();
    assert.deepEqual(told, ['progress', 'finished']);
  });

  it('gives up on a service that is away, and never fails the build', async () => {
    let tries = 0;
    const post = new ProgressPost(async () => {
      tries++;
      throw new Error('nobody there');
    });
    for (let index = 0; index < 12; index++) post.show({ kind: 'started', ...place(index) });
    await post.end();
    assert.equal(tries, 3);
  });
});
