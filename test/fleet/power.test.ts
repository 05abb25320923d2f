import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Config, parseConfig } from '../../src/config.ts';
import type { FleetEvent } from '../../src/fleet/events.ts';
import { LeftOff, Power } from '../../src/fleet/power.ts';
import { runSwitch } from '../../src/host/run-switch.ts';
import { Refusal } from '../../src/model/command.ts';
import type { Log } from '../../src/model/log.ts';
import { type Node, nodeSchema } from '../../src/model/node.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';

/** With real programs: a script that writes down what it was given, and others that fail in every way. */

let folder = '';
const script = async (name: string, text: string) => {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return path;
};

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'netboot-power-test-'));
});
after(() => rm(folder, { recursive: true }));

const nodeOf = (settings: object = {}): Node =>
  nodeSchema.parse({
    serial: '9ffefdef',
    name: 'pi-one',
    image: 'web',
    power: 'poe',
    outlet: '17',
    ...settings,
  });

function powerOf(templates: Config['power'], ip?: string) {
  const told: FleetEvent[] = [];
  const switched: string[] = [];
  const logged: string[] = [];
  const line = (_: object, text: string) => logged.push(text);
  const log = { debug: line, info: line, warn: line, error: line } as unknown as Log;
  const power = new Power({
    templates,
    runSwitch,
    addressOf: () => ip as Ipv4 | undefined,
    tell: (event) => told.push(event),
    onSwitched: (serial, state) => switched.push(`${serial} ${state}`),
    log,
    offMs: 30,
  });
  return { power, told, switched, logged };
}

/** A script that appends its words, one in brackets each, to a file of its own. */
async function recorder(
  name: string,
): Promise<{ readonly argv: string; readonly said: () => Promise<string> }> {
  const argv = await script(
    name,
    `for word; do printf '[%s]' "$word"; done >> ${folder}/${name}.said; echo >> ${folder}/${name}.said`,
  );
  return { argv, said: () => readFile(join(folder, `${name}.said`), 'utf8').catch(() => '') };
}

const isRefusal = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Refusal, String(error));
  assert.match(error.message, pattern);
  return true;
};

test('placeholders are filled word by word, and no shell ever sees them', async () => {
  const { argv, said } = await recorder('words');
  const on = [argv, '--port={outlet}', '{name} $(touch x); {serial}', 'http://{ip}/{mac}', '*'];
  const { power, switched, told } = powerOf({ poe: { on, off: on, timeout: 20 } }, '10.0.0.5');
  await power.switch(nodeOf({ mac: 'dc:a6:32:00:00:01', outlet: 'a/b:1' }), 'on');
  assert.equal(
    await said(),
    '[--port=a/b:1][pi-one $(touch x); 9ffefdef][http://10.0.0.5/dc:a6:32:00:00:01][*]\n',
  );
  assert.deepEqual([switched, told], [['9ffefdef given'], []]);
});

test('a cycle is its own command, else off, a while, on', async () => {
  const { argv, said } = await recorder('cycle');
  const pair = { on: [argv, 'on'], off: [argv, 'off'], timeout: 20 };
  const both = powerOf({ poe: pair });
  await both.power.switch(nodeOf(), 'cycle');
  assert.equal(await said(), '[off]\n[on]\n');
  assert.deepEqual(both.switched, ['9ffefdef cut', '9ffefdef given']);

  const own = powerOf({ poe: { ...pair, cycle: [argv, 'cycle'] } });
  await own.power.switch(nodeOf(), 'cycle');
  assert.equal(await said(), '[off]\n[on]\n[cycle]\n');
  assert.deepEqual(own.switched, ['9ffefdef cut', '9ffefdef given']);
  await assert.rejects(
    powerOf({ poe: { cycle: [argv], timeout: 20 } }).power.switch(nodeOf(), 'off'),
    isRefusal(/"poe" of pi-one has no "off".*or say "cycle"/),
  );
});

