/**
 * Addresses of endpoints that are given by name. A name that does not resolve keeps what it last resolved to, and never
 * holds anything else up; all names are asked again once in a while.
 * Source: Kilo resolves in its agent (WireGuard sees addresses only), and elects leaders by the resolved address.
 * @module
 */
import { lookup } from 'node:dns/promises';
import { type Address, parseAddress } from '../noise/ip.ts';
import type { MeshEndpoint } from '../routing/node.ts';
import { type Clock, systemClock } from './clock.ts';

const LIFETIME_MS = 60_000;
const PATIENCE_MS = 2000;

export interface HostNamesOptions {
  readonly resolve?: (name: string) => Promise<Address>;
  readonly clock?: Clock;
  readonly patienceMs?: number;
}

interface Entry {
  address: Address | undefined;
  fault: string | undefined;
  askedAt: number;
  running: Promise<void> | undefined;
}

export class HostNames {
  readonly #resolve: (name: string) => Promise<Address>;
  readonly #clock: Clock;
  readonly #patience: number;
  readonly #entries = new Map<string, Entry>();
  readonly #onChange: () => void;

  /** `onChange`: a name turned out to mean another address than was last told, or none. */
  constructor(onChange: () => void, options: HostNamesOptions = {}) {
    this.#onChange = onChange;
    this.#resolve = options.resolve ?? systemResolve;
    this.#clock = options.clock ?? systemClock;
    this.#patience = options.patienceMs ?? PATIENCE_MS;
  }

  /** Asks for names that were never asked for, or too long ago; waits, not for long, for the first of those. */
  async prepare(names: ReadonlySet<string>): Promise<void> {
    for (const name of this.#entries.keys()) if (!names.has(name)) this.#entries.delete(name);
    const unknown: Promise<void>[] = [];
    for (const name of names) {
      const entry = this.#entries.get(name);
      if (entry === undefined) unknown.push(this.#ask(name));
      else if (entry.running === undefined && this.#clock.monotonic() - entry.askedAt > LIFETIME_MS)
        void this.#ask(name);
      else if (entry.address === undefined && entry.fault === undefined && entry.running !== undefined)
        unknown.push(entry.running);
    }
    if (unknown.length === 0) return;
    const { promise: enough, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(this.#patience, resolve);
    await Promise.race([Promise.all(unknown), enough]);
    cancel();
  }

  /** With its address when that is known. */
  withAddress(endpoint: MeshEndpoint): MeshEndpoint {
    const address = endpoint.dns === undefined ? undefined : this.#entries.get(endpoint.dns)?.address;
    return address === undefined ? endpoint : { ...endpoint, address };
  }

  /** Why a name has no fresh address; null when it has. */
  fault(name: string): string | null {
    return this.#entries.get(name)?.fault ?? null;
  }

  #ask(name: string): Promise<void> {
    const entry: Entry = this.#entries.get(name) ?? {
      address: undefined,
      fault: undefined,
      askedAt: 0,
      running: undefined,
    };
    this.#entries.set(name, entry);
    entry.askedAt = this.#clock.monotonic();
    const said = (): string => `${entry.address?.join()} ${entry.fault}`;
    const before = said();
    entry.running = this.#resolve(name)
      .then((address) => {
        entry.address = address;
        entry.fault = undefined;
      })
      .catch((error: unknown) => {
        entry.fault = error instanceof Error ? error.message : String(error);
      })
      .finally(() => {
        entry.running = undefined;
        if (said() !== before) this.#onChange();
      });
    return entry.running;
  }
}

const systemResolve = async (name: string): Promise<Address> => {
  const { address } = await lookup(name, { order: 'ipv4first' });
  const parsed = parseAddress(address);
  if (parsed === null) throw new Error(`"${address}" is not an address`);
  return parsed;
};

/** What a hostname resolves to. Asked once: a resolver that does not answer holds up the first pass a little, no other. */
export const hostnameAddresses = (hostname: string): (() => Promise<readonly Address[]>) => {
  let known: readonly Address[] | undefined;
  const asked = lookup(hostname, { all: true })
    .then((found) => found.flatMap(({ address }) => parseAddress(address) ?? []))
    .catch((): Address[] => []); // a hostname need not resolve: other ways to an address follow
  return async () => {
    if (known !== undefined) return known;
    const { promise: enough, resolve } = Promise.withResolvers<readonly Address[]>();
    const timer = setTimeout(() => resolve([]), PATIENCE_MS);
    known = await Promise.race([asked, enough]);
    clearTimeout(timer);
    return known;
  };
};
