import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Terms } from '../../src/tftp/negotiate.ts';
import { type Outcome, outcome, Transfer, wireBlock } from '../../src/tftp/transfer.ts';

const plainTerms: Terms = { blockSize: 512, windowSize: 1, timeoutMs: 1000 };
const withOptions: Terms = { ...plainTerms, accepted: new Map([['tsize', '1']]) };
const windowed: Terms = { ...withOptions, windowSize: 4 };

/** One line per event; `→` what it leads to. `10 ms, ack 1`: the ACK comes 10 ms after the event before. */
interface Scenario {
  size: number;
  terms?: Terms;
  play: string;
}

const scenarios: Record<string, Scenario> = {
  'a file without options starts with DATA 1': {
    size: 600,
    play: `
      rrq          → data 1, timer 1000
      1 ms, ack 1  → data 2, timer 20
      1 ms, ack 2  → completed`,
  },
  'options are acknowledged first': {
    size: 600,
    terms: withOptions,
    play: `
      rrq          → oack, timer 1000
      1 ms, ack 0  → data 1, timer 20
      1 ms, ack 1  → data 2, timer 20
      1 ms, ack 2  → completed`,
  },
  'a multiple of the block size ends in an empty block (checklist 38)': {
    size: 1024,
    play: `
      rrq          → data 1, timer 1000
      1 ms, ack 1  → data 2, timer 20
      1 ms, ack 2  → data 3, timer 20
      1 ms, ack 3  → completed`,
  },
  'an empty file is one empty block': {
    size: 0,
    play: `
      rrq          → data 1, timer 1000
      1 ms, ack 1  → completed`,
  },
  'duplicate, early and wild ACKs are not answered (checklist 37)': {
    size: 2000,
    play: `
      rrq          → data 1, timer 1000
      ack 0        → -
      1 ms, ack 1  → data 2, timer 20
      ack 1        → -
      10 ms, ack 1 → -
      ack 3        → -
      ack 65535    → -
      1 ms, ack 2  → data 3, timer 20`,
  },
  'before the OACK is acknowledged nothing else counts': {
    size: 2000,
    terms: withOptions,
    play: `
      rrq         → oack, timer 1000
      ack 1       → -
      ack 65535   → -
      timeout     → oack, timer 2000
      1 ms, ack 0 → data 1, timer 1000
      ack 0       → -`,
  },
  'a silent client is tried five times more, ever more slowly, then it is gone (checklist 38)': {
    size: 600,
    play: `
      rrq     → data 1, timer 1000
      timeout → data 1, timer 2000
      timeout → data 1, timer 4000
      timeout → data 1, timer 4000
      timeout → data 1, timer 4000
      timeout → data 1, timer 4000
      timeout → gone`,
  },
  'a client that did answer is waited for 15 s, though the waits have become short': {
    size: 4000,
    play: `
      rrq         → data 1, timer 1000
      1 ms, ack 1 → data 2, timer 20
      timeout     → data 2, timer 40
      timeout     → data 2, timer 80
      timeout     → data 2, timer 160
      timeout     → data 2, timer 320
      timeout     → data 2, timer 640
      timeout     → data 2, timer 1280
      timeout     → data 2, timer 2560
      timeout     → data 2, timer 4000
      timeout     → data 2, timer 4000
      timeout     → data 2, timer 4000
      timeout     → gone`,
  },
  'the very last ACK is waited for a few seconds only: it may be what got lost': {
    size: 600,
    play: `
      rrq         → data 1, timer 1000
      1 ms, ack 1 → data 2, timer 20
      timeout     → data 2, timer 40
      timeout     → data 2, timer 80
      timeout     → data 2, timer 160
      timeout     → data 2, timer 320
      timeout     → data 2, timer 640
      timeout     → unconfirmed`,
  },
  'progress resets the patience; a repeated block says nothing about the round trip': {
    size: 2000,
    play: `
      rrq           → data 1, timer 1000
      timeout       → data 1, timer 2000
      1500 ms, ack 1 → data 2, timer 1000
      timeout       → data 2, timer 2000
      timeout       → data 2, timer 4000
      1 ms, ack 2   → data 3, timer 1000
      1 ms, ack 3   → data 4, timer 20
      1 ms, ack 4   → completed`,
  },
  'the wait follows the round trip: at least eight of them': {
    size: 5000,
    play: `
      rrq           → data 1, timer 1000
      10 ms, ack 1  → data 2, timer 80
      10 ms, ack 2  → data 3, timer 80
      50 ms, ack 3  → data 4, timer 120
      50 ms, ack 4  → data 5, timer 155
      50 ms, ack 5  → data 6, timer 186`,
  },
  'a timeout the client asked for is kept': {
    size: 600,
    terms: { ...withOptions, timeoutMs: 9000, isTimeoutAsked: true },
    play: `
      rrq         → oack, timer 9000
      timeout     → oack, timer 9000
      1 ms, ack 0 → data 1, timer 9000
      1 ms, ack 1 → data 2, timer 9000`,
  },
  'a timeout of one second that was asked for backs off from there': {
    size: 600,
    terms: { ...withOptions, isTimeoutAsked: true },
    play: `
      rrq         → oack, timer 1000
      1 ms, ack 0 → data 1, timer 1000
      timeout     → data 1, timer 2000`,
  },
  'a first repetition waits no longer than a second, however slow the round trips': {
    size: 5000,
    play: `
      rrq            → data 1, timer 1000
      600 ms, ack 1  → data 2, timer 1000
      600 ms, ack 2  → data 3, timer 1000`,
  },
  'the request again, before anything was acknowledged: answered again at once (checklist 36)': {
    size: 2000,
    terms: withOptions,
    play: `
      rrq          → oack, timer 1000
      300 ms, rrq  → oack, timer 1000
      1 ms, ack 0  → data 1, timer 1000
      1 ms, ack 1  → data 2, timer 20`,
  },
  'the request again, in the middle: a late duplicate, as the client goes on': {
    size: 2000,
    terms: withOptions,
    play: `
      rrq          → oack, timer 1000
      1 ms, ack 0  → data 1, timer 20
      1 ms, ack 1  → data 2, timer 20
      1 ms, rrq    → -
      1 ms, ack 2  → data 3, timer 20
      timeout      → data 3, timer 40
      timeout      → data 3, timer 80
      timeout      → data 3, timer 160`,
  },
  'the request again, in the middle, then silence: block and answer in turns, and the client starts over': {
    size: 2000,
    terms: withOptions,
    play: `
      rrq          → oack, timer 1000
      1 ms, ack 0  → data 1, timer 20
      1 ms, ack 1  → data 2, timer 20
      rrq          → -
      ack 0        → -
      timeout      → data 2, timer 40
      rrq          → -
      timeout      → oack, timer 80
      timeout      → data 2, timer 160
      1 ms, ack 0  → data 1, timer 1000
      1 ms, ack 1  → data 2, timer 20
      ack 0        → -
      timeout      → data 2, timer 40
      timeout      → data 2, timer 80`,
  },
  'the request again, in the middle, then blocks lost: a client that never started over is where it was': {
    size: 2000,
    terms: withOptions,
    play: `
      rrq          → oack, timer 1000
      1 ms, ack 0  → data 1, timer 20
      1 ms, ack 1  → data 2, timer 20
      rrq          → -
      timeout      → data 2, timer 40
      timeout      → oack, timer 80
      timeout      → data 2, timer 160
      1 ms, ack 2  → data 3, timer 20
      ack 0        → -
      timeout      → data 3, timer 40
      timeout      → data 3, timer 80`,
  },
  'without options the client that starts over is asked with DATA 1': {
    size: 2000,
    play: `
      rrq          → data 1, timer 1000
      1 ms, ack 1  → data 2, timer 20
      rrq          → -
      timeout      → data 2, timer 40
      timeout      → data 1, timer 80
      1 ms, ack 1  → data 2, timer 1000`,
  },
  'a client that started over before DATA 1 came through': {
    size: 2000,
    terms: withOptions,
    play: `
      rrq          → oack, timer 1000
      1 ms, ack 0  → data 1, timer 20
      rrq          → -
      timeout      → data 1, timer 40
      timeout      → oack, timer 80
      1 ms, ack 0  → data 1, timer 1000`,
  },
  'a doubled request behind the last block does not lengthen the wait for its ACK': {
    size: 600,
    play: `
      rrq         → data 1, timer 1000
      1 ms, ack 1 → data 2, timer 20
      rrq         → -
      timeout     → data 2, timer 40
      timeout     → data 1, timer 80
      timeout     → data 2, timer 160
      timeout     → data 1, timer 320
      timeout     → data 2, timer 640
      timeout     → unconfirmed`,
  },
  'a window goes out at once, and the next one after its last ACK': {
    size: 9 * 512,
    terms: windowed,
    play: `
      rrq         → oack, timer 1000
      1 ms, ack 0 → data 1 2 3 4, timer 20
      1 ms, ack 4 → data 5 6 7 8, timer 20
      1 ms, ack 8 → data 9 10, timer 20
      1 ms, ack 10 → completed`,
  },
  'an ACK inside the window tells of a gap: the next window begins there': {
    size: 20 * 512,
    terms: windowed,
    play: `
      rrq         → oack, timer 1000
      1 ms, ack 0 → data 1 2 3 4, timer 20
      1 ms, ack 2 → data 3 4 5 6, timer 20
      1 ms, ack 2 → data 3 4 5 6, timer 20
      1 ms, ack 2 → -
      1 ms, ack 6 → data 7 8 9 10, timer 20`,
  },
  'a lost first block: the ACK before the window asks for it once, then the timer does': {
    size: 20 * 512,
    terms: windowed,
    play: `
      rrq          → oack, timer 1000
      10 ms, ack 0 → data 1 2 3 4, timer 80
      10 ms, ack 4 → data 5 6 7 8, timer 80
      1 ms, ack 4  → -
      9 ms, ack 4  → data 5 6 7 8, timer 80
      9 ms, ack 4  → -
      timeout      → data 5 6 7 8, timer 160
      9 ms, ack 8  → data 9 10 11 12, timer 80`,
  },
  'a window that nobody answers is sent again as a whole': {
    size: 20 * 512,
    terms: windowed,
    play: `
      rrq         → oack, timer 1000
      1 ms, ack 0 → data 1 2 3 4, timer 20
      timeout     → data 1 2 3 4, timer 40
      1 ms, ack 4 → data 5 6 7 8, timer 20`,
  },
};

