/**
 * What is fuzzed, and how a fault is told. A target works in rounds; a round makes everything it needs from its seed,
 * so that the number printed with a fault is all it takes to see it again.
 * @module
 */

export interface FuzzTarget {
  readonly name: string;
  /** Inputs tried. `scale` 1 is a round of about a second; tests take less. */
  round(seed: number, scale: number): number;
}

/** An input that made something happen that must not. */
export class FuzzFault extends Error {
  readonly code = 'ERR_FUZZ_FAULT';
  readonly target: string;
  readonly seed: number;
  /** Hexadecimal, or what a model generated. */
  readonly input: string;

  constructor(target: string, seed: number, input: Uint8Array | string, cause: unknown) {
    const text = typeof input === 'string' ? input : Buffer.from(input).toString('hex');
    const why = cause instanceof Error ? cause.message : String(cause);
    super(
      `${target}: ${why}\n  input: ${text}\n  again: npm run fuzz -- --target ${target} --seed ${seed} --seconds 1`,
      { cause },
    );
    this.name = 'FuzzFault';
    this.target = target;
    this.seed = seed;
    this.input = text;
  }
}

/** Throws when it is not so. */
export function must(isSo: boolean, what: string): asserts isSo {
  if (!isSo) throw new Error(what);
}
