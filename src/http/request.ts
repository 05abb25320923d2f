/**
 * The path of a request's target, percent-decoded: of `/9ffefdef/boot.img?x`, and of `http://host/9ffefdef/boot.img`,
 * which HTTP allows as well. @returns `undefined` for a target that is none.
 */
export function pathOf(target: string): string | undefined {
  const [, path] = /^(?:https?:\/\/[^/?#]*)?(\/[^?#]*)?/i.exec(target) ?? [];
  if (path === undefined) return undefined;
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined; // % and no two hexadecimal digits after it, or no UTF-8
  }
}

/** The program that asks, as far as a log line wants it. */
export interface Agent {
  readonly agent?: string;
  /** Of the board, in hex: the EEPROM of a Pi sends `rpiboot/1.0 (c03115; version:…)`. */
  readonly boardRevision?: string;
}

export function agentOf(userAgent: string | undefined): Agent {
  if (userAgent === undefined || userAgent === '') return {};
  const agent = userAgent.slice(0, 128);
  const [, boardRevision] = /^rpiboot\/\S* \(([0-9a-f]{4,8})\b/i.exec(agent) ?? [];
  return { agent, ...(boardRevision ? { boardRevision: boardRevision.toLowerCase() } : {}) };
}
