import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSigned, REPORT_KEY, type Reply, ToldAppliance } from './appliance.ts';
import { NODE_TESTS } from './node-namespace.ts';
import { OK, type Reporting, reporting, signed } from './reporting-node.ts';

/** Told to stop, as systemd does it. */
async function stopped({ program, ended }: Reporting): Promise<void> {
  program.kill('SIGTERM');
  await ended;
}

const hold = (): Promise<Reply> => sleep(60_000, OK, { ref: false });

describe('what a node reports', NODE_TESTS, () => {
  it('is how it is, signed with its key', async (context) => {
    const node = await reporting(context, hold, { state: 'running', words: ['systemd.unit=web.target'] });
    const asked = await node.report(1);
    assert.ok(isSigned(asked, REPORT_KEY));
    assert.equal(asked.path, '/v1/report');
    const { uptime, clock, memory, temperature, ...fields } = asked.fields;
    assert.deepEqual(fields, {
      serial: 'b4c5d6e7',
      run: 'r1',
      seq: '1',
      wait: '60',
      generation: 'web-0123456789ab',
      root: 'readonly',
      state: 'running',
      target: 'web.target',
    });
    assert.match(uptime ?? '', /^\d+\.\d\d$/);
    assert.ok(Math.abs(Number(clock) - Date.now() / 1000) < 5);
    assert.match(memory ?? '', /^\d+ \d+$/);
    if (temperature !== undefined) assert.match(temperature, /^-?\d+\.\d$/);
    assert.ok(asked.body.startsWith('serial ') && asked.body.endsWith('\n'));
    assert.equal(node.said(), '');
  });

  it('are its failed units, and no target that is not active', async (context) => {
    const failed = 'nginx.service loaded failed failed A server\nold\\x2dname.mount loaded failed failed x\n';
    const node = await reporting(context, hold, {
      state: 'degraded',
      failed,
      words: ['systemd.unit=other.target'],
    });
    const { fields } = await node.report(1);
    assert.equal(fields.failed, 'nginx.service old\\x2dname.mount');
    assert.equal(fields.state, 'degraded');
    assert.equal(fields.target, undefined);
  });

  it('are the heat of its processor and the bits of its firmware, where it has such', async (context) => {
    const prelude = [
      'mount -t tmpfs sys /sys',
      'mkdir -p /sys/class/thermal/thermal_zone0 /sys/devices/platform/soc/soc:firmware',
      'echo 48312 >/sys/class/thermal/thermal_zone0/temp',
      'echo 50005 >/sys/devices/platform/soc/soc:firmware/get_throttled',
    ].join('\n');
    const { fields } = await (await reporting(context, hold, { state: 'running', prelude })).report(1);
    assert.equal(fields.temperature, '48.3');
    assert.equal(fields.throttled, '50005');
  });

  it('is low voltage where the kernel tells of nothing else', async (context) => {
    const prelude = [
      'mount -t tmpfs sys /sys',
      'mkdir -p /sys/class/hwmon/hwmon0 /sys/class/hwmon/hwmon1',
      'echo cpu_thermal >/sys/class/hwmon/hwmon0/name; echo rpi_volt >/sys/class/hwmon/hwmon1/name',
      'echo 1 >/sys/class/hwmon/hwmon1/in0_lcrit_alarm',
    ].join('\n');
    const { fields } = await (await reporting(context, hold, { state: 'running', prelude })).report(1);
    assert.equal(fields.throttled, '10000');
    assert.equal(fields.temperature, undefined);
  });

  it('comes every three seconds while it starts, and then waits for orders', async (context) => {
    const node = await reporting(context, ({ fields }) => (fields.wait === '0' ? OK : hold()));
    assert.equal((await node.report(1)).fields.wait, '0');
    const first = performance.now();
    assert.equal((await node.report(2)).fields.seq, '2');
    assert.ok(Math.abs(performance.now() - first - 3_000) < 700, `${performance.now() - first} ms`);
    await node.node.shell('echo running >/run/systemd-state');
    assert.equal((await node.report(3)).fields.wait, '60');
  });

  it('comes once a minute, also when nobody holds its report', async (context) => {
    const node = await reporting(context, () => OK, { state: 'running' });
    await node.report(1);
    await sleep(5_000);
    assert.equal(node.appliance.asked.length, 1);
  });
});

describe('a node and its appliance agree on the count', NODE_TESTS, () => {
  it('as the appliance tells, at once', async (context) => {
    const node = await reporting(context, ({ fields }) =>
      fields.run === 'r2' && Number(fields.seq) > 40
        ? hold()
        : { ...signed('run r2\nseq 40\n'), status: 409 },
    );
    const again = await node.report(2, 1_500);
    assert.deepEqual([again.fields.run, again.fields.seq], ['r2', '41']);
    assert.ok(isSigned(again, REPORT_KEY));
  });

  it('but not as others say', async (context) => {
    const node = await reporting(context, () => ({ body: 'run r2\nseq 40\n', key: 'no', status: 409 }));
    const next = await node.report(2);
    assert.deepEqual([next.fields.run, next.fields.seq], ['r1', '2']);
    assert.match(
      node.said(),
      /^<3>the appliance does not take reports: the answer was not signed by our appliance$/m,
    );
  });

  it('and never go round in circles about it', async (context) => {
    const node = await reporting(context, () => ({ ...signed('run r2\nseq 40\n'), status: 409 }));
    await sleep(4_000);
    const { length } = node.appliance.asked;
    assert.ok(length >= 4 && length <= 10, `${length} reports`);
  });
});

