/**
 * Who does not answer, and since when. Who never answered is only missed when others do: from outside the mesh, without the
 * right to ask through the API, nobody's agent can be asked, and that is no fault of theirs.
 * @module
 */
import type { NodeState } from './mesh-snapshot.ts';

export interface Standing {
  readonly state: Exclude<NodeState, 'out'>;
  /** Unix seconds. */
  readonly silentSince: number | null;
}

export class SilenceBook {
  readonly #heard = new Set<string>();
  readonly #silent = new Map<string, number>();

  /** `asked`: all that should answer. `now` in Unix seconds. */
  note(asked: readonly string[], silent: ReadonlySet<string>, now: number): ReadonlyMap<string, Standing> {
    for (const name of [...this.#heard, ...this.#silent.keys()]) {
      if (asked.includes(name)) continue;
      this.#heard.delete(name);
      this.#silent.delete(name);
    }
    for (const name of asked) {
      if (silent.has(name)) {
        if (!this.#silent.has(name)) this.#silent.set(name, now);
        continue;
      }
      this.#heard.add(name);
      this.#silent.delete(name);
    }
    const anybody = this.#heard.size > 0;
    return new Map(
      asked.map((name): [string, Standing] => {
        const since = this.#silent.get(name);
        if (since === undefined) return [name, { state: 'well', silentSince: null }];
        return anybody
          ? [name, { state: 'silent', silentSince: since }]
          : [name, { state: 'unknown', silentSince: null }];
      }),
    );
  }
}
