/** Where a host's apt gets Debian from. */
export interface DebianMirrors {
  readonly main: string;
  readonly security: string | undefined;
}

interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
}

/** The Debian archive among a host's apt sources (one-line and deb822 files); undefined when there is none. */
export function findMirrors(
  files: readonly { readonly name: string; readonly text: string }[],
): DebianMirrors | undefined {
  const sources = files.flatMap(({ name, text }) =>
    name.endsWith('.sources') ? parseDeb822(text) : parseOneLine(text),
  );
  // Other vendors also name a suite "bookworm" with a "main": what tells Debian's archive is "debian" in its path.
  const debian = sources.filter(
    ({ uri, components }) => components.includes('main') && /\/debian(-security)?(\/|$|\.)/.test(uri),
  );
  const main = debian.find(({ suites }) => suites.some((suite) => /^[a-z]+$/.test(suite)));
  const security = debian.find(({ suites }) =>
    suites.some((suite) => /^[a-z]+(-security|\/updates)$/.test(suite)),
  );
  return main && { main: main.uri, security: security?.uri };
}

/** sources.list(5), "ONE-LINE-STYLE FORMAT". */
export function parseOneLine(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const words = line.replace(/#.*/, '').replace(/\[[^\]]*\]/, ' ');
    const [type, uri, suite, ...components] = words.trim().split(/\s+/);
    return type === 'deb' && uri && suite ? [{ uri: bare(uri), suites: [suite], components }] : [];
  });
}

/** sources.list(5), "DEB822-STYLE FORMAT". */
export function parseDeb822(text: string): AptSource[] {
  const stanzas = text.replace(/^#.*\n?/gm, '').split(/\n\s*\n/);
  return stanzas.flatMap((stanza) => {
    const field = (name: string): string[] => {
      const match = new RegExp(`^${name}:[ \\t]*(.*(?:\\n[ \\t]+.*)*)`, 'im').exec(stanza);
      return match?.[1]?.split(/\s+/).filter((word) => word !== '') ?? [];
    };
    if (!field('Types').includes('deb') || field('Enabled')[0]?.toLowerCase() === 'no') return [];
    const [suites, components] = [field('Suites'), field('Components')];
    return field('URIs').map((uri) => ({ uri: bare(uri), suites, components }));
  });
}

const bare = (uri: string) => uri.replace(/\/+$/, '');
