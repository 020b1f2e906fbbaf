/**
 * Machines with a mesh file and no API server, in the namespaces of agent-world.ts.
 * @module
 */
import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentWorld, NODES } from './agent-world.ts';
import { end, root } from './host.ts';

export const KILOWIRE: readonly string[] = [process.execPath, join(root, 'src/cli/main.ts')];

/** A machine's own address: 10.99.0.1 for a. */
export const stable = (name: string): string => `10.99.0.${name.charCodeAt(0) - 96}`;

export const pairs = (names: readonly string[]): (readonly [string, string])[] =>
  names.flatMap((from) => names.flatMap((to) => (from === to ? [] : [[from, to] as const])));

export class MeshFileWorld extends AgentWorld {
  readonly keepers = new Map<string, ChildProcess>();
  readonly keys = new Map<string, string>();
  readonly #logs = new Map<string, string>();

  get file(): string {
    return join(this.folder.path, 'mesh.yaml');
  }

  makeKeys(names: readonly string[]): void {
    for (const name of names) {
      const args = ['mesh', '--keys', '-o', 'json', '--state-directory', this.directory(name)];
      this.keys.set(name, JSON.parse(this.host(name).exec(...KILOWIRE, ...args)).key);
    }
  }

  write(names: readonly string[]): void {
    const nodes = NODES.filter(({ name }) => names.includes(name)).map(
      ({ name, address, location }) =>
        `  - {name: ${name}, location: ${location}, endpoint: ${address}, address: ${stable(name)}, key: ${this.keys.get(name)}}`,
    );
    writeFileSync(this.file, `granularity: full\nnodes:\n${nodes.join('\n')}\n`);
  }

  keep(name: string, ...more: string[]): ChildProcess {
    const directory = this.directory(name);
    const args = ['mesh', '--file', this.file, '--hostname', name, '--state-directory', directory, ...more];
    const child = this.host(name).spawn([...KILOWIRE, ...args], { KILOWIRE_UAPI_DIR: directory });
    this.#logs.set(name, '');
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (piece: Buffer) => this.#logs.set(name, this.said(name) + piece.toString('utf8')));
    this.keepers.set(name, child);
    return child;
  }

  /** By the keeper that was started last. */
  said(name: string): string {
    return this.#logs.get(name) ?? '';
  }

  ready(name: string): boolean {
    return this.said(name).includes('"what":"routes"');
  }

  answers(from: string, to: string, source = stable(from)): boolean {
    try {
      this.host(from).exec('ping', '-q', '-c', '1', '-W', '1', '-I', source, to);
      return true;
    } catch {
      return false;
    }
  }

  /** Twenty times a second until stopped; answers how many came back, and how many were lost before the last of them. */
  pingingOwn(from: string, to: string): () => Promise<{ heard: number; lost: number }> {
    const child = this.host(from).spawn(['ping', '-i', '0.05', '-I', stable(from), stable(to)]);
    let text = '';
    child.stdout?.on('data', (piece: Buffer) => {
      text += piece.toString('utf8');
    });
    return async () => {
      await end(child, 'SIGINT');
      const heard = [...text.matchAll(/icmp_seq=(\d+) /g)].map(([, number]) => Number(number));
      return { heard: heard.length, lost: Math.max(0, ...heard) - new Set(heard).size };
    };
  }

  override async remove(): Promise<void> {
    await Promise.all([...this.keepers.values()].map((keeper) => end(keeper, 'SIGKILL')));
    await super.remove();
  }
}
