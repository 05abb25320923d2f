/** Remembers for a while by what a peer's last transfer went; bounded in number. */
export class RecentPeers<T> {
  readonly #keepMs: number;
  readonly #most: number;
  /** The oldest first. */
  readonly #entries = new Map<number, { readonly value: T; readonly until: number }>();

  constructor(keepMs: number, most: number) {
    this.#keepMs = keepMs;
    this.#most = most;
  }

  get(address: number, port: number, now: number): T | undefined {
    const entry = this.#entries.get(key(address, port));
    return entry && entry.until > now ? entry.value : undefined;
  }

  set(address: number, port: number, value: T, now: number): void {
    this.#entries.delete(key(address, port));
    this.#entries.set(key(address, port), { value, until: now + this.#keepMs });
    if (this.#entries.size <= this.#most) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }

  /** Drops those whose time is over. */
  forget(now: number): void {
    for (const [peer, { until }] of this.#entries) {
      if (until > now) return;
      this.#entries.delete(peer);
    }
  }
}

function key(address: number, port: number): number {
  return address * 0x1_0000 + port;
}
