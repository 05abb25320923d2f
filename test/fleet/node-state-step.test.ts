import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { stepNode } from '../../src/fleet/node-state-step.ts';
import { type Evidence, NODE_STATES, type NodeCondition } from '../../src/model/node-state.ts';
import type { Report } from '../../src/model/report.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const THEN = 1_000_000;
const NOW = THEN + MINUTE;

const REPORT: Report = {
  generation: 'web-00000000000a',
  root: 'readonly',
  uptime: 3600,
  clock: 5,
  state: 'running',
  failed: [],
  target: 'web.target',
};
const report = (fields: Partial<Report> = {}, given: object = {}): Evidence => ({
  kind: 'report',
  report: { ...REPORT, ...fields },
  generation: REPORT.generation,
  target: 'web.target',
  sinceState: MINUTE,
  ...given,
});
const tick = (fields: Partial<Evidence & { kind: 'tick' }> = {}): Evidence => ({
  kind: 'tick',
  reports: true,
  quiet: 0,
  sinceKernel: 0,
  sinceReport: 0,
  ...fields,
});
const LONG = { quiet: 30 * MINUTE, sinceKernel: 30 * MINUTE, sinceReport: 30 * MINUTE };
const WITHOUT_TARGET = { ...REPORT, target: undefined };

