import type { Arch } from '../plan/step.ts';

export const ARCHES = ['arm64', 'armhf', 'amd64'] as const satisfies readonly Arch[];

/** `nginx`, `linux-image-arm64 [arm64]`, `htop [!amd64 !armhf]`: a package, and for which architectures. */
export interface PackageLine {
  readonly name: string;
  /** Nothing: for all. */
  readonly only?: readonly Arch[];
  readonly not?: readonly Arch[];
}

const NAME = /^[a-z0-9][a-z0-9+.-]+$/;
const LINE = /^(\S+?)(?:\s*\[([^\]]*)\])?$/;

/**
 * Reads a line of `packages` in the syntax of Debian's control files (Debian Policy 7.1, "architecture restrictions").
 * @param isName what may stand before the restriction; a package name unless told.
 * @returns the line, or what is wrong with it.
 */
export function parsePackageLine(
  text: string,
  isName = (name: string) => NAME.test(name),
): PackageLine | string {
  const [, name, restriction] = LINE.exec(text.trim()) ?? [];
  if (name === undefined || !isName(name)) return wrongName(name ?? text);
  if (restriction === undefined) return { name };
  const words = restriction.trim().split(/\s+/);
  const arches = words.map((word) => word.replace(/^!/, ''));
  const odd = arches.find((arch) => !(ARCHES as readonly string[]).includes(arch));
  if (odd !== undefined) {
    const what = odd === '' ? 'the restriction is empty' : `"${odd}" is no architecture that is built`;
    return `${what}; write ${name} [arm64], or with several: [arm64 armhf], or what it is not for: [!amd64]`;
  }
  const excluded = words.filter((word) => word.startsWith('!')).length;
  if (excluded > 0 && excluded < words.length) {
    return `[${restriction}] says both what it is for and what it is not for; write one of the two, as in [arm64] or [!amd64]`;
  }
  return excluded > 0 ? { name, not: arches as Arch[] } : { name, only: arches as Arch[] };
}

/** The names of the lines that are for `arch`, sorted, each once: to apt their order means nothing. */
export function selectPackages(lines: readonly PackageLine[], arch: Arch): string[] {
  const chosen = lines.filter(({ only, not }) => (only?.includes(arch) ?? true) && !not?.includes(arch));
  return [...new Set(chosen.map(({ name }) => name))].toSorted();
}

/** The line as it is written. */
export function formatPackageLine({ name, only, not }: PackageLine): string {
  if (only) return `${name} [${only.join(' ')}]`;
  return not ? `${name} [${not.map((arch) => `!${arch}`).join(' ')}]` : name;
}

function wrongName(text: string): string {
  if (/[=(/]/.test(text)) {
    return 'a version is not pinned here, but by the image.lock of a build ("build-image --locked"); write the name alone';
  }
  return `"${text}" is no Debian package name: those have lower-case letters, digits, "+", "-" and "."`;
}