const refusals: ReadonlyArray<{ given: string; node?: object; words?: string[]; expect: RegExp }> = [
  {
    given: 'a node without a template',
    node: { power: undefined },
    expect: /Nothing is known that switches/,
  },
  {
    given: 'a template that is not there',
    node: { power: 'plug' },
    expect: /no power template "plug".*there: poe/,
  },
  { given: 'no address', words: ['{ip}'], expect: /names \{ip\}, and pi-one has none.*when it has booted/ },
  {
    given: 'no outlet',
    node: { outlet: undefined },
    words: ['{outlet}'],
    expect: /set-node pi-one --outlet OUTLET/,
  },
  {
    given: 'an outlet that is an option',
    node: { outlet: '--oh' },
    words: ['{outlet}'],
    expect: /would be an option/,
  },
];
for (const { given, node, words = [], expect } of refusals) {
  test(`refused: ${given}; nothing runs`, async () => {
    const { argv, said } = await recorder(`refused-${given.replaceAll(' ', '-')}`);
    const template = { on: [argv, ...words], off: [argv], timeout: 20 };
    for (const action of ['on', 'cycle'] as const) {
      const { power, told, switched } = powerOf({ poe: template });
      await assert.rejects(power.switch(nodeOf(node), action), isRefusal(expect));
      assert.deepEqual([await said(), switched], ['', []]);
      assert.deepEqual(
        told.map((event) => event.kind === 'node trouble' && [event.serial, event.name]),
        [['9ffefdef', 'pi-one']],
      );
    }
  });
}

test('a program that fails: its last line, cut to size, without control characters and what it was given', async () => {
  const noisy = await script(
    'noisy',
    `echo first; printf 'bad community \\033[31m%s at http://user:word@10.0.0.1/ ' "$1" >&2; head -c 5000 /dev/zero | tr '\\0' x >&2; exit 3`,
  );
  const { power, told, logged } = powerOf({ poe: { on: [noisy, 'sesame-open'], off: [noisy], timeout: 20 } });
  await assert.rejects(
    power.switch(nodeOf(), 'on'),
    isRefusal(/could not be switched \(on\) by ".*noisy": exit 3, "bad community/),
  );
  const text = told[0]?.kind === 'node trouble' ? told[0].text : '';
  assert.ok(text.length < 500, text);
  for (const place of [text, ...logged]) {
    assert.doesNotMatch(place, /sesame-open|user:word/);
    assert.doesNotMatch(place, /\p{Cc}/u);
  }
});

test('a program that is not there, and one that is silent', async () => {
  const mute = await script('mute', 'exit 1');
  const { power } = powerOf({ poe: { on: ['no-such-switch'], off: [mute], timeout: 20 } });
  await assert.rejects(
    power.switch(nodeOf(), 'on'),
    isRefusal(/"no-such-switch": there is no such program. Install it/),
  );
  await assert.rejects(power.switch(nodeOf(), 'off'), isRefusal(/exit 1, and said nothing/));
});

/** The processes whose command line has these words. */
const processesWith = (words: string) =>
  readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').includes(words);
    } catch {
      return false; // it has ended meanwhile
    }
  });

test('a program that hangs is ended with all it started; the others go on meanwhile', async () => {
  const mark = `3${process.pid}.25`;
  const hanging = await script(
    'hanging',
    `trap '' TERM INT; sleep ${mark} & echo waiting for the switch; sleep ${mark}`,
  );
  const { argv, said } = await recorder('meanwhile');
  const { power, told, switched } = powerOf({
    poe: { on: [argv, 'back'], off: [hanging], timeout: 3 },
    plug: { on: [argv, 'on'], off: [argv], timeout: 20 },
  });
  const startedAt = performance.now();
  const hung = assert.rejects(
    power.switch(nodeOf(), 'cycle'),
    isRefusal(/it was ended after 3 s, "waiting for the switch"/),
  );
  const otherNode = nodeOf({ serial: '00000001', name: 'pi-two', power: 'plug' });
  await power.switch(otherNode, 'on');
  assert.ok(performance.now() - startedAt < 2_500);
  assert.equal(await said(), '[on]\n');
  while (processesWith(`sleep ${mark}`).length < 2 && performance.now() - startedAt < 2_500) await sleep(20);
  assert.equal(processesWith(`sleep ${mark}`).length, 2);
  await hung;
  assert.ok(performance.now() - startedAt < 6_000);
  assert.deepEqual(processesWith(`sleep ${mark}`), []);
  assert.equal(await said(), '[on]\n[back]\n', 'nobody knows whether it was cut');
  assert.deepEqual([told.length, switched], [1, ['00000001 given', '9ffefdef given']]);
});

