import type { IdentityRequest, Report, ReportMessage } from '../model/report.ts';
import { WireError } from '../net/bytes.ts';
import { matchSerial, type Serial } from '../net/serial.ts';
import { MOST_WAIT_SECONDS } from './message.ts';

const STATES: ReadonlySet<string> = new Set([
  'initializing',
  'starting',
  'running',
  'degraded',
  'maintenance',
  'stopping',
] satisfies Report['state'][]);
const MOST_FAILED_UNITS = 200;
/** systemd.unit(5): letters, digits and `:-_.\@`, 255 characters at most. */
const UNIT = /^[\w:.\\@-]{1,255}$/;
const WORD = /^[\w.-]{1,100}$/;
const DECIMAL = /^-?\d{1,12}(\.\d{1,9})?$/;

type Fields = ReadonlyMap<string, readonly string[]>;

/** `POST /v1/identity`. @throws WireError naming the line that is missing or wrong. */
export function parseIdentityRequest(body: Uint8Array): IdentityRequest {
  const fields = fieldsOf(body);
  const since = Number.parseInt(one(fields, 'since', /^[0-9a-z]{1,10}$/), 36);
  return { serial: serialOf(fields), since, nonce: one(fields, 'nonce', /^[0-9a-f]{32}$/) };
}

/** `POST /v1/report`. @throws WireError naming the line that is missing or wrong. */
export function parseReport(body: Uint8Array): ReportMessage {
  const fields = fieldsOf(body);
  const report: Report = {
    generation: one(fields, 'generation', WORD),
    root: one(fields, 'root', WORD),
    uptime: Number(one(fields, 'uptime', DECIMAL)),
    clock: Number(one(fields, 'clock', DECIMAL)),
    state: stateOf(one(fields, 'state', WORD)),
    failed: failedUnits(fields),
    ...optional('target', fields, ([text = '', ...rest]) =>
      UNIT.test(text) && rest.length === 0 ? text : undefined,
    ),
    ...optional('memory', fields, (values) => pairOf(values, 1024)),
    ...optional('temperature', fields, ([text = '']) => (DECIMAL.test(text) ? Number(text) : undefined)),
    ...optional('throttled', fields, ([text = '']) =>
      /^(0x)?[0-9a-f]{1,8}$/i.test(text) ? Number.parseInt(text, 16) : undefined,
    ),
    ...optional('disk', fields, (values) => pairOf(values, 1)),
  };
  return {
    serial: serialOf(fields),
    run: one(fields, 'run', WORD),
    seq: Number(one(fields, 'seq', /^\d{1,15}$/)),
    waitSeconds: Math.min(MOST_WAIT_SECONDS, Number(one(fields, 'wait', /^\d{1,6}$/))),
    report,
    ...optional('done', fields, ([text = '']) => (WORD.test(text) ? text : undefined)),
  };
}

function fieldsOf(body: Uint8Array): Fields {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new WireError('the body is not UTF-8');
  }
  const fields = new Map<string, readonly string[]>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [name = '', ...values] = line.split(' ');
    if (fields.has(name)) throw new WireError(`"${shown(name)}" is there twice`);
    fields.set(
      name,
      values.filter((value) => value !== ''),
    );
  }
  return fields;
}

function one(fields: Fields, name: string, pattern: RegExp): string {
  const values = fields.get(name);
  if (!values) throw new WireError(`"${name}" is missing`);
  const [text = ''] = values;
  if (values.length !== 1 || !pattern.test(text)) throw new WireError(`"${name}" is not as it should be`);
  return text;
}

/** @throws WireError when the line is there and `read` makes nothing of it. */
function optional<Name extends string, T>(
  name: Name,
  fields: Fields,
  read: (values: readonly string[]) => T | undefined,
): { readonly [K in Name]?: T } {
  const values = fields.get(name);
  if (!values) return {};
  const value = read(values);
  if (value === undefined) throw new WireError(`"${name}" is not as it should be`);
  return { [name]: value } as { [K in Name]?: T };
}

function serialOf(fields: Fields): Serial {
  const serial = matchSerial(one(fields, 'serial', WORD));
  if (!serial) throw new WireError('"serial" is no serial number');
  return serial;
}

function stateOf(text: string): Report['state'] {
  if (STATES.has(text)) return text as Report['state'];
  throw new WireError('"state" is none that a system has');
}

function failedUnits(fields: Fields): readonly string[] {
  const units = fields.get('failed') ?? [];
  if (units.length > MOST_FAILED_UNITS || !units.every((unit) => UNIT.test(unit)))
    throw new WireError('"failed" is not as it should be');
  return units;
}

function pairOf(
  [total = '', available = '', ...rest]: readonly string[],
  unit: number,
): { total: number; available: number } | undefined {
  const isPair = [total, available].every((text) => /^\d{1,15}$/.test(text)) && rest.length === 0;
  return isPair ? { total: Number(total) * unit, available: Number(available) * unit } : undefined;
}

/** What a stranger wrote, short and without control characters. */
const shown = (text: string): string => text.slice(0, 20).replace(/[^\x20-\x7e]/g, '?');