describe('what a node is after', () => {
  const cases: Array<{
    name: string;
    given: NodeCondition['state'];
    with?: Partial<NodeCondition>;
    arrives: Evidence;
    expect: NodeCondition['state'];
    detail?: string;
    bytes?: [number, number?];
  }> = [
    { name: 'its first DISCOVER', given: 'off', arrives: { kind: 'asked' }, expect: 'asked' },
    { name: 'a DISCOVER while it was up', given: 'up', arrives: { kind: 'asked' }, expect: 'asked' },
    {
      name: 'a DISCOVER after something failed',
      given: 'unhealthy',
      with: { detail: 'nginx.service failed' },
      arrives: { kind: 'asked' },
      expect: 'asked',
    },
    { name: 'its first file', given: 'asked', arrives: { kind: 'begun' }, expect: 'loading', bytes: [0] },
    {
      name: 'its first file, where nobody saw it ask DHCP',
      given: 'up',
      arrives: { kind: 'begun' },
      expect: 'loading',
      bytes: [0],
    },
    {
      name: 'a file of its boot',
      given: 'loading',
      with: { bytes: 10, ofBytes: 100 },
      arrives: { kind: 'served', bytes: 30, ofBytes: 100 },
      expect: 'loading',
      bytes: [30, 100],
    },
    {
      name: 'a file, when the service has just started',
      given: 'asked',
      arrives: { kind: 'served', bytes: 30 },
      expect: 'loading',
      bytes: [30],
    },
    {
      name: 'a file behind the kernel',
      given: 'kernel',
      arrives: { kind: 'served', bytes: 30 },
      expect: 'kernel',
    },
    {
      name: 'a file that somebody looks at while it is up',
      given: 'up',
      arrives: { kind: 'served', bytes: 30 },
      expect: 'up',
    },
    {
      name: 'a file after it had stopped loading',
      given: 'unhealthy',
      with: { detail: 'stopped loading', bytes: 10 },
      arrives: { kind: 'served', bytes: 30 },
      expect: 'loading',
      bytes: [30],
    },
    {
      name: 'its kernel',
      given: 'loading',
      with: { bytes: 30, ofBytes: 31 },
      arrives: { kind: 'kernel' },
      expect: 'kernel',
    },
    { name: 'a mount', given: 'kernel', arrives: { kind: 'mounted' }, expect: 'root mounted' },
    {
      name: 'its identity fetched before the service saw the kernel',
      given: 'loading',
      arrives: { kind: 'mounted' },
      expect: 'root mounted',
    },
    {
      name: 'another mount while it is up',
      given: 'up',
      arrives: { kind: 'mounted' },
      expect: 'up',
    },
    {
      name: 'a mount when it should have been up long ago',
      given: 'unhealthy',
      with: { detail: 'not up' },
      arrives: { kind: 'mounted' },
      expect: 'unhealthy',
      detail: 'not up',
    },
    { name: 'a good report', given: 'root mounted', arrives: report(), expect: 'up' },
    { name: 'a good report that nothing led up to', given: 'off', arrives: report(), expect: 'up' },
    {
      name: 'a good report after a look at its files by somebody else',
      given: 'loading',
      with: { bytes: 30 },
      arrives: report(),
      expect: 'up',
    },
    {
      name: 'a good report after it failed',
      given: 'unhealthy',
      with: { detail: 'nginx.service failed' },
      arrives: report(),
      expect: 'up',
    },
    { name: 'a good report after silence', given: 'silent', arrives: report(), expect: 'up' },
    {
      name: 'a report while its system starts',
      given: 'kernel',
      arrives: report({ state: 'starting', uptime: 8, target: undefined }),
      expect: 'root mounted',
    },
    {
      name: 'a report that it starts jobs, when it is up',
      given: 'up',
      arrives: report({ state: 'starting', target: undefined }),
      expect: 'up',
    },
    {
      name: 'a report that it starts jobs, whatever the clock was set to since it is up',
      given: 'up',
      arrives: report({ state: 'starting', uptime: 30 }, { sinceState: 20 * SECOND }),
      expect: 'up',
    },
    {
      name: 'a report that it starts, of a boot that nobody saw',
      given: 'up',
      arrives: report({ state: 'starting', uptime: 8 }),
      expect: 'root mounted',
    },
    {
      name: 'a report that it starts, too late',
      given: 'unhealthy',
      with: { detail: 'not up 10 minutes after its kernel: its system still starts' },
      arrives: report({ state: 'starting', uptime: 700 }),
      expect: 'unhealthy',
      detail: 'not up 10 minutes after its kernel: its system still starts',
    },
    {
      name: 'a failed unit',
      given: 'up',
      arrives: report({ state: 'degraded', failed: ['nginx.service'] }),
      expect: 'unhealthy',
      detail: 'nginx.service failed',
    },
    {
      name: 'a failed unit while it starts',
      given: 'root mounted',
      arrives: report({ state: 'starting', uptime: 8, failed: ['nginx.service'], target: undefined }),
      expect: 'unhealthy',
      detail: 'nginx.service failed',
    },
    {
      name: 'many failed units',
      given: 'up',
      arrives: report({
        state: 'degraded',
        failed: ['a', 'b', 'c', 'd', 'e', 'f'].map((each) => `${each}.service`),
      }),
      expect: 'unhealthy',
      detail: 'a.service, b.service, c.service, d.service and 2 more failed',
    },
    {
      name: 'a degraded system without names',
      given: 'up',
      arrives: report({ state: 'degraded' }),
      expect: 'unhealthy',
      detail: 'its system is degraded',
    },
    {
      name: 'maintenance mode',
      given: 'root mounted',
      arrives: report({ state: 'maintenance', target: undefined }, { target: undefined }),
      expect: 'unhealthy',
      detail: 'its system is in maintenance mode',
    },
    {
      name: 'a target that is not active',
      given: 'root mounted',
      arrives: report({ target: undefined }),
      expect: 'unhealthy',
      detail: 'web.target is not active',
    },
    {
      name: 'a target of its earlier role, which it was told at boot',
      given: 'up',
      arrives: report({ target: 'db.target' }),
      expect: 'up',
    },
    {
      name: 'a report without a role',
      given: 'root mounted',
      arrives: report({ target: undefined }, { target: undefined }),
      expect: 'up',
    },
    {
      name: 'a lie about its generation',
      given: 'up',
      arrives: report({ generation: 'web-00000000000f' }),
      expect: 'unhealthy',
      detail: 'it runs web-00000000000f, and was given web-00000000000a',
    },
    {
      name: 'a report, when nobody knows what it was given',
      given: 'off',
      arrives: report({}, { generation: undefined }),
      expect: 'up',
    },
    {
      name: 'a clock of 1970',
      given: 'root mounted',
      arrives: report({ clock: 0 }),
      expect: 'up',
    },
    {
      name: 'its last report',
      given: 'up',
      arrives: report({ state: 'stopping', failed: ['nginx.service'] }),
      expect: 'off',
      detail: 'it stopped in order',
    },
    {
      name: 'its power cut',
      given: 'up',
      arrives: { kind: 'power', power: 'cut' },
      expect: 'off',
      detail: 'its power was cut',
    },
    {
      name: 'its power given',
      given: 'off',
      with: { detail: 'its power was cut' },
      arrives: { kind: 'power', power: 'given' },
      expect: 'off',
      detail: 'its power was given',
    },
    {
      name: 'power given to one that is up',
      given: 'up',
      arrives: { kind: 'power', power: 'given' },
      expect: 'up',
    },
    {
      name: '149 s without a report',
      given: 'up',
      arrives: tick({ sinceReport: 149 * SECOND }),
      expect: 'up',
    },
    {
      name: '150 s without a report',
      given: 'up',
      arrives: tick({ sinceReport: 150 * SECOND }),
      expect: 'silent',
    },
    {
      name: '150 s without a report, unhealthy',
      given: 'unhealthy',
      with: { detail: 'nginx.service failed', hasReported: true },
      arrives: tick({ sinceReport: 150 * SECOND }),
      expect: 'silent',
      detail: 'it was unhealthy: nginx.service failed',
    },
    {
      name: 'a long time, unhealthy without ever a report',
      given: 'unhealthy',
      with: { detail: 'not up 10 minutes after its kernel: its root is not mounted' },
      arrives: tick(LONG),
      expect: 'unhealthy',
      detail: 'not up 10 minutes after its kernel: its root is not mounted',
    },
    {
      name: '10 minutes with its kernel alone',
      given: 'kernel',
      arrives: tick({ sinceKernel: 10 * MINUTE }),
      expect: 'unhealthy',
      detail: 'not up 10 minutes after its kernel: its root is not mounted',
    },
    {
      name: '9 minutes with its kernel alone',
      given: 'kernel',
      arrives: tick({ sinceKernel: 9 * MINUTE, quiet: 9 * MINUTE, sinceReport: 9 * MINUTE }),
      expect: 'kernel',
    },
    {
      name: '10 minutes without a word of the system',
      given: 'root mounted',
      arrives: tick({ sinceKernel: 10 * MINUTE }),
      expect: 'unhealthy',
      detail: 'not up 10 minutes after its kernel: its root is mounted, and it does not report',
    },
    {
      name: '10 minutes of starting',
      given: 'root mounted',
      with: { hasReported: true },
      arrives: tick({ sinceKernel: 10 * MINUTE }),
      expect: 'unhealthy',
      detail: 'not up 10 minutes after its kernel: its system still starts',
    },
    {
      name: '5 minutes without another file',
      given: 'loading',
      with: { bytes: 10, ofBytes: 30 },
      arrives: tick({ quiet: 5 * MINUTE, lastFile: 'start4.elf' }),
      expect: 'unhealthy',
      detail: 'stopped loading at start4.elf',
      bytes: [10, 30],
    },
    {
      name: '4 minutes without another file',
      given: 'loading',
      with: { bytes: 10 },
      arrives: tick({ quiet: 4 * MINUTE }),
      expect: 'loading',
      bytes: [10],
    },
    {
      name: '5 minutes without a first file',
      given: 'asked',
      arrives: tick({ quiet: 5 * MINUTE }),
      expect: 'unhealthy',
      detail: 'asked for an address, and fetched nothing',
      bytes: [0],
    },
    {
      name: 'a long time with a kernel that does not report',
      given: 'kernel',
      arrives: tick({ ...LONG, reports: false }),
      expect: 'kernel',
    },
    {
      name: 'a long time with a system that does not report',
      given: 'root mounted',
      arrives: tick({ ...LONG, reports: false }),
      expect: 'root mounted',
    },
    { name: 'a long time, off', given: 'off', arrives: tick(LONG), expect: 'off' },
    { name: 'a long time, silent', given: 'silent', arrives: tick(LONG), expect: 'silent' },
  ];
  for (const { name, given, with: more, arrives, expect, detail, bytes: [bytes, ofBytes] = [] } of cases) {
    it(`${name} (${given})`, () => {
      const before: NodeCondition = { state: given, since: THEN, ...more };
      const { state, since, ...after } = stepNode(before, arrives, NOW);
      assert.deepEqual([state, after.detail, after.bytes, after.ofBytes], [expect, detail, bytes, ofBytes]);
      assert.equal(since, expect === given ? THEN : NOW, 'the time of the change');
    });
  }

  it('a report keeps it to be read, through the next boot', () => {
    const up = stepNode({ state: 'off', since: 0 }, report(), NOW);
    assert.deepEqual([up.report, up.reportedAt, up.hasReported], [REPORT, NOW, true]);
    const asked = stepNode(up, { kind: 'asked' }, NOW + 1);
    assert.deepEqual([asked.report, asked.reportedAt, asked.hasReported], [REPORT, NOW, undefined]);
  });

  it('what teaches nothing is the very same condition', () => {
    const kernel: NodeCondition = { state: 'kernel', since: THEN };
    for (const evidence of [tick(), { kind: 'served', bytes: 1 } as const])
      assert.equal(stepNode(kernel, evidence, NOW), kernel);
  });

  it('any evidence leaves a state that has a reason where one is due, and never an older time', () => {
    const state = fc.constantFrom(...NODE_STATES);
    const time = fc.integer({ min: 0, max: 20 * MINUTE });
    const evidence: fc.Arbitrary<Evidence> = fc.oneof(
      fc.constantFrom<Evidence>(
        { kind: 'asked' },
        { kind: 'begun' },
        { kind: 'kernel' },
        { kind: 'mounted' },
      ),
      fc.record({
        kind: fc.constant('power' as const),
        power: fc.constantFrom('cut' as const, 'given' as const),
      }),
      fc.record({ kind: fc.constant('served' as const), bytes: fc.nat() }),
      fc.record({
        kind: fc.constant('tick' as const),
        reports: fc.boolean(),
        quiet: time,
        sinceKernel: time,
        sinceReport: time,
      }),
      fc
        .record({
          state: fc.constantFrom('starting', 'running', 'degraded', 'stopping'),
          uptime: fc.nat(1000),
          failed: fc.constantFrom([], ['a.service']),
        })
        .map((fields) => report(fields as Partial<Report>)),
      fc.constant<Evidence>({
        kind: 'report',
        report: WITHOUT_TARGET,
        target: 'web.target',
        sinceState: MINUTE,
      }),
    );
    fc.assert(
      fc.property(state, fc.array(evidence, { maxLength: 20 }), (first, all) => {
        let condition: NodeCondition = { state: first, since: THEN, detail: 'given' };
        for (const [index, each] of all.entries()) {
          const next = stepNode(condition, each, NOW + index);
          if (next.state === 'unhealthy') assert.ok(next.detail);
          if (next.state === condition.state) assert.equal(next.since, condition.since);
          else assert.equal(next.since, NOW + index);
          if (each.kind === 'tick' && !each.reports)
            assert.ok(
              next.state === condition.state || condition.state === 'asked' || condition.state === 'loading',
            );
          condition = next;
        }
      }),
    );
  });
});
