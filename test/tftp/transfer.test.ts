import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Terms } from '../../src/tftp/negotiate.ts';
import {
  start,
  step,
  type TransferEffect,
  type TransferEvent,
  type TransferState,
  wireBlock,
} from '../../src/tftp/transfer.ts';

const plainTerms: Terms = { blockSize: 512, windowSize: 1, timeoutMs: 1000 };
const withOptions: Terms = { ...plainTerms, accepted: new Map([['tsize', '1']]) };

/** One line per event; `→` what it leads to. */
interface Scenario {
  size: number;
  terms?: Terms;
  play: string;
}

const scenarios: Record<string, Scenario> = {
  'a file without options starts with DATA 1': {
    size: 600,
    play: `
      rrq     → data 1, timer 1000
      ack 1   → data 2, timer 1000
      ack 2   → completed`,
  },
  'options are acknowledged first': {
    size: 600,
    terms: withOptions,
    play: `
      rrq     → oack, timer 1000
      ack 0   → data 1, timer 1000
      ack 1   → data 2, timer 1000
      ack 2   → completed`,
  },
  'a multiple of the block size ends in an empty block': {
    size: 1024,
    play: `
      rrq     → data 1, timer 1000
      ack 1   → data 2, timer 1000
      ack 2   → data 3, timer 1000
      ack 3   → completed`,
  },
  'an empty file is one empty block': {
    size: 0,
    play: `
      rrq     → data 1, timer 1000
      ack 1   → completed`,
  },
  'duplicate, early and wild ACKs are not answered': {
    size: 2000,
    play: `
      rrq       → data 1, timer 1000
      ack 0     → -
      ack 1     → data 2, timer 1000
      ack 1     → -
      ack 1     → -
      ack 3     → -
      ack 65535 → -
      ack 2     → data 3, timer 1000`,
  },
  'before the OACK is acknowledged nothing else counts': {
    size: 2000,
    terms: withOptions,
    play: `
      rrq       → oack, timer 1000
      ack 1     → -
      ack 65535 → -
      timeout   → oack, timer 2000
      ack 0     → data 1, timer 1000
      ack 0     → -`,
  },
  'a silent client is tried five times more, ever more slowly, then told': {
    size: 600,
    play: `
      rrq     → data 1, timer 1000
      timeout → data 1, timer 2000
      timeout → data 1, timer 4000
      timeout → data 1, timer 4000
      timeout → data 1, timer 4000
      timeout → data 1, timer 4000
      timeout → failed (timeout): no answer to block 1, telling 0`,
  },
  'progress resets the patience': {
    size: 2000,
    play: `
      rrq     → data 1, timer 1000
      timeout → data 1, timer 2000
      ack 1   → data 2, timer 1000
      timeout → data 2, timer 2000
      timeout → data 2, timer 4000
      ack 2   → data 3, timer 1000`,
  },
  'a timeout the client asked for is kept': {
    size: 600,
    terms: { ...withOptions, timeoutMs: 9000 },
    play: `
      rrq     → oack, timer 9000
      timeout → oack, timer 9000
      ack 0   → data 1, timer 9000`,
  },
  'early terminate after the OACK is a normal end': {
    size: 600,
    terms: withOptions,
    play: `
      rrq     → oack, timer 1000
      error 0 → early-terminated`,
  },
  'early terminate after DATA 1 too': {
    size: 600,
    play: `
      rrq     → data 1, timer 1000
      error 0 → early-terminated`,
  },
  'refused options end it quietly': {
    size: 600,
    terms: withOptions,
    play: `
      rrq     → oack, timer 1000
      error 8 → early-terminated`,
  },
  'another error of the client is a failure and is not answered': {
    size: 600,
    play: `
      rrq     → data 1, timer 1000
      error 3 → failed (client): the client sent error 3 "no"`,
  },
  'no transfer is endless': {
    size: 600,
    play: `
      rrq     → data 1, timer 1000
      expired → failed (timeout): the transfer took too long, telling 0`,
  },
  'the seam for RFC 7440: a window of blocks, a lost one sent again': {
    size: 5 * 512,
    terms: { ...plainTerms, windowSize: 4 },
    play: `
      rrq     → data 1, data 2, data 3, data 4, timer 1000
      ack 2   → data 3, data 4, data 5, data 6, timer 1000
      timeout → data 3, data 4, data 5, data 6, timer 2000
      ack 6   → completed`,
  },
};

for (const [name, { size, terms = plainTerms, play }] of Object.entries(scenarios)) {
  test(name, () => {
    const lines = play
      .trim()
      .split('\n')
      .map((line) => line.trim().replace(/\s+/g, ' '));
    let state: TransferState | undefined;
    const transcript = lines.map((line) => {
      const said = line.split(' → ')[0] as string;
      const next = state ? step(state, eventOf(said)) : start(terms, size);
      state = next.state;
      return `${said} → ${next.effects.map(describe).join(', ') || '-'}`;
    });
    assert.deepEqual(transcript, lines);
  });
}

function eventOf(said: string): TransferEvent {
  const [kind, number] = said.split(' ');
  switch (kind) {
    case 'ack':
      return { kind: 'ack', block: Number(number) };
    case 'error':
      return { kind: 'error', code: Number(number), message: 'no' };
    case 'timeout':
    case 'expired':
      return { kind };
    default:
      throw new Error(`the scenario says "${said}"`);
  }
}

function describe(effect: TransferEffect): string {
  switch (effect.kind) {
    case 'send-oack':
      return 'oack';
    case 'send-block':
      return `data ${wireBlock(effect.block)}`;
    case 'set-timer':
      return `timer ${effect.ms}`;
    case 'finish':
      return effect.outcome;
    case 'fail':
      return `failed (${effect.cause}): ${effect.reason}${effect.tell ? `, telling ${effect.tell.code}` : ''}`;
  }
}

test('the block number goes from 65535 to 0 and on, without skipping a block of the file', () => {
  const terms: Terms = { blockSize: 8, windowSize: 1, timeoutMs: 1000 };
  const size = 8 * 140_000 + 3;
  let { state, effects } = start(terms, size);
  const onWire: number[] = [];
  let blocks = 0;
  for (let guard = 0; guard < 150_000; guard += 1) {
    const sent = effects.find((effect) => effect.kind === 'send-block');
    if (!sent) break;
    blocks += 1;
    assert.equal(sent.block, blocks);
    onWire.push(wireBlock(sent.block));
    ({ state, effects } = step(state, { kind: 'ack', block: wireBlock(sent.block) }));
  }
  assert.deepEqual(effects, [{ kind: 'finish', outcome: 'completed' }]);
  assert.equal(blocks, 140_001);
  assert.deepEqual(onWire.slice(65533, 65538), [65534, 65535, 0, 1, 2]);
});