for (const [name, { size, terms = plainTerms, play }] of Object.entries(scenarios)) {
  test(name, () => {
    const lines = play
      .trim()
      .split('\n')
      .map((line) => line.trim().replace(/\s+/g, ' '));
    const transfer = new Transfer(terms, size);
    let now = 5000;
    const transcript = lines.map((line) => {
      const said = line.split(' → ')[0] as string;
      const [, wait = '0', event = ''] = /^(?:(\d+) ms, )?(.*)$/.exec(said) ?? [];
      now += Number(wait);
      if (event === 'timeout') now = transfer.deadline;
      return `${said} → ${describe(transfer, happen(transfer, event, now), now)}`;
    });
    assert.deepEqual(transcript, lines);
  });
}

function happen(transfer: Transfer, event: string, now: number): Outcome {
  if (event === 'rrq') {
    const isFirst = transfer.deadline === 0;
    if (isFirst) transfer.start(now);
    return isFirst || transfer.request(now) ? outcome.progress : outcome.nothing;
  }
  const step = event === 'timeout' ? transfer.expire(now) : transfer.acknowledge(Number(event.slice(4)), now);
  if (step === outcome.progress || step === outcome.again || step === outcome.restarted) {
    transfer.open(now, transfer.terms.windowSize);
  }
  return step;
}

