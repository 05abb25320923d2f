/** Where an apt of our own has its things; every path absolute. */
export interface AptPlaces {
  readonly folder: string;
  readonly lists: string;
  readonly status: string;
  readonly sourceList: string;
  readonly sourceParts?: string;
  readonly trustedParts?: string;
  readonly preferences?: string;
  readonly preferencesParts?: string;
}

/**
 * apt.conf(5) for an apt that touches nothing of the host's and does as it is told here alone. `host` are lines of
 * `apt-config dump`: of those only what says how to reach archives (proxies, time-outs) is taken over.
 */
export function renderAptConf(
  places: AptPlaces,
  architectures: readonly string[],
  host: readonly string[],
  options: Readonly<Record<string, string>> = {},
): string {
  const none = '/dev/null';
  const settings: Readonly<Record<string, string>> = {
    Dir: places.folder,
    'Dir::State': places.folder,
    'Dir::State::Lists': places.lists,
    'Dir::State::Status': places.status,
    'Dir::State::extended_states': `${places.folder}/extended_states`,
    'Dir::Cache': places.lists,
    // The one of the lists is kept; the one with the installed packages is this resolution's alone.
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::Archives': `${places.folder}/archives`,
    'Dir::Etc::Main': none,
    'Dir::Etc::Parts': none,
    'Dir::Etc::NetRC': '/etc/apt/auth.conf',
    'Dir::Etc::NetRCParts': '/etc/apt/auth.conf.d',
    'Dir::Etc::SourceList': places.sourceList,
    'Dir::Etc::SourceParts': places.sourceParts ?? none,
    'Dir::Etc::Trusted': none,
    'Dir::Etc::TrustedParts': places.trustedParts ?? none,
    'Dir::Etc::Preferences': places.preferences ?? none,
    'Dir::Etc::PreferencesParts': places.preferencesParts ?? none,
    'Dir::Log': places.folder,
    'APT::Architecture': architectures[0] ?? '',
    'APT::Sandbox::User': 'root',
    'APT::Install-Recommends': 'false',
    // "nginx." is then no pattern but a package that does not exist.
    'APT::Cmd::Pattern-Only': 'true',
    // Otherwise a list that cannot be had is a warning, and an old one is used.
    'APT::Update::Error-Mode': 'any',
    'Acquire::Languages': 'none',
    'Acquire::IndexTargets::deb-src::Sources::DefaultEnabled': 'false',
    'Acquire::Retries': '3',
    ...options,
  };
  const quoted = (text: string) => `"${text.replaceAll('"', '')}"`;
  return [
    ...host.filter((line) => /^Acquire::(?!IndexTargets|Languages|Changelogs|Retries )[^ ]+ "/.test(line)),
    ...Object.entries(settings).map(([key, value]) => `${key} ${quoted(value)};`),
    `APT::Architectures { ${architectures.map((arch) => `${quoted(arch)};`).join(' ')} };`,
    '',
  ].join('\n');
}
