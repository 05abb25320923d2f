import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Appliance } from '../rack/appliance.ts';

/** As systemd starts it: a user of its own, with the one capability to open ports below 1024. */
const UNPRIVILEGED = `
  chown -R 65534:65534 FOLDER
  exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \\
    --bounding-set -all,+net_bind_service --inh-caps -all,+net_bind_service --ambient-caps -all,+net_bind_service "$@"`;

describe('a service whose exports unit does not run', { timeout: 120_000 }, () => {
  let appliance: Appliance;

  before(async () => {
    appliance = await Appliance.make('unit', 'dhcp: off', { generations: 'generations' });
  });
  after(() => appliance?.remove());

  it('serves before it has given up asking, and tells what is wrong', async () => {
    await appliance.start({ prelude: UNPRIVILEGED.replaceAll('FOLDER', appliance.folder) });
    const log = await appliance.log();
    assert.match(log, /"READY"/);
    assert.doesNotMatch(log, /NFS_NO_ANSWER/);
    assert.match(await appliance.netboot('exports'), /the exports unit does not answer: systemctl status/);
  });
});
