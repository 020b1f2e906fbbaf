/**
 * Reads JSON objects the way Go's encoding/json does, because every runtime and every configuration in the
 * field was written against that: keys match without regard to case, the last match wins, `null` is absence,
 * unknown keys are none of our business, and a value of the wrong type is an error that names the key.
 * @module
 */
import { CniError } from './cni-error.ts';

export class JsonObject {
  readonly #entries: Map<string, unknown>;
  readonly #path: string;

  constructor(value: object, path: string) {
    this.#path = path;
    this.#entries = new Map();
    for (const [key, entry] of Object.entries(value))
      if (entry !== null) this.#entries.set(key.toLowerCase(), entry);
  }

  has(key: string): boolean {
    return this.#entries.has(key.toLowerCase());
  }

  /** All values, the keys in lower case. */
  values(): Record<string, unknown> {
    return Object.fromEntries(this.#entries);
  }

  /** The same object with other values under these keys. */
  with(values: Readonly<Record<string, unknown>>): JsonObject {
    return new JsonObject({ ...this.values(), ...lowered(values) }, this.#path);
  }

  raw(key: string): unknown {
    return this.#entries.get(key.toLowerCase());
  }

  string(key: string, otherwise = ''): string {
    const value = this.raw(key);
    if (value === undefined) return otherwise;
    if (typeof value !== 'string') throw this.#mismatch(key, 'a string', value);
    return value;
  }

  boolean(key: string, otherwise = false): boolean {
    const value = this.raw(key);
    if (value === undefined) return otherwise;
    if (typeof value !== 'boolean') throw this.#mismatch(key, 'true or false', value);
    return value;
  }

  integer(key: string, otherwise = 0): number {
    const value = this.raw(key);
    if (value === undefined) return otherwise;
    if (typeof value !== 'number' || !Number.isSafeInteger(value))
      throw this.#mismatch(key, 'a whole number', value);
    return value;
  }

  optionalInteger(key: string): number | undefined {
    return this.has(key) ? this.integer(key) : undefined;
  }

  list(key: string): readonly unknown[] {
    const value = this.raw(key);
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw this.#mismatch(key, 'a list', value);
    return value;
  }

  strings(key: string): readonly string[] {
    return this.list(key).map((value) => {
      if (typeof value !== 'string') throw this.#mismatch(key, 'a list of strings', value);
      return value;
    });
  }

  objects(key: string): readonly JsonObject[] {
    return this.list(key).map((value, index) => asJsonObject(value, `${this.#name(key)}[${index}]`));
  }

  /** The object under the key; an empty one when it is absent. */
  object(key: string): JsonObject {
    const value = this.raw(key);
    return asJsonObject(value === undefined ? {} : value, this.#name(key));
  }

  #name(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`;
  }

  #mismatch(key: string, wanted: string, value: unknown): CniError {
    return new CniError(
      'ERR_CNI_CONFIG',
      `failed to load netconf: "${this.#name(key)}" must be ${wanted}, not ${JSON.stringify(value)}`,
    );
  }
}

const lowered = (values: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key.toLowerCase(), value]));

export function asJsonObject(value: unknown, path: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CniError(
      'ERR_CNI_CONFIG',
      `failed to load netconf: "${path}" must be an object, not ${JSON.stringify(value)}`,
    );
  return new JsonObject(value, path);
}
