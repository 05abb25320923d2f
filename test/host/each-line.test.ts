import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eachLine } from '../../src/host/each-line.ts';
import { run } from '../../src/host/run.ts';

async function* inPieces(...pieces: Array<string | Uint8Array>) {
  for (const piece of pieces) yield Buffer.from(piece);
}

async function linesOf(...pieces: Array<string | Uint8Array>): Promise<string[]> {
  const lines: string[] = [];
  await eachLine(inPieces(...pieces), (line) => lines.push(line));
  return lines;
}

describe('each line of a program', () => {
  it('comes whole, however it was cut on its way', async () =>
    assert.deepEqual(await linesOf('on', 'e\ntw', 'o\r', '\n\nfour'), ['one', 'two', '', 'four']));

  it('has its letters whole, too', async () => {
    const letters = Buffer.from('Grüße\n');
    assert.deepEqual(await linesOf(letters.subarray(0, 3), letters.subarray(3)), ['Grüße']);
  });

  it('is none where nothing was said', async () => assert.deepEqual(await linesOf(), []));

  it('a prompt is given once it is waited at, and what follows by itself', async () => {
    const lines: string[] = [];
    async function* console() {
      yield Buffer.from('Debian\ncard lo');
      yield Buffer.from('gin: ');
      await sleep(200);
      assert.deepEqual(lines, ['Debian', 'card login: ']);
      yield Buffer.from('root\n');
    }
    await eachLine(console(), (line) => lines.push(line), 20);
    assert.deepEqual(lines, ['Debian', 'card login: ', 'root']);
  });

  it('without that wish no line is ever cut', async () => {
    const lines: string[] = [];
    await run('sh', ['-c', 'printf wait; sleep 0.2; echo " for it"; printf end >&2'], {
      onLine: (line) => lines.push(line),
    });
    assert.deepEqual(lines, ['wait for it', 'end']);
  });

  it('the last words of a program that fails are a line, too', async () => {
    const lines: string[] = [];
    const onLine = (line: string) => lines.push(line);
    await assert.rejects(run('sh', ['-c', 'printf "first\nlast words"; exit 1'], { onLine }), /exit 1/);
    assert.deepEqual(lines, ['first', 'last words']);
  });

  it('the last words of a program that fails may be half a line: that it failed is told all the same', async () => {
    const onLine = (line: string) => void JSON.parse(line);
    await assert.rejects(run('sh', ['-c', "printf '{\"half'; exit 1"], { onLine }), /exit 1/);
  });

  it('a program that waits at its prompt has it shown', async () => {
    const shown = new AbortController();
    const running = run('sh', ['-c', 'printf "card login: "; exec sleep 60'], {
      onLine: (line) => line === 'card login: ' && shown.abort(),
      promptMs: 50,
      signal: AbortSignal.any([shown.signal, AbortSignal.timeout(30_000)]),
    });
    await assert.rejects(running, /was stopped/);
    assert.equal(shown.signal.aborted, true);
  });
});
