/**
 * The stored result of a bench: one file a peer, in which each row is put as soon as it is measured, with its own date,
 * so that a run that is cut short keeps what it had and a later run of some rows leaves the others.
 * @module
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { catalogue } from './catalogue.ts';
import type { Machine } from './machine.ts';
import type { Row } from './report.ts';

export interface Measured extends Row {
  readonly machine: Machine;
  readonly seconds: number;
  readonly peer: string;
}

interface Result {
  readonly command: string;
  readonly rows: readonly Measured[];
}

function read(file: string): readonly Measured[] {
  if (!existsSync(file)) return [];
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as Result).rows;
  } catch {
    // Not ours, or half written by an older one: it is replaced.
    return [];
  }
}

/** Rows of measures that are there no more go. */
export function storeRow(file: string, command: string, row: Measured): void {
  const others = read(file).filter(({ id }) => id !== row.id);
  const rows = catalogue.flatMap(({ id }) => [...others, row].find((each) => each.id === id) ?? []);
  const result: Result = { command, rows };
  writeFileSync(`${file}.new`, `${JSON.stringify(result, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}
