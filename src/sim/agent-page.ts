import { createServer, type Server, type Socket } from 'node:net';

/** The web page of a simulated node: what its check URL fetches. */
export class AgentPage {
  readonly #port: number;
  readonly #text: string;
  readonly #hangs: boolean;
  readonly #open = new Set<Socket>();
  #server: Server | undefined;

  /** @param hangs it accepts whoever comes, and never answers. */
  constructor(port: number, text: string, hangs: boolean) {
    this.#port = port;
    this.#text = text;
    this.#hangs = hangs;
  }

  serve(): void {
    if (this.#server) return;
    const page = `${this.#text}\n`;
    const answer = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(page)}\r\nConnection: close\r\n\r\n${page}`;
    this.#server = createServer((socket) => {
      this.#open.add(socket);
      socket.on('error', () => {}); // who asked has gone
      socket.on('close', () => this.#open.delete(socket));
      if (!this.#hangs) socket.once('data', () => socket.end(answer));
    }).listen(this.#port);
  }

  close(): void {
    this.#server?.close();
    this.#server = undefined;
    for (const socket of this.#open) socket.destroy();
  }
}
