/** A file that a step is given below $INPUT. Name, kind, mode and content are part of the step's key. */
export interface StepInput {
  /** Relative to $INPUT, for example `rootfs/etc/fstab` or `hooks/10-web.sh`. */
  readonly path: string;
  readonly content:
    | { readonly kind: 'file'; readonly file: string }
    | { readonly kind: 'text'; readonly text: string }
    | { readonly kind: 'link'; readonly target: string };
  /** Permission bits; 0644 unless told. */
  readonly mode?: number;
}

/**
 * A big file from outside, known by its content: of its key only kind and `sha256` are part, not where it lies. It is neither
 * copied nor read until the step does run; then it is opened (import/source.ts), and the step finds it as $SOURCE.
 */
export interface StepSource {
  readonly kind: 'image' | 'tarball';
  /** Absolute. */
  readonly file: string;
  readonly sha256: string;
}

/**
 * Debian packages that a step is to have. Which versions that means is settled before the step's key is made (by the
 * archive, an earlier resolution or a lock), so that the step itself needs no network and depends on nothing else.
 */
export interface PackageRequest {
  /** `debian`: a root from nothing; `root`: on top of the root as it is (its dpkg status, for an imported image its own sources). */
  readonly onto: 'debian' | 'root';
  readonly arch: Arch;
  readonly suite?: string;
  readonly components?: readonly string[];
  /** Otherwise where the host's own apt gets Debian. */
  readonly mirror?: string;
  readonly add: readonly string[];
  readonly remove: readonly string[];
  /** Everything installed brought up to date first. */
  readonly upgrade: boolean;
  /** Only fetched, for the step to unpack what it needs of them; never installed. */
  readonly fetchOnly: readonly string[];
  /** Absolute paths of .deb files that lie beside the recipe. */
  readonly local: readonly string[];
}

/** One exact package file; `sha256` is its identity wherever it is fetched from. */
export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  readonly sha256: string;
  readonly size: number;
  /** Path in the archive, `pool/main/n/nginx/…`; for one beside the recipe its file name. */
  readonly filename: string;
  readonly purpose: 'install' | 'fetch only';
}

/** What the packages of one step were resolved to. */
export interface LockSection {
  readonly packages: readonly LockedPackage[];
  /** Installed ones that go. */
  readonly removed: readonly string[];
}

/** The exact packages of a whole build, by step id. */
export interface Lock {
  readonly version: 1;
  readonly image: string;
  readonly steps: Readonly<Record<string, LockSection>>;
}

export type Arch = 'arm64' | 'armhf' | 'amd64';

/**
 * One step of a build, as data: `steps/<script>.sh`, which sees its variables, `$INPUT` and the root, and nothing else of the
 * outside. Equal steps on equal parents make equal results, which is what the cache stands on.
 */
export interface Step {
  /** Unique in a build: `base/packages`, `web/hooks/20-web.sh`, `web/squash`. */
  readonly id: string;
  /** For people. */
  readonly name: string;
  readonly script: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly inputs: readonly StepInput[];
  readonly packages?: PackageRequest;
  readonly source?: StepSource;
  /** `layer`: changes the root. `artifact`: reads it and leaves files in $OUT. `seal`: an artifact that goes into the generation alone. */
  readonly output: 'layer' | 'artifact' | 'seal';
  /**
   * Of an artifact: the paths of the root (globs) that it depends on; without them it depends on all of it. The step
   * sees whatever the root holds, so this list is a promise that its script has to keep.
   */
  readonly reads?: readonly string[];
  /** Ids of artifact steps whose results it is given as $ARTIFACTS/<last part of the id>/. */
  readonly artifacts?: readonly string[];
  /** Without it the step runs in a network namespace with nothing in it. */
  readonly network?: boolean;
}
