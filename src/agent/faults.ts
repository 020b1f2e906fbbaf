/**
 * What is wrong at this moment, in sentences: with a member of the mesh, or with a step of the agent's work. Each is told
 * once when it appears and once when it is over.
 * @module
 */
import type { Problem } from '../routing/problem.ts';
import type { Log } from './log.ts';

export interface Fault {
  /** `peer-not-ready`, `routes` … */
  readonly code: string;
  readonly subject: { readonly kind: 'node' | 'peer' | 'segment' | 'host'; readonly name: string };
  readonly message: string;
}

export const ofProblem = ({ code, subject, message }: Problem): Fault => ({ code, subject, message });

export class FaultBook {
  readonly #log: Log;
  #current = new Map<string, Fault>();

  constructor(log: Log) {
    this.#log = log;
  }

  get current(): readonly Fault[] {
    return [...this.#current.values()];
  }

  /** Takes what a pass found; answers what is new. */
  update(faults: readonly Fault[]): readonly Fault[] {
    const next = new Map(
      faults.map((fault) => [`${fault.code}\n${fault.subject.name}\n${fault.message}`, fault]),
    );
    const fresh = [...next].filter(([key]) => !this.#current.has(key)).map(([, fault]) => fault);
    for (const { code, subject, message } of fresh)
      this.#log.warn(message, { code, [subject.kind]: subject.name });
    for (const [key, { code, message }] of this.#current)
      if (!next.has(key)) this.#log.info(`over: ${message}`, { code });
    this.#current = next;
    return fresh;
  }
}
