import { readFileSync } from 'node:fs';
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { Refusal } from '../model/command.ts';
import { parseMac } from '../net/mac.ts';
import { parseSerial } from '../net/serial.ts';
import { AGENT_FAILURES, type FailureRule, parseFailureRule } from '../sim/agent-failure.ts';
import type { AgentSettings } from '../sim/agent-process.ts';
import type { Simulation } from '../sim/simulate.ts';
import { addSimRackCommand } from './sim-rack.ts';

interface PiOptions {
  serial: string;
  rack?: string;
  mac?: string;
  rom?: string;
  boot?: boolean;
  agent?: boolean;
  serve?: number;
  fail: readonly FailureRule[];
  failOn: readonly FailureRule[];
  clock?: number;
  once?: boolean;
  outlet?: boolean;
  sshKey?: string;
  console?: string;
  memory: string;
}

export function addSimCommands(program: Command): void {
  const sim = program
    .command('sim')
    .description('virtual Pis and racks, to try everything without hardware (needs root)');

  sim
    .command('rack-up <rack>')
    .description(
      'make a rack: the network namespace nb-<rack> with the bridge br0, for the appliance to run in',
    )
    .option('--address <address/bits>', "the appliance's address on br0", '192.168.172.17/24')
    .action(async (rack: string, { address }: { address: string }) => {
      const { run } = await import('../host/run.ts');
      const { createRack } = await import('../sim/rack.ts');
      await createRack(run, rack, { address });
      console.log(
        `rack ${rack} is up: start the appliance with "ip netns exec nb-${rack} scripts/netboot --config FILE serve"`,
      );
    });

  sim
    .command('rack-down <rack>')
    .description('take a rack down, with everything that runs in it')
    .action(async (rack: string) => {
      const { run } = await import('../host/run.ts');
      const { removeRack } = await import('../sim/rack.ts');
      await removeRack(run, rack);
      console.log(`rack ${rack} is gone`);
    });

  addSimRackCommand(sim);

  sim
    .command('power')
    .argument('<serial>', 'of a virtual Pi that runs with --outlet')
    .addArgument(new Argument('<action>').choices(['on', 'off', 'cycle']))
    .option('--rack <rack>', 'the rack it is plugged into (default: the only one there is)')
    .description("switch a virtual Pi's power: off cuts it at once, on starts its firmware")
    .action(async (text: string, action: 'on' | 'off' | 'cycle', { rack }: { rack?: string }) => {
      const { run } = await import('../host/run.ts');
      const { onlyRack } = await import('../sim/rack.ts');
      const { tellOutlet } = await import('../sim/outlet.ts');
      await tellOutlet(rack ?? (await onlyRack(run)), parseSerial(text), action);
    });

  for (const model of ['pi3', 'pi4', 'pi5'] as const) {
    const command = sim
      .command(model)
      .description(
        `power on a virtual ${model.replace('pi', 'Pi ')} and show what its firmware asks and gets`,
      )
      .requiredOption('--serial <serial>', 'its serial number (required)')
      .option('--rack <rack>', 'the rack it is plugged into (default: the only one there is)')
      .option(
        '--mac <mac>',
        "its Ethernet address (default: the model's maker prefix and digits of the serial)",
      )
      .option('--boot', 'start what it fetched, in QEMU; it lives until it powers off, over every reset')
      .option('--once', 'with --boot or --agent: end with the first reset, or when its kernel panics')
      .option('--outlet', 'have its power switched by "netboot sim power"; it runs until it is stopped')
      .option('--ssh-key <file>', 'with --boot: a public key that may log in as root')
      .option('--console <file>', 'with --boot: write the serial console here as well')
      .option('--memory <MiB>', 'with --boot: its memory', '1024');
    addAgentOptions(command);
    if (model === 'pi3')
      command.addOption(new Option('--rom <rom>', 'which boot ROM').choices(['3b', '3b+']).default('3b+'));
    command.action((options: PiOptions) => powerOn(model, options));
  }
}

/** A node without its QEMU: many fit on one machine, and it fails as it is told. */
function addAgentOptions(pi: Command): void {
  const collect = (text: string, before: readonly FailureRule[]) => [...before, parseFailureRule(text)];
  const rules = (flags: string, description: string) =>
    new Option(flags, description).argParser(collect).default([] as readonly FailureRule[], 'none');
  pi.addOption(
    new Option(
      '--agent',
      'in place of what it fetched: a system that only reports and obeys as a booted one does',
    ).conflicts('boot'),
  )
    .option('--serve <port>', 'with --agent: serve a web page there', wholeNumber(65_535))
    .addOption(rules('--fail <how>', `with --agent: ${AGENT_FAILURES.join(', ')}; may be repeated`))
    .addOption(
      rules(
        '--fail-on <generation:how>',
        'the same, of one generation alone (or all that begin so); may be repeated',
      ),
    )
    .option('--clock <seconds>', 'with --agent: what its clock shows at its start', wholeNumber(2 ** 40));
}

function wholeNumber(most: number): (text: string) => number {
  return (text) => {
    if (/^\d{1,13}$/.test(text) && Number(text) <= most) return Number(text);
    throw new InvalidArgumentError(`Give a whole number up to ${most}.`);
  };
}

function agentOf({ agent, serve, fail, failOn, clock }: PiOptions): AgentSettings | undefined {
  if (!agent) return undefined;
  return {
    failures: [...failOn, ...fail],
    ...(serve === undefined ? {} : { serve }),
    ...(clock === undefined ? {} : { clock }),
  };
}

async function powerOn(model: 'pi3' | 'pi4' | 'pi5', options: PiOptions): Promise<void> {
  const { run } = await import('../host/run.ts');
  const { stopSignal } = await import('../host/stop-signal.ts');
  const { livePi } = await import('../sim/life.ts');
  const { runPluggedPi } = await import('../sim/plugged-pi.ts');
  const { simulatePi } = await import('../sim/simulate.ts');
  const { onlyRack } = await import('../sim/rack.ts');
  const mac = options.mac === undefined ? undefined : parseMac(options.mac);
  if (options.mac !== undefined && !mac)
    throw new Refusal(`"${options.mac}" is not a MAC address`, 'Write it as dc:a6:32:01:36:c2.');
  const signal = stopSignal();
  const agent = agentOf(options);
  const simulation: Simulation = {
    model,
    serial: parseSerial(options.serial),
    ...(mac ? { mac } : {}),
    ...(options.rom === '3b' ? { rom: '3b' as const } : {}),
    rack: options.rack ?? (await onlyRack(run)),
    boot: options.boot === true,
    ...(agent ? { agent } : {}),
    endsOnPanic: options.once === true,
    memoryMiB: Number(options.memory),
    ...(options.sshKey ? { authorizedKey: readFileSync(options.sshKey, 'utf8').trim() } : {}),
    ...(options.console ? { consoleLog: options.console } : {}),
    print: (line) => console.log(line),
    signal,
    run,
  };
  if (options.outlet) return runPluggedPi(simulation);
  const isLiving = (options.boot || agent) && !options.once;
  const running = isLiving ? livePi(simulation) : simulatePi(simulation);
  const result = await running.catch((error: unknown) => {
    if (!signal.aborted) throw error;
    console.log('power off');
    return undefined;
  });
  if (result?.kind === 'failed')
    throw new Refusal(`The Pi did not boot: ${result.reason}`, 'A real one would not either.');
}
