import { Refusal } from '../model/command.ts';
import { fnv1a } from '../net/fnv1a.ts';
import { parseSerial } from '../net/serial.ts';
import { type Board, type BoardChoice, boardOf } from './board.ts';

/** The client generations of the field, by what their firmware does differently on the wire. */
export const GENERATIONS = {
  '3b': { model: 'pi3', rom: '3b' },
  '3b+': { model: 'pi3', rom: '3b+' },
  /** Nothing but bootcode.bin on its card. */
  '3-card': { model: 'pi3', rom: '3b', bootcodeOnCard: true },
  /** An EEPROM that asks for blocks of 1024 bytes. */
  '4-old': { model: 'pi4', eepromDate: '2021-04-29' },
  '4': { model: 'pi4' },
  '5': { model: 'pi5' },
} as const satisfies Record<string, Omit<BoardChoice, 'serial'>>;

export type Generation = keyof typeof GENERATIONS;

const ALL = Object.keys(GENERATIONS) as Generation[];

export interface FleetMember {
  readonly generation: Generation;
  readonly board: Board;
}

/**
 * Reads a mix such as `3b:1,4:2,5:3`: of six Pis one is a 3B, two are 4s. Without numbers each counts once.
 * @throws Refusal naming what cannot be.
 */
export function parseMix(text: string): readonly Generation[] {
  return text.split(',').flatMap((part) => {
    const [name = '', count = '1'] = part.trim().split(':');
    const isKnown = (ALL as string[]).includes(name);
    if (!isKnown || !/^\d{1,3}$/.test(count) || Number(count) === 0)
      throw new Refusal(
        `"${part}" is no part of a mix`,
        `Write it like 3b:1,4:2,5:3. There are ${ALL.join(', ')}.`,
      );
    return Array.from({ length: Number(count) }, () => name as Generation);
  });
}

/** The five client generations in equal shares, the Pi 4s half with an old EEPROM; a few of them are mixed as well. */
export const DEFAULT_MIX: readonly Generation[] = [
  ...(['3b', '4', '3b+', '5', '3-card'] as const),
  ...(['4-old', '3b', '5', '3b+', '3-card'] as const),
];

/** The Pis of a fleet: the same seed, count and mix make the same serial numbers and MAC addresses. */
export function fleetBoards(seed: number, count: number, mix: readonly Generation[]): FleetMember[] {
  const members: FleetMember[] = [];
  const taken = new Set<string>();
  for (let draw = 0; members.length < count; draw++) {
    const generation = mix[members.length % mix.length] as Generation;
    const digits = fnv1a(`${seed} ${draw}`).toString(16).padStart(8, '0');
    if (digits === '00000000') continue;
    const board = boardOf({ ...GENERATIONS[generation], serial: parseSerial(digits) });
    // A cable tells its Pis apart by these (cable.ts); the maker's prefix says nothing.
    const key = board.mac.slice(9);
    if (taken.has(key)) continue;
    taken.add(key);
    members.push({ generation, board });
  }
  return members;
}
