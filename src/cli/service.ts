import { type Command, Option } from 'commander';
import { loadConfig } from './config-file.ts';

export function addServiceCommands(program: Command): void {
  program
    .command('serve')
    .description('run the service in the foreground')
    .option('--check', 'only see whether the configuration fits this machine')
    .option('--force', 'start even where another DHCP server answers on an interface with dhcp: full')
    .action(async ({ check, force = false }: { check?: boolean; force?: boolean }) => {
      const config = await loadConfig(program);
      if (!check) {
        const { serve } = await import('../daemon.ts');
        return serve(config, { force });
      }
      const { checkMachine } = await import('../machine-check.ts');
      for (const warning of await checkMachine(config)) console.error(`netboot: ${warning}`);
    });

  program
    .command('apply-exports', { hidden: true })
    .description('mount and export for a service without privileges (netboot-exports.service)')
    .action(async () => {
      const config = await loadConfig(program);
      const { applyExports } = await import('../daemon.ts');
      await applyExports(config);
    });

  program
    .command('init')
    .description(
      'write a configuration file that fits the interfaces and networks of this machine (needs root)',
    )
    .option('--interface <name>', 'the interface the Pis are on (default: the one of the default route)')
    .addOption(
      new Option(
        '--dhcp <mode>',
        'proxy: beside another DHCP server; full: as the only one; off: no DHCP (default: looks whether there is one)',
      ).choices(['proxy', 'full', 'off']),
    )
    .option('--output <file>', 'where to write it', '/etc/netboot/netboot.yaml')
    .option('--force', 'replace a file that is there')
    .action(async (options: { interface?: string; dhcp?: string; output: string; force?: boolean }) => {
      const { writeInitialConfig } = await import('./init.ts');
      await writeInitialConfig(options);
    });
}