test('a cycle that has cut the power gives it back, though that fails twice', async () => {
  const { argv, said } = await recorder('thrice');
  const balky = await script(
    'balky',
    `echo >> ${folder}/balky.tries; [ $(wc -l < ${folder}/balky.tries) -gt 2 ] || exit 3; ${argv} on`,
  );
  const { power, told, switched } = powerOf({ poe: { on: [balky], off: [argv, 'off'], timeout: 20 } });
  await power.switch(nodeOf(), 'cycle');
  assert.equal(await said(), '[off]\n[on]\n');
  assert.deepEqual([told, switched], [[], ['9ffefdef cut', '9ffefdef given']]);
});

const faults: ReadonlyArray<{
  given: string;
  template: object;
  isLeftOff: boolean;
  /** Of what fails. */
  tries?: number;
  isGiven?: boolean;
}> = [
  { given: 'off', template: { off: ['no'], on: ['yes'] }, isLeftOff: false, tries: 1, isGiven: true },
  { given: 'off for want of its program', template: { off: ['missing'], on: ['yes'] }, isLeftOff: false },
  { given: 'off and on', template: { off: ['no'], on: ['no'] }, isLeftOff: true, tries: 4 },
  { given: 'on', template: { off: ['yes'], on: ['no'] }, isLeftOff: true, tries: 3 },
  { given: 'on for want of its program', template: { off: ['yes'], on: ['missing'] }, isLeftOff: true },
  { given: 'its own command', template: { cycle: ['no'] }, isLeftOff: true },
  { given: 'its own command for want of it', template: { cycle: ['missing'] }, isLeftOff: false },
];
for (const { given, template, isLeftOff, tries, isGiven = false } of faults) {
  test(`a cycle that fails by ${given} ${isLeftOff ? 'may leave the node' : 'does not leave it'} off`, async () => {
    const yes = await script('yes', 'exit 0');
    const no = await script('no', `echo >> ${folder}/no.tries; exit 3`);
    const words = { yes, no, missing: 'no-such-switch' };
    const poe = Object.entries(template).map(([action, [word]]) => [
      action,
      [words[word as keyof typeof words]],
    ]);
    await rm(join(folder, 'no.tries'), { force: true });
    const { power, told, switched } = powerOf({ poe: { ...Object.fromEntries(poe), timeout: 20 } });
    await assert.rejects(power.switch(nodeOf(), 'cycle'), (error) => error instanceof LeftOff === isLeftOff);
    assert.equal(told.length, 1);
    assert.equal(switched.includes('9ffefdef given'), isGiven);
    if (tries !== undefined) assert.equal((await readFile(join(folder, 'no.tries'), 'utf8')).length, tries);
  });
}

test('what a program leaves in the background is ended, and not waited for', async () => {
  const mark = `4${process.pid}.25`;
  const leaving = await script('leaving', `sleep ${mark} & exit 0`);
  const startedAt = performance.now();
  await powerOf({ poe: { on: [leaving], off: [leaving], timeout: 20 } }).power.switch(nodeOf(), 'on');
  assert.ok(performance.now() - startedAt < 1_000);
  assert.deepEqual(processesWith(`sleep ${mark}`), []);
});

test('of one node one thing at a time, in the order it was asked for', async () => {
  const slow = await script(
    'slow',
    `echo "begin $1" >> ${folder}/slow.said; sleep 0.2; echo "end $1" >> ${folder}/slow.said`,
  );
  const { power } = powerOf({ poe: { on: [slow, 'on'], off: [slow, 'off'], timeout: 20 } });
  await Promise.all([
    power.switch(nodeOf(), 'off'),
    power.switch(nodeOf(), 'on'),
    power.switch(nodeOf(), 'off'),
  ]);
  assert.equal(
    await readFile(join(folder, 'slow.said'), 'utf8'),
    'begin off\nend off\nbegin on\nend on\nbegin off\nend off\n',
  );
});

