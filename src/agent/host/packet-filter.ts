/**
 * The mesh's packet filter on this host, through iptables: read back whole, changed in one transaction per family, and
 * only where it differs. Where nftables says that nobody has changed anything since it was found right, it is not read.
 * Source: iptables-save(8), iptables-restore(8) (--noflush, --wait).
 * @module
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { NetlinkSocket } from '../../linux/netlink.ts';
import { openNftablesSocket } from '../../linux/nftables.ts';
import { rulesetGeneration } from '../../linux/nftables-list.ts';
import type { Family, Filter } from '../../routing/nat.ts';
import { AgentError, sentenceOf } from '../agent-error.ts';
import { type Backend, detectBackend, programOf } from './iptables-backend.ts';
import { restoreText } from './iptables-change.ts';
import { parseSaved, type Saved, savedAs, type WantedChain, wantedRules } from './iptables-text.ts';

const PATIENCE_MS = 15_000;
const LOCK_SECONDS = '5';
const NOTHING: Filter = { append: [], prepend: [] };

export interface FilterOutcome {
  /** Restore transactions that were needed. */
  readonly written: readonly Family[];
  readonly faults: readonly string[];
}

type Operation = 'Save' | 'Restore';
type Wanted = ReadonlyMap<string, WantedChain>;

export class PacketFilter {
  /** Told once per program run, for the counter of operations. */
  readonly #onOperation: (operation: Operation, family: Family) => void;
  #backend: Backend | null = null;
  #nftables: NetlinkSocket | null = null;
  /** The rule set's generation when all that was wanted was in it, and what that was. */
  #right: {
    readonly generation: number;
    readonly filter: Filter;
    readonly wanted: readonly Wanted[];
  } | null = null;

  constructor(onOperation: (operation: Operation, family: Family) => void = () => {}) {
    this.#onOperation = onOperation;
  }

  async apply(filter: Filter): Promise<FilterOutcome> {
    const backend = await this.#choose();
    const families = familiesHere();
    const generation = this.#generation();
    const right = this.#right;
    const isRight = right !== null && right.filter === filter && right.generation === generation;
    if (isRight && right.wanted.length === families.length) return { written: [], faults: [] };
    const wanted = families.map((family) => wantedRules(filter, family));
    const known = right !== null && generation === right.generation ? right.wanted : null;
    const outcome = await this.#applyTo(backend, families, wanted, known);
    // Each table is one transaction, and each transaction is one generation: one more was somebody else's.
    const expected = generation === null ? null : generation + outcome.commits;
    this.#right =
      outcome.faults.length === 0 && expected !== null && expected === this.#generation()
        ? { generation: expected, filter, wanted }
        : null;
    return outcome;
  }

  /** Takes away what is ours, wherever it was put. */
  async remove(): Promise<FilterOutcome> {
    const backend = await this.#choose();
    const families = familiesHere();
    const nothing = families.map((family) => wantedRules(NOTHING, family));
    await this.#clean(otherThan(backend), families);
    this.#right = null;
    return await this.#applyTo(backend, families, nothing);
  }

  close(): void {
    this.#nftables?.close();
    this.#nftables = null;
  }

  async #choose(): Promise<Backend> {
    if (this.#backend !== null) return this.#backend;
    const backend = await detectBackend((program, args) => run(program, args, ''));
    // Where the node's choice has changed since, an earlier agent's rules stand in the other filter.
    await this.#clean(otherThan(backend), familiesHere());
    this.#backend = backend;
    return backend;
  }

  async #clean(backend: Backend | null, families: readonly Family[]): Promise<void> {
    if (backend === null) return;
    const nothing = families.map((family) => wantedRules(NOTHING, family));
    // What does not exist on this machine has nothing of ours.
    await this.#applyTo(backend, families, nothing);
  }

  /** Null where it cannot be told: the old tables have no number. */
  #generation(): number | null {
    if (this.#backend === 'legacy') return null;
    try {
      this.#nftables ??= openNftablesSocket();
      return rulesetGeneration(this.#nftables);
    } catch {
      return null; // a kernel without nftables; everything is read then
    }
  }

  async #applyTo(
    backend: Backend,
    families: readonly Family[],
    wanted: readonly Wanted[],
    known: readonly Wanted[] | null = null,
  ): Promise<FilterOutcome & { readonly commits: number }> {
    const outcomes = await Promise.all(
      families.map(async (family, at) => {
        try {
          const commits = await this.#applyFamily(backend, family, wanted[at] ?? new Map(), known?.[at]);
          return { family, commits };
        } catch (error) {
          return { family, commits: 0, fault: sentenceOf(error) };
        }
      }),
    );
    return {
      written: outcomes.flatMap(({ family, commits }) => (commits > 0 ? [family] : [])),
      commits: outcomes.reduce((sum, { commits }) => sum + commits, 0),
      faults: outcomes.flatMap(({ fault }) => fault ?? []),
    };
  }

  /** Answers how many tables had to be written. */
  async #applyFamily(
    backend: Backend,
    family: Family,
    wanted: Wanted,
    known: Wanted | undefined,
  ): Promise<number> {
    const have = known === undefined ? await this.#read(backend, family) : savedAs(known);
    const input = restoreText(have, wanted);
    if (input === '') return 0;
    this.#onOperation('Restore', family);
    const args = ['--noflush', '--wait', LOCK_SECONDS];
    await run(programOf(backend, family, 'restore'), args, input);
    return input.split('\n').filter((line) => line === 'COMMIT').length;
  }

  async #read(backend: Backend, family: Family): Promise<Saved> {
    this.#onOperation('Save', family);
    return parseSaved(await run(programOf(backend, family, 'save'), [], ''));
  }
}

const otherThan = (backend: Backend): Backend | null =>
  backend === 'nft' ? 'legacy' : backend === 'legacy' ? 'nft' : null;

const run = (program: string, args: readonly string[], input: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: PATIENCE_MS });
    const out: Buffer[] = [];
    const said: Buffer[] = [];
    child.stdout.on('data', (piece: Buffer) => out.push(piece));
    child.stderr.on('data', (piece: Buffer) => said.push(piece));
    child.on('error', (cause: NodeJS.ErrnoException) => {
      const missing = cause.code === 'ENOENT';
      const why = missing ? 'it is not installed' : cause.message;
      const code = missing ? 'ERR_AGENT_NO_PROGRAM' : 'ERR_AGENT_FILTER';
      reject(new AgentError(code, `${program} cannot be run: ${why}.`, { cause }));
    });
    child.on('close', (status, signal) => {
      if (status === 0) return resolve(Buffer.concat(out).toString('latin1'));
      const last = Buffer.concat(said).toString('utf8').trim().split('\n').at(-1) ?? '';
      const how = signal ?? `status ${status}`;
      reject(new AgentError('ERR_AGENT_FILTER', `${program} failed (${how})${last && `: ${last}`}.`));
    });
    // It may end before it has read everything; its status tells why.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });

/** A kernel without IPv6, or with it switched off, has nothing to filter. */
const familiesHere = (): readonly Family[] => (existsSync('/proc/net/if_inet6') ? [4, 6] : [4]);
