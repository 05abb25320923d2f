import { open } from 'node:fs/promises';
import { Refusal } from '../model/command.ts';
import { MOST_FILE_BYTES, nodeFileSchema } from '../model/node-file.ts';

const FORM = 'Write it as --file /etc/app/key=LOCALFILE,mode=0600,owner=www-data';

/**
 * `--file PATH=LOCALFILE[,mode=0600][,owner=U][,group=G]` as a change of the API; `PATH=` takes the file away.
 * @throws Refusal when it is not understood, or the local file cannot be had, or is too large.
 */
export async function fileOption(text: string): Promise<[path: string, file: object | null]> {
  const match = /^(\/[^=]*)=(.*?)((?:,(?:mode|owner|group)=[^,]*)*)$/s.exec(text);
  const [, path = '', localFile = '', words = ''] = match ?? [];
  if (!match || (localFile === '' && words !== '')) {
    throw new Refusal(`"--file ${text}" is not understood`, FORM);
  }
  if (localFile === '') return [path, null];
  const settings = words
    .split(',')
    .slice(1)
    .map((word) => word.split('=') as [string, string]);
  const content = (await readLocal(localFile)).toString('base64');
  const checked = nodeFileSchema.safeParse({ path, content, ...Object.fromEntries(settings) });
  if (checked.data) {
    const { path: _, ...file } = checked.data;
    return [path, file];
  }
  const [issue] = checked.error.issues;
  const place = issue?.path.join('.') ?? '';
  throw new Refusal(`"--file ${text}" is not understood: ${place}: ${issue?.message}`, FORM);
}

/** Also a pipe, as a secret that lies nowhere comes by; of a file that is too large no more than it takes to see that. */
async function readLocal(file: string): Promise<Buffer> {
  const failed = (why: string, cause?: unknown) =>
    new Refusal(`The file "${file}" cannot be read: ${why}`, 'Name one after the "=" of --file.', { cause });
  const chunks: Buffer[] = [];
  try {
    const handle = await open(file);
    try {
      for await (const chunk of handle.createReadStream({ end: MOST_FILE_BYTES, autoClose: false })) {
        chunks.push(chunk as Buffer);
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw failed((error as NodeJS.ErrnoException).code ?? String(error), error);
  }
  const content = Buffer.concat(chunks);
  if (content.length <= MOST_FILE_BYTES) return content;
  throw new Refusal(
    `The file "${file}" has more than 64 KiB`,
    'Put what is larger into the image, or onto the private disk of the node.',
  );
}
