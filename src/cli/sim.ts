import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { Refusal } from '../model/command.ts';
import { parseMac } from '../net/mac.ts';
import { parseSerial } from '../net/serial.ts';
import { addSimRackCommand } from './sim-rack.ts';

interface PiOptions {
  serial: string;
  rack?: string;
  mac?: string;
  rom?: string;
  boot?: boolean;
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

  for (const model of ['pi3', 'pi4', 'pi5'] as const) {
    const command = sim
      .command(model)
      .description(
        `power on a virtual ${model.replace('pi', 'Pi ')} and show what its firmware asks and gets`,
      )
      .requiredOption('--serial <serial>', 'its serial number')
      .option('--rack <rack>', 'the rack it is plugged into (default: the only one there is)')
      .option(
        '--mac <mac>',
        "its Ethernet address (default: the model's maker prefix and digits of the serial)",
      )
      .option('--boot', 'start what it fetched, in QEMU, until it powers off')
      .option('--ssh-key <file>', 'with --boot: a public key that may log in as root')
      .option('--console <file>', 'with --boot: write the serial console here as well')
      .option('--memory <MiB>', 'with --boot: its memory', '1024');
    if (model === 'pi3')
      command.addOption(new Option('--rom <rom>', 'which boot ROM').choices(['3b', '3b+']).default('3b+'));
    command.action((options: PiOptions) => powerOn(model, options));
  }
}

async function powerOn(model: 'pi3' | 'pi4' | 'pi5', options: PiOptions): Promise<void> {
  const { run } = await import('../host/run.ts');
  const { stopSignal } = await import('../host/stop-signal.ts');
  const { simulatePi } = await import('../sim/simulate.ts');
  const { onlyRack } = await import('../sim/rack.ts');
  const mac = options.mac === undefined ? undefined : parseMac(options.mac);
  if (options.mac !== undefined && !mac)
    throw new Refusal(`"${options.mac}" is not a MAC address`, 'Write it as dc:a6:32:01:36:c2.');
  const signal = stopSignal();
  const simulation = simulatePi({
    model,
    serial: parseSerial(options.serial),
    ...(mac ? { mac } : {}),
    ...(options.rom === '3b' ? { rom: '3b' as const } : {}),
    rack: options.rack ?? (await onlyRack(run)),
    boot: options.boot === true,
    memoryMiB: Number(options.memory),
    ...(options.sshKey ? { authorizedKey: readFileSync(options.sshKey, 'utf8').trim() } : {}),
    ...(options.console ? { consoleLog: options.console } : {}),
    print: (line) => console.log(line),
    signal,
    run,
  });
  const result = await simulation.catch((error: unknown) => {
    if (!signal.aborted) throw error;
    console.log('power off');
    return undefined;
  });
  if (result?.kind === 'failed')
    throw new Refusal(`The Pi did not boot: ${result.reason}`, 'A real one would not either.');
}
