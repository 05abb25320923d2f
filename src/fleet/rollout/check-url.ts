import { urlToHttpOptions } from 'node:url';
import { Refusal } from '../../model/command.ts';
import type { Node } from '../../model/node.ts';
import type { Ipv4 } from '../../net/ipv4.ts';

const WORDS = ['ip', 'name', 'serial', 'mac'] as const;
type Values = Readonly<Record<(typeof WORDS)[number], string | undefined>>;

const EXAMPLE: Values = { ip: '192.0.2.1', name: 'pi-1', serial: '9ffefdef', mac: 'dc:a6:32:00:00:01' };

/** @throws Refusal when it is no URL that a node could be asked by. */
export function assertCheckUrl(text: string): void {
  const unknown = [...text.matchAll(/\{([^}]*)\}/g)].find(
    ([, word]) => !(WORDS as readonly string[]).includes(word as string),
  );
  const remedy = 'Write it as http://{ip}:8000/; of a node there are {ip}, {name}, {serial} and {mac}.';
  if (unknown) throw new Refusal(`The check URL names ${unknown[0]}, which no node has`, remedy);
  if (isUrl(filled(text, EXAMPLE))) return;
  throw new Refusal(`"${text}" is no http or https URL to check nodes by`, remedy);
}

/** The URL of one node, or in words what it lacks. */
export function checkUrlOf(
  template: string,
  node: Node,
  address: Ipv4 | undefined,
): { readonly url: string } | { readonly lacks: string } {
  const values = { ip: address, name: node.name, serial: node.serial, mac: node.mac };
  const lacks = WORDS.find((word) => template.includes(`{${word}}`) && values[word] === undefined);
  if (lacks) return { lacks: lacks === 'ip' ? 'its address is not known' : `its ${lacks} is not known` };
  const url = filled(template, values);
  return isUrl(url) ? { url } : { lacks: `${url} is no URL` };
}

const filled = (template: string, values: Values): string =>
  template.replace(/\{(\w+)\}/g, (_, word: keyof Values) => values[word] ?? '');

/** One that a request can be made of: not all that is a URL has a user and a password that can be decoded. */
function isUrl(text: string): boolean {
  try {
    const { protocol } = urlToHttpOptions(new URL(text));
    return protocol === 'http:' || protocol === 'https:';
  } catch {
    return false;
  }
}
