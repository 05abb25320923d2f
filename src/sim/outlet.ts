import { once } from 'node:events';
import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { isAnswered } from '../host/unix-socket.ts';
import { Refusal } from '../model/command.ts';
import { matchSerial, type Serial } from '../net/serial.ts';

/** `unplug` ends the virtual Pi altogether. */
export const OUTLET_WORDS = ['on', 'off', 'cycle', 'unplug'] as const;
export type OutletWord = (typeof OUTLET_WORDS)[number];

const FOLDER = '/run/netboot-sim';

const folderOf = (rack: string): string => join(FOLDER, rack);
const socketOf = (rack: string, serial: string): string => join(folderOf(rack), `${serial}.sock`);

/**
 * The outlet that a virtual Pi is plugged into: a socket of root's alone, that takes one word a connection and answers
 * `done` or what was wrong. @throws Refusal when a Pi of that serial has its outlet there already.
 */
export async function openOutlet(
  rack: string,
  serial: Serial,
  obey: (word: OutletWord) => Promise<void>,
): Promise<AsyncDisposable> {
  const path = socketOf(rack, serial);
  await mkdir(folderOf(rack), { recursive: true, mode: 0o700 });
  if (await isAnswered(path))
    throw new Refusal(`The virtual Pi ${serial} is running in rack "${rack}"`, 'Stop it first.');
  await rm(path, { force: true });
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    socket.on('error', () => {}); // who asked has gone
    socket.setTimeout(10_000, () => socket.destroy());
    const said = (await text(socket).catch(() => '')).trim();
    socket.setTimeout(0);
    const word = OUTLET_WORDS.find((known) => known === said);
    const answer = word
      ? await obey(word).then(
          () => 'done',
          (error: Error) => error.message,
        )
      : 'say on, off, cycle or unplug';
    socket.end(`${answer}\n`);
  });
  server.listen(path);
  await once(server, 'listening');
  await chmod(path, 0o600);
  return { [Symbol.asyncDispose]: () => close(server) };
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  await closed;
}

/** @throws Refusal when there is no such outlet, or it says what is wrong. */
export async function tellOutlet(rack: string, serial: Serial, word: OutletWord): Promise<void> {
  const answer = await say(socketOf(rack, serial), word).catch((error: NodeJS.ErrnoException) => {
    throw new Refusal(
      `No virtual Pi ${serial} with an outlet runs in rack "${rack}" (${error.code ?? error.message})`,
      `Start it: netboot sim pi4 --serial ${serial} --outlet`,
    );
  });
  if (answer !== 'done') throw new Refusal(`The outlet of ${serial} says: ${answer}`, 'See what it prints.');
}

/** Ends every virtual Pi of a rack that has an outlet, also one that is switched off. */
export async function unplugAll(rack: string): Promise<void> {
  const names = await readdir(folderOf(rack)).catch(() => []);
  const serials = names.flatMap((name) => matchSerial(name.replace(/\.sock$/, '')) ?? []);
  await Promise.all(serials.map((serial) => say(socketOf(rack, serial), 'unplug').catch(() => '')));
  await rm(folderOf(rack), { recursive: true, force: true });
}

async function say(path: string, word: OutletWord): Promise<string> {
  const socket = connect(path);
  await once(socket, 'connect');
  socket.setTimeout(30_000, () => socket.destroy(new Error('no answer')));
  socket.end(`${word}\n`);
  return (await text(socket)).trim();
}
