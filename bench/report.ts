import { median } from './figures.ts';
import { type Section, table } from './markdown.ts';

/** The goals that the figures are held against. */
export interface Goal {
  readonly text: string;
  readonly figure: string;
  readonly isReached: boolean;
}

export function goalsSection(part: string, goals: readonly Goal[]): Section {
  const rows = goals.map(({ text, figure, isReached }) => [text, figure, isReached ? 'yes' : '**no**']);
  return { title: `Goals, ${part}`, body: table(['Goal', 'Measured', 'Reached'], rows) };
}

/** The median of one figure of the runs. */
export const of = <Run>(runs: readonly Run[] | undefined, figure: (run: Run) => number): number =>
  median((runs ?? []).map(figure));

/** Ours to theirs: pair by pair, because the machine's speed drifts: the first run of one to the first run of the other, and so on. */
export const ratio = <Run>(
  ours: readonly Run[] | undefined,
  theirs: readonly Run[] | undefined,
  figure: (run: Run) => number,
): number => median((ours ?? []).flatMap((run, n) => (theirs?.[n] ? figure(run) / figure(theirs[n]) : [])));

export const times = (value: number): string => (Number.isFinite(value) ? `${value.toFixed(2)}×` : '–');
export const shown = (value: number, digits = 0): string =>
  Number.isFinite(value) ? value.toFixed(digits) : '–';
