import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether all of it arrived, as far as the connection tells. */
  readonly onSent?: ((isWhole: boolean) => void) | undefined;
}

/**
 * Sends the answer and ends the connection. By the socket and not by Node's ServerResponse, which hangs up as soon as the
 * kernel has taken the bytes: whether the client read them shows in how the connection ends, by its FIN or by a reset.
 * @returns whether the client ended it in order, within that time.
 */
export function send(
  socket: Socket,
  { status, body, headers = {} }: Answer,
  withinMs: number,
): Promise<boolean> {
  if (socket.destroyed || !socket.writable) return Promise.resolve(false);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
  ];
  return new Promise((resolve) => {
    let isEnded = false;
    socket.once('end', () => {
      isEnded = true;
    });
    socket.once('close', (hadError) => {
      clearTimeout(timer);
      resolve(isEnded && !hadError);
    });
    socket.on('error', () => {}); // `close` follows
    const timer = setTimeout(() => socket.destroy(), withinMs);
    socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
    // What still comes is not for us, but the end behind it is.
    socket.resume();
  });
}
