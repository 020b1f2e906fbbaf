/**
 * The agent's log: one JSON object a line on standard output, with Kilo's names for its parts.
 * Source: Kilo's log lines (caller, component, level, msg, ts; RFC 3339 with nanoseconds, UTC).
 * Keys, tokens and configurations of devices never go in.
 * @module
 */

export const LOG_LEVELS = ['all', 'debug', 'info', 'warn', 'error', 'none'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
type Severity = 'debug' | 'info' | 'warn' | 'error';

const RANK: Readonly<Record<LogLevel, number>> = { all: 0, debug: 0, info: 1, warn: 2, error: 3, none: 4 };

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export class Log {
  readonly #level: number;
  readonly #component: string;
  readonly #write: (line: string) => void;

  constructor(level: LogLevel, write: (line: string) => void, component = 'kilo') {
    this.#level = RANK[level];
    this.#write = write;
    this.#component = component;
  }

  debug(msg: string, fields: LogFields = {}): void {
    this.#line('debug', msg, fields);
  }

  info(msg: string, fields: LogFields = {}): void {
    this.#line('info', msg, fields);
  }

  warn(msg: string, fields: LogFields = {}): void {
    this.#line('warn', msg, fields);
  }

  error(msg: string, fields: LogFields = {}): void {
    this.#line('error', msg, fields);
  }

  #line(level: Severity, msg: string, fields: LogFields): void {
    if (RANK[level] < this.#level) return;
    const ts = `${new Date().toISOString().slice(0, -1)}000000Z`;
    this.#write(
      `${JSON.stringify({ caller: 'agent', component: this.#component, level, msg, ...fields, ts })}\n`,
    );
  }
}