test('called off: a program is ended, and a cycle that has cut the power gives it back', async () => {
  const { argv, said } = await recorder('abort');
  const slow = await script('slow-off', `sleep 60`);
  const stopped = powerOf({ poe: { on: [argv, 'on'], off: [slow], timeout: 20 } });
  await assert.rejects(
    stopped.power.switch(nodeOf(), 'off', { signal: AbortSignal.timeout(100) }),
    /abort|timeout/i,
  );
  assert.deepEqual([stopped.switched, stopped.told], [[], []]);

  const cut = new AbortController();
  const cycling = powerOf({ poe: { on: [argv, 'on'], off: [argv, 'off'], timeout: 20 } });
  const cycle = cycling.power.switch(nodeOf(), 'cycle', { signal: cut.signal });
  const until = performance.now() + 5_000;
  while (cycling.switched.length === 0 && performance.now() < until) await new Promise(setImmediate);
  cut.abort();
  await assert.rejects(cycle, /abort/i);
  assert.deepEqual(cycling.switched, ['9ffefdef cut', '9ffefdef given']);
  assert.equal(await said(), '[off]\n[on]\n');
});

test('the service stops: what runs is ended, what waits does not begin, and a node that was cut has its power again', async () => {
  const mark = `5${process.pid}.25`;
  const hanging = await script('hanging-at-stop', `sleep ${mark}`);
  const { argv, said } = await recorder('stop');
  const { power, told } = powerOf({
    poe: { on: [hanging], off: [hanging], timeout: 60 },
    plug: { on: [argv, 'on'], off: [argv, 'off'], timeout: 20 },
  });
  const calls = [power.switch(nodeOf(), 'on'), power.switch(nodeOf(), 'off')];
  calls.push(power.switch(nodeOf({ serial: '00000001', name: 'pi-two', power: 'plug' }), 'cycle'));
  const refused = calls.map((call) => assert.rejects(call, isRefusal(/The service stops/)));
  for (const until = performance.now() + 5_000; (await said()) === '' && performance.now() < until; );
  const stopped = power.stop();
  await Promise.all(refused);
  await stopped;
  assert.equal(await said(), '[off]\n[on]\n');
  assert.deepEqual(processesWith(`sleep ${mark}`), []);
  assert.deepEqual(told, []);
});

for (const ended of ['on', 'off'] as const) {
  test(`the service stops, and who stops it ends ${ended}, too: a node that was cut has its power again`, async () => {
    const { argv, said } = await recorder(`ended-${ended}`);
    const pidFile = join(folder, `ended-${ended}.pid`);
    const pid = () => readFile(pidFile, 'utf8').catch(() => '');
    const slow = await script(
      `slow-${ended}`,
      `[ -e ${pidFile} ] && exec ${argv} ${ended}; ${ended === 'off' ? `${argv} off;` : ''} echo $$ > ${pidFile}; sleep 60`,
    );
    const pair = { on: [argv, 'on'], off: [argv, 'off'], [ended]: [slow], timeout: 20 };
    const { power, switched } = powerOf({ poe: pair });
    const cycle = assert.rejects(power.switch(nodeOf(), 'cycle'), Refusal);
    for (const until = performance.now() + 5_000; (await pid()) === '' && performance.now() < until; );
    const stopped = power.stop();
    process.kill(Number(await pid()), 'SIGTERM');
    await Promise.all([cycle, stopped]);
    assert.equal(await said(), '[off]\n[on]\n');
    assert.equal(switched.at(-1), '9ffefdef given');
  });
}

test('the unit has systemd signal the service alone, which ends what it has begun', async () => {
  const unit = await readFile(join(import.meta.dirname, '../../systemd/netboot.service'), 'utf8');
  assert.match(unit, /^KillMode=mixed$/m);
});

test('the examples of the README are templates', async () => {
  const readme = await readFile(join(import.meta.dirname, '../../README.md'), 'utf8');
  const example = /```yaml\n(power:\n[\s\S]*?)```/.exec(readme)?.[1];
  assert.ok(example, 'README.md has no example of power:');
  const { power } = parseConfig(`interfaces: { eth0: {} }\n${example}`, 'README.md');
  assert.ok(Object.keys(power).length >= 3);
});
