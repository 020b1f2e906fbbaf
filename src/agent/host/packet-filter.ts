/**
 * The mesh's packet filter on this host, through iptables: read back whole, changed in one transaction per family, and
 * only where it differs.
 * Source: iptables-save(8), iptables-restore(8) (--noflush, --wait).
 * @module
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Family, Filter } from '../../routing/nat.ts';
import { AgentError } from '../agent-error.ts';
import { parseSaved, restoreText, wantedRules } from './iptables-text.ts';

const PATIENCE_MS = 15_000;
const LOCK_SECONDS = '5';
const NOTHING: Filter = { append: [], prepend: [] };

export interface FilterOutcome {
  /** Restore transactions that were needed. */
  readonly written: readonly Family[];
  readonly faults: readonly string[];
}

export class PacketFilter {
  /** Told once per program run, for the counter of operations. */
  readonly #onOperation: (operation: 'Save' | 'Restore', family: Family) => void;

  constructor(onOperation: (operation: 'Save' | 'Restore', family: Family) => void = () => {}) {
    this.#onOperation = onOperation;
  }

  async apply(filter: Filter): Promise<FilterOutcome> {
    const families: readonly Family[] = hasIpv6() ? [4, 6] : [4];
    const outcomes = await Promise.all(families.map((family) => this.#applyFamily(family, filter)));
    return {
      written: outcomes.flatMap(({ family, written }) => (written ? [family] : [])),
      faults: outcomes.flatMap(({ fault }) => fault ?? []),
    };
  }

  /** Takes away what is ours. */
  async remove(): Promise<FilterOutcome> {
    return await this.apply(NOTHING);
  }

  async #applyFamily(family: Family, filter: Filter) {
    const prefix = family === 4 ? 'iptables' : 'ip6tables';
    try {
      const have = parseSaved(await this.#run('Save', family, `${prefix}-save`, [], ''));
      const input = restoreText(have, wantedRules(filter, family));
      if (input === '') return { family, written: false };
      await this.#run('Restore', family, `${prefix}-restore`, ['--noflush', '--wait', LOCK_SECONDS], input);
      return { family, written: true };
    } catch (error) {
      return { family, written: false, fault: error instanceof Error ? error.message : String(error) };
    }
  }

  #run(
    operation: 'Save' | 'Restore',
    family: Family,
    program: string,
    args: readonly string[],
    input: string,
  ): Promise<string> {
    this.#onOperation(operation, family);
    return new Promise((resolve, reject) => {
      const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: PATIENCE_MS });
      const out: Buffer[] = [];
      const said: Buffer[] = [];
      child.stdout.on('data', (piece: Buffer) => out.push(piece));
      child.stderr.on('data', (piece: Buffer) => said.push(piece));
      child.on('error', (cause: NodeJS.ErrnoException) => {
        const why = cause.code === 'ENOENT' ? 'it is not installed' : cause.message;
        reject(new AgentError('ERR_AGENT_FILTER', `${program} cannot be run: ${why}.`, { cause }));
      });
      child.on('close', (status, signal) => {
        if (status === 0) return resolve(Buffer.concat(out).toString('utf8'));
        const last = Buffer.concat(said).toString('utf8').trim().split('\n').at(-1) ?? '';
        const how = signal ?? `status ${status}`;
        reject(new AgentError('ERR_AGENT_FILTER', `${program} failed (${how})${last && `: ${last}`}.`));
      });
      // It may end before it has read everything; its status tells why.
      child.stdin.on('error', () => {});
      child.stdin.end(input);
    });
  }
}

/** A kernel without IPv6, or with it switched off, has nothing to filter. */
const hasIpv6 = (): boolean => existsSync('/proc/net/if_inet6');
