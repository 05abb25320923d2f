/** Something that reads what others wrote. */
export interface Target {
  /** Also the folder of its fixtures. */
  readonly name: string;
  /** Well-formed inputs to start from. */
  readonly seeds: readonly Uint8Array[];
  /**
   * Reads the input, and checks what must hold of what comes out. An input that is refused in the way its reader
   * says is a good end. @throws whatever must not happen.
   */
  readonly read: (input: Uint8Array) => void;
}

/** A broken promise of a parser's. */
export class BrokenProperty extends Error {
  override readonly name = 'BrokenProperty';
}

export function check(isKept: boolean, promise: string): void {
  if (!isKept) throw new BrokenProperty(promise);
}

/** What `read` gives; `undefined` when it refuses its input by an error of one of these kinds. */
export function refusing<T>(
  kinds: ReadonlyArray<new (...args: never[]) => Error>,
  read: () => T,
): T | undefined {
  try {
    return read();
  } catch (error) {
    if (kinds.some((kind) => error instanceof kind)) return undefined;
    throw error;
  }
}
