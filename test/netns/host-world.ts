/**
 * A host for the agent's host side: links as a node has them, a real device, and no cluster behind it.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DeviceControl } from '../../src/agent/host/device-control.ts';
import type { NodeResource } from '../../src/agent/kubernetes/resources.ts';
import { formatCidr, formatEndpoint } from '../../src/noise/ip.ts';
import { keyText } from '../../src/routing/key-text.ts';
import { end, Folder, Host, kilowireWg, until } from './host.ts';
import type { HostPass } from './host-pass.ts';

const script = fileURLToPath(new URL('./host-pass.ts', import.meta.url));
export const NOW = 1_800_000_000;

export interface PassResult {
  readonly faults: readonly string[];
  readonly changes: readonly string[];
}

/** Base64 of a key that is the number's own. */
export const keyOf = (number: number): string => {
  const bytes = Buffer.alloc(32, 7);
  bytes.writeUInt32BE(number, 4);
  return bytes.toString('base64');
};

export interface NodeText {
  readonly name: string;
  readonly number: number;
  readonly location?: string;
  readonly internalIP?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export const nodeOf = ({
  name,
  number,
  location = '',
  internalIP,
  annotations = {},
}: NodeText): NodeResource => ({
  metadata: {
    name,
    annotations: {
      'kilo.squat.ai/location': location,
      'kilo.squat.ai/endpoint': `203.0.113.${number}:51820`,
      ...(internalIP === undefined ? {} : { 'kilo.squat.ai/internal-ip': internalIP }),
      'kilo.squat.ai/key': keyOf(number),
      'kilo.squat.ai/last-seen': String(NOW),
      ...annotations,
    },
  },
  spec: { podCIDR: `10.42.${number}.0/24` },
});

export class HostWorld {
  readonly host: Host;
  readonly folder = new Folder();
  readonly #device: ChildProcess;
  readonly #socket: string;
  #kept: ChildProcess | undefined;

  /** The node is 10.9.0.1/24 on eth0; tunl0 is a stand-in where the kernel has no ipip. */
  constructor(name: string) {
    this.host = new Host(name);
    for (const [link, address] of [
      ['eth0', '10.9.0.1/24'],
      ['tunl0', undefined],
    ] as const) {
      this.host.ip('link', 'add', link, 'type', 'veth', 'peer', 'name', `to-${link}`);
      this.host.ip('link', 'set', `to-${link}`, 'up');
      if (address !== undefined) this.host.ip('addr', 'add', address, 'dev', link);
      this.host.ip('link', 'set', link, 'up');
    }
    this.host.ip('route', 'add', 'default', 'via', '10.9.0.254', 'dev', 'eth0');
    this.#socket = join(this.folder.path, 'kilo0.sock');
    this.#device = this.host.spawn([kilowireWg, '-f', 'kilo0'], { KILOWIRE_UAPI_DIR: this.folder.path });
  }

  async ready(): Promise<void> {
    const control = new DeviceControl(this.#socket);
    for (let tries = 0; ; tries++) {
      try {
        await control.read();
        return;
      } catch (error) {
        if (tries > 200) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  /** Runs a pass; with `killAfterMs` it is killed so long after it began, unless it was done sooner. */
  async pass(
    nodes: readonly NodeResource[],
    more: Partial<HostPass> = {},
    killAfterMs?: number,
  ): Promise<PassResult | null> {
    const input: HostPass = {
      hostname: 'n1',
      socket: this.#socket,
      now: NOW,
      nodes,
      peers: [],
      flags: {},
      remove: false,
      clean: false,
      ...more,
    };
    const file = this.folder.write('pass.json', JSON.stringify(input));
    const child = killAfterMs === undefined ? this.#agent() : this.#startAgent();
    let said = '';
    const { promise, resolve } = Promise.withResolvers<void>();
    const listen = (piece: Buffer): void => {
      said += piece.toString();
      if (killAfterMs !== undefined && said.startsWith('ready'))
        setTimeout(() => child.kill('SIGKILL'), killAfterMs);
      if (/^done .*\n/m.test(said)) resolve();
    };
    const closed = (): void => resolve();
    child.stdout?.on('data', listen);
    child.once('close', closed);
    child.stdin?.write(`${file}\n`);
    await promise;
    child.stdout?.off('data', listen);
    child.off('close', closed);
    if (killAfterMs !== undefined) await end(child, 'SIGKILL');
    const done = /^done (.*)$/m.exec(said)?.[1];
    if (done === undefined && killAfterMs === undefined) throw new Error(`the pass broke off: ${said}`);
    return done === undefined ? null : (JSON.parse(done) as PassResult);
  }

  /** One process for all passes that are not killed: starting one takes longer than a pass. */
  #agent(): ChildProcess {
    if (this.#kept === undefined || this.#kept.exitCode !== null) this.#kept = this.#startAgent();
    return this.#kept;
  }

  #startAgent(): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.host.name, process.execPath, script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin?.on('error', () => {}); // it was killed before it had read
    return child;
  }

  /** Everything of the mesh that kernel and device hold. */
  async state(): Promise<string> {
    const { host } = this;
    const routes = host.ip('route', 'show', 'table', 'all', 'proto', 'static');
    const sorted = (text: string): string =>
      text
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '')
        .toSorted()
        .join('\n');
    // A rule's priority is the kernel's choice, and counts what came and went before it.
    const rules = host.ip('rule').replace(/^\d+:\s*/gm, '');
    const filter = ['iptables-save', 'ip6tables-save'].map((program) =>
      // Tables that somebody looked at are there, empty.
      sorted(host.exec(program).replace(/^(?:#|\*|COMMIT|:[A-Z]+ (?:ACCEPT|DROP)).*$|\[\d+:\d+\]/gm, '')),
    );
    const links = ['kilo0', 'tunl0'].map((link) =>
      host.ip('-4', '-o', 'addr', 'show', 'dev', link).replace(/^\d+:|valid_lft.*/gm, ''),
    );
    const up = host.ip('-br', 'link', 'show', 'kilo0').includes('UP');
    const { peers } = await new DeviceControl(this.#socket).read();
    const tunnels = peers.map(({ publicKey, endpoint, allowedIps, persistentKeepalive }) =>
      [
        keyText(publicKey),
        endpoint === undefined ? '' : formatEndpoint(endpoint),
        persistentKeepalive,
        ...allowedIps.map(formatCidr).toSorted(),
      ].join(' '),
    );
    return [sorted(routes), sorted(rules), ...filter, ...links, up, sorted(tunnels.join('\n'))].join(
      '\n---\n',
    );
  }

  async remove(): Promise<void> {
    if (this.#kept !== undefined) await end(this.#kept, 'SIGKILL');
    await end(this.#device);
    await until('the link to be gone', () => !this.host.ip('link').includes('kilo0'));
    this.host.remove();
    this.folder.remove();
  }
}
