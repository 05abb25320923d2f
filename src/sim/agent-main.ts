import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ipv4 } from '../net/ipv4.ts';
import { type AgentCondition, type AgentEvent, runAgent } from './agent.ts';
import { readAgentWords } from './agent-cmdline.ts';
import { failureOf } from './agent-failure.ts';
import { AgentPage } from './agent-page.ts';
import type { AgentLine, AgentOrder, AgentOutcome } from './agent-process.ts';

/** The process in the Pi's namespace: one system from its kernel's start to its reset, told on stdout line by line. */

const KERNEL_MS = 1_000;
const START_MS = 2_000;
const PANIC_MS = 10_000;
const NFS_PORT = 2049;
const NFS_AGAIN_MS = 5_000;

const order = JSON.parse(await text(process.stdin)) as AgentOrder;
const { timeScale } = order;
const pause = (ms: number) => sleep(ms * timeScale);
const outcome = await live();
process.stdout.write(`${JSON.stringify({ outcome } satisfies AgentLine)}\n`, () => process.exit());

async function live(): Promise<AgentOutcome> {
  const startedAt = performance.now();
  await pause(KERNEL_MS);
  const words = readAgentWords(order.cmdline);
  if (!words) return { kind: 'failed', reason: 'the command line names no root on an NFS server' };
  const { generation, server, hostname } = words;
  const failure = failureOf(order.failures ?? [], generation);
  say(`Linux starts: ${hostname}, generation ${generation}${failure ? `, which fails: ${failure}` : ''}`);
  if (failure === 'panic') {
    say('Kernel panic - not syncing: the generation is made so; rebooting in 10 seconds');
    await pause(PANIC_MS);
    return { kind: 'reset', why: 'its kernel panicked' };
  }
  holdMount(server);
  if (failure === 'silent') return new Promise(() => {});

  let target = words.target;
  const page = new AgentPage(order.serve ?? 0, `${hostname} runs ${generation}`, failure === 'hang-page');
  const showPage = () => {
    if (order.serve === undefined || failure === 'unit') return;
    if (target === words.target) page.serve();
    else page.close();
  };
  const upAt = performance.now() + START_MS * timeScale;
  const condition = (): AgentCondition => {
    if (performance.now() < upAt) return { state: 'starting' };
    if (failure === 'unit') return { state: 'degraded', failed: ['nginx.service'], target };
    return { state: 'running', target };
  };
  void pause(START_MS).then(showPage);
  if (words.token === undefined) {
    say('no netboot.token: nobody expects reports of this system');
    return new Promise(() => {});
  }
  const { clock } = order;
  const end = await runAgent({
    server,
    port: words.port,
    serial: order.serial,
    token: words.token,
    generation: failure === 'lie' ? generation.replace(/[0-9a-f]{12}$/, '0'.repeat(12)) : generation,
    root: words.root,
    condition,
    isolate: (other) => {
      target = other;
      showPage();
    },
    ...(clock === undefined ? {} : { clock: () => clock + (performance.now() - startedAt) / 1000 }),
    timeScale,
    report: (event) => say(describe(event)),
    signal: new AbortController().signal, // a power cut is the end of this process
  });
  return { kind: 'reset', why: end };
}

/** The TCP connection that a mounted root has; taken up again when the server restarts. */
function holdMount(server: Ipv4): void {
  let isSaid = false;
  const again = () => setTimeout(mount, NFS_AGAIN_MS * timeScale);
  const mount = () => {
    const socket = connect({ host: server, port: NFS_PORT });
    socket.setKeepAlive(true, 10_000);
    socket.on('connect', () => say('root mounted: connected to the NFS server'));
    socket.on('error', (error) => {
      if (!isSaid) say(`the NFS server: ${error.message}`);
      isSaid = true;
    });
    socket.on('close', again);
    socket.resume();
  };
  mount();
}

function describe(event: AgentEvent): string {
  switch (event.kind) {
    case 'identity':
      return `identity: ${event.hostKey || 'no host key'}, ${event.files.length} files`;
    case 'reported':
      return `reported: ${event.state}`;
    case 'order':
      return `order: ${event.order}`;
    case 'trouble':
      return `trouble: ${event.text}`;
  }
}

function say(what: string): void {
  process.stdout.write(`${JSON.stringify({ text: what } satisfies AgentLine)}\n`);
}
