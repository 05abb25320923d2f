import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Outcome, outcome, Transfer, wireBlock } from '../../src/tftp/transfer.ts';

/** What happens to a packet on its way, in turn. */
type Fate = 'arrives' | 'lost' | 'twice' | 'late';

interface Packet {
  readonly at: number;
  readonly block: number;
  readonly to: 'client' | 'server';
  /** The request, doubled on its way. */
  readonly isRequest?: boolean;
}

const DELAY_MS = 2;
const LATE_MS = 7;

/**
 * A receiver as RFC 7440 and 1350 want it: it acknowledges whole windows and the last block, at a gap the last block in
 * order, and that one again when it comes once more.
 */
class Receiver {
  next: number;
  readonly blocks: number;
  readonly windowSize: number;
  #inWindow = 0;
  #isGapTold = false;
  constructor(blocks: number, windowSize: number, hasOack: boolean) {
    this.blocks = blocks;
    this.windowSize = windowSize;
    this.next = hasOack ? 0 : 1;
  }
  get isDone(): boolean {
    return this.next > this.blocks;
  }
  /** @param block not wrapped, so that the model can see whether the right one was sent @returns the ACK */
  hear(block: number): number | undefined {
    if (block === 0 && this.next > 1) return undefined; // a Pi in the middle of a file knows no OACK any more
    if (block < this.next) return this.windowSize === 1 || block === this.next - 1 ? block : undefined;
    if (block > this.next) {
      if (this.#isGapTold) return undefined;
      this.#isGapTold = true;
      this.#inWindow = 0;
      return this.next - 1;
    }
    this.next += 1;
    this.#inWindow += 1;
    this.#isGapTold = false;
    if (block === 0 || this.isDone || this.#inWindow >= this.windowSize) {
      this.#inWindow = 0;
      return block;
    }
    return undefined;
  }
}

/**
 * Plays a transfer over such a wire; how it ended, and how many blocks were sent.
 * @param requests when duplicates of the request come, in milliseconds
 */
function play(
  blocks: number,
  windowSize: number,
  hasOack: boolean,
  fate: () => Fate,
  requests: readonly number[] = [],
) {
  const accepted = new Map([['windowsize', String(windowSize)]]);
  const terms = { blockSize: 512, windowSize, timeoutMs: 1000, ...(hasOack ? { accepted } : {}) };
  const transfer = new Transfer(terms, (blocks - 1) * 512 + 17);
  const receiver = new Receiver(blocks, windowSize, hasOack);
  let wire = requests.map((at): Packet => ({ at, block: -1, to: 'server', isRequest: true }));
  let now = 0;
  let sent = 0;
  const put = (block: number, to: Packet['to']) => {
    const its = fate();
    if (its === 'lost') return;
    wire.push({ at: now + (its === 'late' ? LATE_MS : DELAY_MS), block, to });
    if (its === 'twice') wire.push({ at: now + DELAY_MS, block, to });
  };
  const sendWindow = () => {
    for (let block = transfer.first; block <= transfer.last; block += 1) {
      sent += 1;
      put(block, 'client');
    }
  };
  transfer.start(now);
  sendWindow();
  for (let guard = 0; guard < 100_000; guard += 1) {
    const next = wire.reduce((least, packet) => (packet.at < least.at ? packet : least), {
      at: transfer.deadline,
      block: -1,
      to: 'server',
    } as Packet);
    now = next.at;
    let step: Outcome;
    if (next.block < 0 && now === transfer.deadline && !wire.includes(next)) step = transfer.expire(now);
    else {
      wire = wire.filter((packet) => packet !== next);
      if (next.to === 'client') {
        const ack = receiver.hear(next.block);
        if (ack !== undefined && ack >= 0) put(ack, 'server');
        continue;
      }
      if (next.isRequest) {
        if (transfer.request(now)) sendWindow();
        continue;
      }
      step = transfer.acknowledge(wireBlock(next.block), now);
    }
    if (step === outcome.doubtful) {
      sent += 1;
      put(transfer.answer, 'client');
    } else if (step === outcome.progress || step === outcome.again || step === outcome.restarted) {
      transfer.open(now, windowSize);
      sendWindow();
    } else if (step !== outcome.nothing) return { step, isDone: receiver.isDone, sent, now };
  }
  throw new Error('the transfer has no end');
}

/** Fates drawn one after the other: so much is lost, a twentieth comes twice, a tenth late and out of order. */
function drawFates(seed: number, loss: number): () => Fate {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const drawn = state / 2 ** 32;
    if (drawn < loss) return 'lost';
    if (drawn < loss + 0.05) return 'twice';
    return drawn < loss + 0.15 ? 'late' : 'arrives';
  };
}