function describe(transfer: Transfer, step: Outcome, now: number): string {
  switch (step) {
    case outcome.nothing:
      return '-';
    case outcome.completed:
      return 'completed';
    case outcome.unconfirmed:
      return 'unconfirmed';
    case outcome.gone:
      return 'gone';
    default: {
      const { answer } = transfer;
      const [first, last] = step === outcome.doubtful ? [answer, answer] : [transfer.first, transfer.last];
      const blocks: number[] = [];
      for (let block = first; block <= last; block += 1) blocks.push(wireBlock(block));
      const sent = last === 0 ? 'oack' : `data ${blocks.join(' ')}`;
      return `${sent}, timer ${Math.round(transfer.deadline - now)}`;
    }
  }
}

test('the block number goes from 65535 to 0 and on, without skipping a block of the file (checklist 39)', () => {
  for (const windowSize of [1, 3, 64]) {
    const transfer = new Transfer({ blockSize: 8, windowSize, timeoutMs: 1000 }, 8 * 140_000 + 3);
    const onWire: number[] = [];
    let step: Outcome = happen(transfer, 'rrq', 0);
    for (let guard = 0; guard < 150_000 && step === outcome.progress; guard += 1) {
      assert.equal(transfer.first, onWire.length + 1);
      for (let block = transfer.first; block <= transfer.last; block += 1) onWire.push(wireBlock(block));
      step = happen(transfer, `ack ${wireBlock(transfer.last)}`, guard);
    }
    assert.equal(step, outcome.completed);
    assert.equal(onWire.length, 140_001);
    assert.deepEqual(onWire.slice(65533, 65538), [65534, 65535, 0, 1, 2]);
  }
});

test('the request again begins again, and what was on the way then is not believed about the round trip', () => {
  const transfer = new Transfer(plainTerms, 5000);
  transfer.start(0);
  happen(transfer, 'ack 1', 1);
  transfer.start(900);
  assert.deepEqual([transfer.acked, transfer.first, transfer.last, transfer.deadline], [0, 1, 1, 1900]);
  happen(transfer, 'ack 1', 901);
  assert.equal(transfer.deadline, 901 + 1000);
});
