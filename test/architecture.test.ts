import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, it } from 'node:test';

const SRC = resolve(import.meta.dirname, '../src');
const files = globSync('**/*.ts', { cwd: SRC }).sort();

/** The rooms each room may know, besides itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  net: [],
  model: ['net'],
  dhcp: ['net', 'model'],
  tftp: ['net', 'model'],
  boot: ['net', 'model'],
  http: ['net', 'model'],
  reports: ['net', 'model'],
  nfs: ['net', 'model'],
  imaging: ['net', 'model'],
  'config.ts': ['net', 'model'],
  fleet: ['net', 'model', 'nfs', 'imaging', 'config.ts'],
  store: ['net', 'model', 'fleet'],
  host: ['net', 'model', 'fleet'],
  api: ['net', 'model', 'nfs', 'fleet'],
  sim: ['net', 'model', 'host', 'dhcp', 'tftp'],
  cli: [
    'net',
    'model',
    'config.ts',
    'daemon.ts',
    'machine-check.ts',
    'guards',
    'api',
    'host',
    'fleet',
    'imaging',
    'nfs',
    'sim',
  ],
  // The program of a TFTP engine's thread: a composition root of its own.
  'tftp-worker.ts': ['host', 'tftp'],
  guards: ['net', 'model', 'dhcp', 'host'],
  'machine-check.ts': ['net', 'model', 'config.ts', 'fleet', 'host', 'http'],
  'daemon.ts': [
    'machine-check.ts',
    'guards',
    'net',
    'model',
    'config.ts',
    'store',
    'host',
    'fleet',
    'api',
    'dhcp',
    'tftp',
    'boot',
    'http',
    'reports',
    'nfs',
    'imaging',
  ],
};

/** What is known of the Pi's firmware is data for every room that decides; the virtual Pis must not copy our errors. */
const FOR_ALL_BUT_SIM = 'boot/firmware.ts';

/** Pure files: no Node, no waiting; time and randomness are arguments. */
const PURE =
  /(^|\/)(packet|options|decide|proxy|pool|transfer|negotiate|plan|render[\w-]*|parse|diff|desired|path|tree|[\w-]+-txt|pxe|identity)\.ts$|^reports\/message|^boot\/(firmware|fat-)|^fleet\/eeprom-config|^http\/range|^fleet\/node-state-step|^host\/tcp-table/;

const imports = (file: string): string[] =>
  [
    ...readFileSync(join(SRC, file), 'utf8').matchAll(
      /^(?:import|export)\b[^;]*?from '([^']+)'|import\('([^']+)'\)/gm,
    ),
  ].map((match) => (match[1] ?? match[2]) as string);

const roomOf = (file: string): string => file.split('/')[0] as string;

describe('the house', () => {
  for (const file of files) {
    it(`${file} imports only what its room may know`, () => {
      const room = roomOf(file);
      const allowed = MAY_IMPORT[room] ?? assert.fail(`the room "${room}" has no rule: add one to this test`);
      for (const specifier of imports(file).filter((found) => found.startsWith('.'))) {
        const target = relative(SRC, resolve(dirname(join(SRC, file)), specifier));
        if (target.startsWith('..')) continue; // package.json
        if (target === FOR_ALL_BUT_SIM && room !== 'sim') continue;
        assert.ok([room, ...allowed].includes(roomOf(target)), `${file} may not import ${target}`);
      }
    });
  }

  it('lets the virtual Pis see packet formats alone, so that client and server cannot share a mistake in policy', () => {
    for (const file of files.filter((found) => found.startsWith('sim/'))) {
      const seen = imports(file).filter((specifier) => /\/(dhcp|tftp)\//.test(specifier));
      for (const specifier of seen) assert.match(specifier, /\/(packet|options)\.ts$/, file);
    }
  });

  it('keeps decisions pure', () => {
    for (const file of files.filter((found) => PURE.test(found) && !found.startsWith('cli/'))) {
      const text = readFileSync(join(SRC, file), 'utf8');
      assert.doesNotMatch(text, /from 'node:|\bawait\b|Date\.now\(|Math\.random\(|\bprocess\./, file);
    }
  });

  it('has small files and no drawers', () => {
    for (const file of files) {
      assert.doesNotMatch(file, /(^|\/)(index|utils?|helpers?|common|types|manager)\.ts$/);
      const lines = readFileSync(join(SRC, file), 'utf8').split('\n').length;
      assert.ok(lines <= 400, `${file} has ${lines} lines`);
    }
  });
});
