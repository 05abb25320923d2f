import type { Run } from '../../model/command.ts';

/** What settling and fetching packages is done with. */
export interface PackageContext {
  readonly run: Run;
  /** Where every package file of all images is kept, as `<sha256>.deb`. Package lists are kept in `lists/` beside it. */
  readonly downloadsFolder: string;
  /** Exists, is this build's own, and on the file system of the downloads: what is half done lies here. */
  readonly workFolder: string;
  /** Where the host's apt is configured: its mirror, its proxy. */
  readonly aptFolder: string;
  /**
   * Copies these paths of the parent root (files and folders, those there are; links as links) to the same places below
   * `target`, an empty folder. Needed for a request onto a root.
   */
  readonly copyFromRoot?: (paths: readonly string[], target: string) => Promise<void>;
  /** Package lists fetched after this are new enough: with the time a build began all its steps see one state of the archive. */
  readonly asOf?: Date;
  /** Whose signature an archive of Debian bears; the host's debian-archive-keyring unless told. */
  readonly keyring?: string;
  readonly signal?: AbortSignal;
  readonly onLine: (line: string) => void;
  /** How much of what has to be fetched is there. */
  readonly onBytes?: (done: number, total: number) => void;
}
