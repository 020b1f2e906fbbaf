/**
 * The administrator of a cluster: kubectl, and objects as far as the tests look at them.
 * @module
 */
import { spawn } from 'node:child_process';

/** An object of the API. */
export interface KubeObject {
  readonly metadata: { readonly name: string; readonly [key: string]: unknown };
  readonly spec: { readonly podCIDRs?: readonly string[]; readonly nodeName?: string };
  readonly status: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly restartCount: number }[];
    readonly nodeInfo?: { readonly bootID: string };
  };
}

export const isTrue = (object: KubeObject, condition: string): boolean =>
  (object.status.conditions ?? []).some(({ type, status }) => type === condition && status === 'True');

export class Kubectl {
  readonly #command: () => readonly string[];
  readonly #home: string;

  /** `command` is asked at every call; `home` is a folder for kubectl's cache. */
  constructor(command: () => readonly string[], home: string) {
    this.#command = command;
    this.#home = home;
  }

  /** Answers what it printed; throws with what it complained of. */
  run(args: readonly string[], input = ''): Promise<string> {
    const [program = '', ...before] = this.#command();
    const child = spawn(program, [...before, ...args], {
      env: { PATH: process.env.PATH, HOME: this.#home },
      timeout: 120_000,
    });
    return new Promise((resolve, reject) => {
      let said = '';
      let complaint = '';
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      child.stderr.on('data', (chunk: Buffer) => {
        complaint += chunk.toString();
      });
      child.on('error', reject);
      child.stdin.on('error', () => {});
      child.stdin.end(input);
      child.on('close', (code) =>
        code === 0 ? resolve(said) : reject(new Error(`kubectl ${args.join(' ')}: ${complaint.trim()}`)),
      );
    });
  }

  async apply(objects: readonly object[]): Promise<void> {
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    await this.run(['apply', '--server-side', '-f', '-'], list);
  }

  async list(...args: readonly string[]): Promise<readonly KubeObject[]> {
    return (JSON.parse(await this.run(['get', '-o', 'json', ...args])) as { items: KubeObject[] }).items;
  }
}
