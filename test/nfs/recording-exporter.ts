import type { Exporter } from '../../src/nfs/applied.ts';
import type { Export } from '../../src/nfs/export.ts';

export const someExport = (name: string): Export => ({
  path: `/exports/${name}`,
  clients: ['10.0.0.0/8'],
  options: ['ro'],
});

/** Serves nothing; remembers the paths of every list it is given, and fails while it has `failures` left. */
export class RecordingExporter implements Exporter {
  readonly kind = 'ganesha';
  readonly calls: string[][] = [];
  failures = 0;
  #applied: readonly Export[] = [];

  async apply(desired: readonly Export[]): Promise<void> {
    this.calls.push(desired.map(({ path }) => path));
    if (this.failures > 0) {
      this.failures--;
      throw new Error('the port is taken');
    }
    this.#applied = desired;
  }

  state() {
    return { exports: this.#applied.map(({ path, clients, options }) => ({ path, clients, options })) };
  }

  async stop(): Promise<void> {}
}
