import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import Fastify, { type FastifyInstance } from 'fastify';
import { addEventRoutes } from '../../src/api/event-routes.ts';
import { addNodeRoutes } from '../../src/api/node-routes.ts';
import { installProblems } from '../../src/api/problems.ts';
import { parseConfig } from '../../src/config.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { openExporter } from '../../src/nfs/exporter.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const NETBOOT = join(import.meta.dirname, '../../scripts/netboot');
const PRESENT = [{ interface: 'eth0', address: '10.0.0.1' as Ipv4, prefix: 24, mtu: 1500 }];
const SERIAL = parseSerial('9ffefdef');
/** A command starts in a third of a second; on a busy machine in several. */
const PATIENCE_MS = 20_000;

describe('netboot nodes --watch', () => {
  let folder: string;
  let config: string;
  let api: FastifyInstance;
  let fleet: Fleet;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'netboot-watch-'));
    config = join(folder, 'netboot.yaml');
    const text = `interfaces: { eth0: { dhcp: proxy } }\napi: { socket: ${folder}/api.sock }\n`;
    await writeFile(config, text);
    const exporter = await openExporter({
      kind: 'none',
      stateFolder: '/nowhere',
      exportsFolder: '/exports',
      generationsFolder: folder,
      run: async () => '',
      log: silentLog,
    });
    const ports = {
      store: new MemoryStore(),
      exporter,
      readGenerations: async () => ({ generations: [], problems: [] }),
      recipeNames: async () => ['web'],
      log: silentLog,
    };
    const settings = parseConfig(text, 'f');
    fleet = await Fleet.open(ports, settings, resolveNetworks(settings.interfaces, PRESENT));
    await fleet.addNode({ serial: SERIAL, name: 'one' });
    api = Fastify({ forceCloseConnections: true });
    installProblems(api);
    addNodeRoutes(api, fleet, (reference) => reference);
    addEventRoutes(api, fleet.events);
    await api.listen({ path: join(folder, 'api.sock') });
  });

  after(async () => {
    await api.close();
    await rm(folder, { recursive: true });
  });

  /** What a program prints until it has said all of `words`; then it is interrupted, as by Ctrl-C, and ends well. */
  async function interruptAfter(child: ChildProcess, ...words: RegExp[]): Promise<string> {
    let text = '';
    let isInterrupted = false;
    const ended = once(child, 'close');
    const deadline = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk;
      if (isInterrupted || !words.every((word) => word.test(text))) return;
      isInterrupted = true;
      child.kill('SIGINT');
    });
    const [code] = (await ended) as [number | null];
    clearTimeout(deadline);
    for (const word of words) assert.match(text, word);
    assert.equal(code, 0);
    return text;
  }

  /** For as long as it takes until somebody has seen it. */
  const flicker = () =>
    setInterval(() => {
      fleet.conditions.switched(SERIAL, 'cut');
      fleet.conditions.asked(SERIAL);
    }, 200);

  it('into a pipe tells a line per change, and ends at Ctrl-C', async () => {
    const child = spawn(NETBOOT, ['--config', config, 'nodes', '--watch'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const changes = flicker();
    const isSaid = interruptAfter(child, /^1 node: 1 (off|asked)$/m, /one \(9ffefdef\) is asked, was off$/m);
    await isSaid.finally(() => clearInterval(changes));
  });

  it('with --json gives the events themselves', async () => {
    const child = spawn(NETBOOT, ['--config', config, 'nodes', '--watch', '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const changes = flicker();
    const text = await interruptAfter(child, /^\{.*"kind":"node state".*\}$/m).finally(() =>
      clearInterval(changes),
    );
    const event = JSON.parse(text.split('\n')[0] ?? '') as { serial: string };
    assert.equal(event.serial, SERIAL);
  });

  it('on a terminal draws the table anew, and leaves the screen as it was', async () => {
    const command = `exec ${NETBOOT} --config ${config} nodes --watch`;
    const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(child, 'close');
    fleet.conditions.asked(SERIAL);
    let text = '';
    const deadline = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    let step = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk;
      if (step === 0 && /1 node: 1 asked[\s\S]*9ffefdef[\s\S]*one/.test(text)) {
        step = 1;
        fleet.conditions.switched(SERIAL, 'cut');
      }
      if (step === 1 && /1 node: 1 off[\s\S]*off: its power was cut/.test(text)) {
        step = 2;
        child.stdin.write('\x03'); // what the key sends
      }
    });
    const [code] = (await ended) as [number];
    clearTimeout(deadline);
    assert.deepEqual([step, code], [2, 0], text);
    assert.ok(
      text.includes('\x1b[?1049h') && text.trimEnd().endsWith('\x1b[?25h\x1b[?1049l'),
      JSON.stringify(text.slice(-80)),
    );
  });
});