const shapes = {
  blocks: fc.integer({ min: 1, max: 200 }),
  windowSize: fc.constantFrom(1, 2, 4, 16, 64),
  hasOack: fc.boolean(),
  seed: fc.nat(2 ** 31),
  requests: fc.array(fc.integer({ min: 5, max: 800 }), { maxLength: 4 }),
};

test('property: requests that were doubled on their way do no harm, over any wire (checklist 36)', () => {
  fc.assert(
    fc.property(
      shapes.blocks,
      shapes.windowSize,
      shapes.hasOack,
      shapes.seed,
      shapes.requests,
      (blocks, window, hasOack, seed, requests) => {
        const fates = drawFates(seed, 0.05);
        const { step, isDone } = play(blocks, hasOack ? window : 1, hasOack, fates, requests);
        assert.ok(isDone, 'the client has the whole file');
        assert.ok(step === outcome.completed || step === outcome.unconfirmed);
      },
    ),
    // One that asked its client at the end, and gave up before the end was repeated as often as without the question.
    { numRuns: 1000, examples: [[6, 16, true, 1_931_895_454, [5, 28]]] },
  );
});

test('property: over a wire that loses, doubles, delays and reorders every block arrives, in order', () => {
  fc.assert(
    fc.property(
      shapes.blocks,
      shapes.windowSize,
      shapes.hasOack,
      shapes.seed,
      (blocks, window, hasOack, seed) => {
        const { step, isDone } = play(blocks, hasOack ? window : 1, hasOack, drawFates(seed, 0.05));
        assert.ok(isDone, 'the client has the whole file');
        assert.ok(step === outcome.completed || step === outcome.unconfirmed);
      },
    ),
    { numRuns: 500 },
  );
});

test('property: duplicates and delays shorter than the wait make no block be sent twice in lockstep (checklist 37)', () => {
  fc.assert(
    fc.property(shapes.blocks, shapes.hasOack, shapes.seed, (blocks, hasOack, seed) => {
      const { step, sent } = play(blocks, 1, hasOack, drawFates(seed, 0));
      assert.equal(step, outcome.completed);
      assert.equal(sent, blocks + (hasOack ? 1 : 0));
    }),
    { numRuns: 300 },
  );
});

test('one transfer of 40 MB at 1 % loss: how long the repetitions take', () => {
  const { step, now } = play(28_000, 1, true, drawFates(1, 0.01));
  assert.equal(step, outcome.completed);
  // 28,000 round trips of 4 ms and some hundreds of waits of 40 ms; with waits of 1 s it would be ten minutes.
  assert.ok(now < 28_000 * 5 + 700 * 60, `${now} ms`);
});

test('property: a wire that lets nothing through costs six packets or windows, then nothing more', () => {
  fc.assert(
    fc.property(shapes.blocks, shapes.hasOack, (blocks, hasOack) => {
      const { step, sent, now } = play(blocks, 1, hasOack, () => 'lost');
      assert.deepEqual([step, sent, now], [outcome.gone, 6, 19_000]);
    }),
    { numRuns: 20 },
  );
});
