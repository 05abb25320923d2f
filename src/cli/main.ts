import { Command, CommanderError } from 'commander';
import { CommandError, Refusal } from '../model/command.ts';
import { SerialError } from '../net/serial.ts';
import { addBootCommands } from './boot.ts';
import { ServiceRefusal } from './client.ts';
import { addEventsCommand } from './events.ts';
import { addImageCommands } from './images.ts';
import { addKnownHostsCommand } from './known-hosts.ts';
import { addLintCommand } from './lint.ts';
import { addListCommands } from './listings.ts';
import { addNodeListings } from './node-listings.ts';
import { addNodeCommands } from './nodes.ts';
import { addOrderCommands } from './orders.ts';
import { addPowerCommand } from './power.ts';
import { addPrivateCommand } from './private.ts';
import { addProfileCommands } from './profiles.ts';
import { addPruneCommand } from './prune.ts';
import { addRollbackCommand } from './rollback.ts';
import { addRolloutCommands } from './rollout.ts';
import { addServiceCommands } from './service.ts';
import { addSimCommands } from './sim.ts';

const program = new Command('netboot')
  .description('Boots racks of diskless Raspberry Pis: DHCP, TFTP, NFS exports and the images they run.')
  .option(
    '-c, --config <file>',
    'configuration file (default: NETBOOT_CONFIG, then /etc/netboot/netboot.yaml)',
  )
  .exitOverride();

addServiceCommands(program);
addNodeCommands(program);
addNodeListings(program);
addProfileCommands(program);
addListCommands(program);
addImageCommands(program);
addLintCommand(program);
addRollbackCommand(program);
addRolloutCommands(program);
addPruneCommand(program);
addPrivateCommand(program);
addEventsCommand(program);
addBootCommands(program);
addKnownHostsCommand(program);
addOrderCommands(program);
addPowerCommand(program);
addSimCommands(program);

nameHelp(program);

// Whoever reads what we print may have seen enough (`| head`): what is under way is finished all the same.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

// Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 refused for another DHCP server.
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    const told = [Refusal, ServiceRefusal, SerialError, CommandError].some((kind) => error instanceof kind);
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    console.error(`netboot: ${told ? message : (stack ?? message)}`);
    process.exitCode = error instanceof Refusal ? error.exitCode : 1;
  }
}

/** Who used a command wrongly is told where that one is explained. @param path of the commands above it. */
function nameHelp(command: Command, path = 'netboot'): void {
  const isTop = command.parent === null;
  command.showHelpAfterError(`See "${path} help${isTop ? '' : ` ${command.name()}`}".`);
  for (const child of command.commands) nameHelp(child, isTop ? path : `${path} ${command.name()}`);
}