describe('an order', NODE_TESTS, () => {
  it('to isolate a target is done, and said to be', async (context) => {
    const node = await reporting(
      context,
      (_, count) => (count === 1 ? signed('run r1\norder o7 isolate web.target\n') : hold()),
      { state: 'running' },
    );
    const next = await node.report(2);
    assert.equal(next.fields.done, 'o7');
    assert.equal(next.fields.target, 'web.target');
    assert.deepEqual(await node.told(), ['--no-block isolate -- web.target']);
  });

  it('is said to be done until the appliance has heard it, and done once', async (context) => {
    const node = await reporting(
      context,
      (_, count) =>
        count === 2
          ? { body: undefined }
          : count < 5
            ? signed('run r1\norder o7 isolate web.target\n')
            : hold(),
      { state: 'running' },
    );
    const last = await node.report(5, 12_000);
    assert.deepEqual(
      node.appliance.asked.map(({ fields }) => fields.done),
      [undefined, 'o7', 'o7', 'o7', 'o7'],
    );
    assert.equal(last.fields.seq, '5');
    assert.deepEqual(await node.told(), ['--no-block isolate -- web.target']);
  });

  for (const name of [
    '--force.target',
    'web.service',
    'web.target;reboot',
    '../web.target',
    '$(reboot).target',
  ]) {
    it(`to isolate ${name} is refused`, async (context) => {
      const node = await reporting(
        context,
        (_, count) => (count === 1 ? signed(`run r1\norder o8 isolate ${name}\n`) : hold()),
        { state: 'running' },
      );
      assert.equal((await node.report(2)).fields.done, 'o8');
      assert.deepEqual(await node.told(), []);
      assert.match(node.said(), /^<3>the appliance gave an order that this node does not know$/m);
    });
  }

  it('that another key signed, or that answered another report, is nothing', async (context) => {
    const order = 'run r1\norder o9 reboot\n';
    let first = '';
    const node = await reporting(context, ({ mac }, count) => {
      if (count === 1) first = mac;
      if (count === 1) return OK;
      if (count === 2) return { ...signed(order), signedFor: first };
      if (count === 3) return { body: order, key: '5b'.repeat(32) };
      return count === 4 ? { body: order } : hold();
    });
    await node.report(5, 20_000);
    assert.deepEqual(await node.told(), []);
  });

  it('to reboot is said to be done when the node goes down', async (context) => {
    const node = await reporting(
      context,
      (_, count) => (count === 1 ? signed('run r1\norder o10 reboot\n') : OK),
      { state: 'running' },
    );
    await node.report(1);
    while ((await node.told()).length === 0) await sleep(20);
    await node.node.shell('echo stopping >/run/systemd-state');
    await stopped(node);
    const { fields } = await node.report(2);
    assert.deepEqual([fields.state, fields.wait, fields.done, fields.seq], ['stopping', '0', 'o10', '2']);
    assert.deepEqual(await node.told(), ['reboot']);
  });

  it('to reboot is forced when it does not begin', async (context) => {
    const node = await reporting(
      context,
      (_, count) => (count === 1 ? signed('run r1\norder o11 reboot\n') : hold()),
      {
        state: 'running',
        prelude: ': >/run/hangs',
      },
    );
    await node.report(2);
    assert.deepEqual(await node.told(), ['reboot', 'reboot --force']);
  });
});

describe('a node and an appliance that is away', NODE_TESTS, () => {
  it('tries again, less and less often, and is heard again', async (context) => {
    const node = await reporting(context, hold, { state: 'running' });
    await node.report(1);
    const { port } = node.appliance;
    await node.appliance.close();
    await sleep(4_000);
    assert.match(node.said(), /^<3>the appliance does not take reports: .+\n$/);
    const back = await ToldAppliance.open(hold, port);
    context.after(() => back.close());
    const since = performance.now();
    while (back.asked.length === 0 && performance.now() - since < 10_000) await sleep(20);
    assert.ok(back.asked[0] && isSigned(back.asked[0], REPORT_KEY));
    assert.ok(performance.now() - since < 9_000);
  });

  it('says why when it is refused', async (context) => {
    const node = await reporting(context, () => ({ status: 403, body: 'no such node\n' }), {
      state: 'running',
    });
    await node.report(2);
    assert.match(node.said(), /^<3>the appliance does not take reports: no such node\n$/);
  });
});

describe('a node that stops', NODE_TESTS, () => {
  it('says so, in the middle of waiting', async (context) => {
    const node = await reporting(context, (_, count) => (count === 1 ? hold() : OK), { state: 'running' });
    await node.report(1);
    await node.node.shell('echo stopping >/run/systemd-state');
    const since = performance.now();
    await stopped(node);
    assert.ok(performance.now() - since < 2_000);
    const { fields } = await node.report(2);
    assert.deepEqual([fields.state, fields.wait], ['stopping', '0']);
    assert.equal(node.program.exitCode, 0);
  });

  it('says nothing when the service alone is stopped', async (context) => {
    const node = await reporting(context, hold, { state: 'running' });
    await node.report(1);
    await stopped(node);
    assert.equal(node.appliance.asked.length, 1);
    assert.equal(node.program.exitCode, 0);
  });

  it('does not wait for an appliance that is silent', async (context) => {
    const node = await reporting(context, hold, { state: 'running' });
    await node.report(1);
    await node.node.shell('echo stopping >/run/systemd-state');
    const since = performance.now();
    await stopped(node);
    const seconds = (performance.now() - since) / 1000;
    assert.ok(seconds > 4 && seconds < 7, `${seconds} s`);
  });
});
