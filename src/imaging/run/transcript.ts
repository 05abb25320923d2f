import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { finished } from 'node:stream/promises';

/** The log file of a build; written through when closed. A full disk costs lines of it and nothing else. */
export interface Transcript extends AsyncDisposable {
  write(line: string): void;
  close(): Promise<void>;
}

export async function openTranscript(file: string): Promise<Transcript> {
  await mkdir(dirname(file), { recursive: true });
  const stream = createWriteStream(file);
  stream.on('error', () => {});
  const close = async () => {
    if (!stream.writableEnded) stream.end();
    await finished(stream).catch(() => {});
  };
  return { write: (line) => void stream.write(`${line}\n`), close, [Symbol.asyncDispose]: close };
}
