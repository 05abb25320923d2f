import type { Export } from './export.ts';

const HEADER = '# Written by netboot; changes made here are lost.';

/** exports(5) text of our own file, `/etc/exports.d/netboot.exports`. An export without clients has no line. */
export function renderExports(exports: readonly Export[]): string {
  const lines = exports
    .filter((entry) => entry.clients.length > 0)
    .map(({ path, clients, options }) =>
      [path, ...clients.map((client) => `${client}(${options.join(',')})`)].join(' '),
    );
  return `${[HEADER, ...lines].join('\n')}\n`;
}
