import { type Command, Option } from 'commander';
import type { BootKeyAnswer, FirmwareConfigAnswer } from '../api/schemas.ts';
import { callApi } from './client.ts';
import { nodeArgument } from './node-argument.ts';
import { nodePath } from './nodes.ts';

/** Both commands print what goes into a file on stdout, and what is for a person on stderr. */
export function addBootCommands(program: Command): void {
  program
    .command('keys')
    .description('the public key for the EEPROMs of Pis that boot over HTTP; the first time, makes it')
    .option('--new', 'make another one: every EEPROM that has the old one must be flashed again')
    .option('--json', 'for scripts')
    .action(async (options: { new?: boolean; json?: boolean }) => {
      const answer = await callApi<BootKeyAnswer>(program, 'POST', '/v1/boot-key', {
        replace: options.new === true,
      });
      if (options.json) {
        console.log(JSON.stringify(answer, null, 2));
        return;
      }
      console.error(`${described(answer)}, SHA-256 ${answer.fingerprint}`);
      if (answer.outcome === 'replaced')
        console.error(
          'Pis whose EEPROM has the old key refuse from now on what is signed: flash them again (netboot firmware-config).',
        );
      console.log(answer.publicKey.trimEnd());
    });

  program
    .command('firmware-config')
    .addArgument(nodeArgument())
    .description("what to set in a Pi's boot EEPROM so that it boots from here, and how")
    .addOption(
      new Option('--http', 'boot.img over HTTP, signed (default, where HTTP is served)').conflicts('tftp'),
    )
    .option('--tftp', 'file by file over TFTP')
    .option('--json', 'for scripts')
    .action(async (reference: string, options: { http?: boolean; tftp?: boolean; json?: boolean }) => {
      const query = options.http ? '?boot=http' : options.tftp ? '?boot=tftp' : '';
      const path = `${nodePath(reference)}/firmware-config${query}`;
      const answer = await callApi<FirmwareConfigAnswer>(program, 'GET', path);
      if (options.json) {
        console.log(JSON.stringify(answer, null, 2));
        return;
      }
      for (const line of answer.settings) console.log(line);
      console.error(answer.steps.map((step, index) => `${index + 1}. ${step}`).join('\n'));
    });
}

function described({ outcome, made }: BootKeyAnswer): string {
  if (outcome === 'made') return 'made a key';
  return outcome === 'replaced' ? 'made another key; the old one is kept beside it' : `the key of ${made}`;
}
