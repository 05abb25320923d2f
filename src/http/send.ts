import type { ServerResponse } from 'node:http';
import type { BootFile } from '../model/boot-file.ts';

/** Of a file at a time: what a client that reads slowly, or no longer, holds of our memory. */
const CHUNK = 64 * 1024;

/** How the sending of a file ended. `short`: the file has fewer bytes than it said, which is our failure. */
export type Sent = 'completed' | 'aborted' | 'short';

/**
 * Sends the bytes from `start` to before `end` at the pace of the client: the next are read when these have left.
 * @param onBytes is told how many each time.
 * @throws whatever the reading throws; the response has to be destroyed then.
 */
export async function sendPart(
  response: ServerResponse,
  file: BootFile,
  { start, end }: { readonly start: number; readonly end: number },
  onBytes: (count: number) => void,
): Promise<Sent> {
  for (let at = start; at < end; ) {
    if (isGone(response)) return 'aborted';
    const chunk = await file.read(at, Math.min(CHUNK, end - at));
    if (chunk.length === 0) return 'short';
    if (isGone(response)) return 'aborted';
    at += chunk.length;
    const hasRoom = at < end ? response.write(chunk) : response.end(chunk) === response;
    onBytes(chunk.length);
    if (!hasRoom && !(await settled(response, 'drain'))) return 'aborted';
  }
  if (start === end) response.end();
  return (await settled(response, 'finish')) ? 'completed' : 'aborted';
}

function isGone(response: ServerResponse): boolean {
  return response.destroyed || response.req.socket.destroyed;
}

/** Whether the event came, and not the end of the connection. */
function settled(response: ServerResponse, event: 'drain' | 'finish'): Promise<boolean> {
  if (event === 'finish' && response.writableFinished) return Promise.resolve(true);
  if (isGone(response)) return Promise.resolve(false);
  return new Promise((resolve) => {
    const over = (hasCome: boolean) => {
      response.off(event, came).off('close', ended);
      resolve(hasCome);
    };
    const came = () => over(true);
    const ended = () => over(event === 'finish' && response.writableFinished);
    response.once(event, came).once('close', ended);
  });
}
