import { Refusal } from '../model/command.ts';

/** For an option that may be repeated: each takes one value, so that what follows is not swallowed. */
export const collect = (value: string, earlier: readonly string[] = []): readonly string[] => [
  ...earlier,
  value,
];

/** `--set port=80`, repeated, as a map. @throws Refusal for what is no `variable=value`. */
export function parseSettings(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw new Refusal(`"--set ${text}" sets nothing`, 'Write it as --set variable=value.');
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
