import { access, constants, mkdir, stat } from 'node:fs/promises';
import type { Config } from './config.ts';
import { resolveNetworks } from './fleet/networks.ts';
import { interfaceAddresses } from './host/interfaces.ts';
import { isAnswered } from './host/unix-socket.ts';
import { startHttpServer } from './http/server.ts';
import { Refusal } from './model/command.ts';
import { silentLog } from './model/log.ts';
import type { Network } from './model/network.ts';
import { Warnings } from './model/warnings.ts';

/** `netboot serve --check`. @returns what a person should mend and the service runs without. @throws Refusal saying what of the configuration does not fit this machine. */
export async function checkMachine(config: Config): Promise<string[]> {
  const networks = resolveNetworks(config.interfaces, await interfaceAddresses());
  await makeStateFolder(config.paths.state);
  const fault = await faultOfPlainRoot(config.tftp.root);
  return [...(fault === undefined ? [] : [fault]), ...(await faultsOfHttp(config, networks))];
}

/** What is wrong with the folder of plain files. Everything else is served without it, so nothing is refused for it. */
export async function faultOfPlainRoot(folder: string | undefined): Promise<string | undefined> {
  if (folder === undefined) return undefined;
  try {
    await access(folder, constants.R_OK | constants.X_OK);
    if ((await stat(folder)).isDirectory()) return undefined;
    throw new Error('it is no folder');
  } catch (error) {
    return `The folder of plain files "${folder}" (tftp.root) cannot be read: ${(error as Error).message}. Make it, readable for the user the service runs as, or take tftp.root out of the configuration.`;
  }
}

/** @throws Refusal naming the folder when the service may not write there. */
export async function makeStateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o755 });
    await access(folder, constants.W_OK);
  } catch (error) {
    const problem = `The state folder "${folder}" (paths.state) cannot be written: ${(error as Error).message}`;
    throw new Refusal(problem, 'Make it writable for the user the service runs as, or name another.', {
      cause: error,
    });
  }
}

/** Where HTTP cannot be served; where the service runs already, the port is its own. */
async function faultsOfHttp(config: Config, networks: ReadonlyMap<string, Network>): Promise<string[]> {
  if (config.http.port === 'off' || (await isAnswered(config.api.socket))) return [];
  const warnings = new Warnings(silentLog, Date.now);
  const openFile = async () => ({ kind: 'missing' as const, reason: 'nothing is served yet' });
  const http = startHttpServer({ port: config.http.port, openFile, log: silentLog, warnings });
  await http.listenAt(networks.values());
  await http.stop();
  return warnings.all().map(({ text }) => text);
}
