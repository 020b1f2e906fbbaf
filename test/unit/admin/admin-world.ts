/**
 * An administrator's desk: an API server in this process with a cluster in it, and the command line.
 * @module
 */
import { vi } from 'vitest';
import { ApiServer } from '../../../src/agent/api-server/api-server.ts';
import type { Stored } from '../../../src/agent/api-server/object-store.ts';
import { PEER_DEFINITION } from '../../../src/agent/peer-definition.ts';
import { main } from '../../../src/cli/main.ts';
import { formatAddress, formatCidr } from '../../../src/noise/ip.ts';
import type { MeshEndpoint, Node } from '../../../src/routing/node.ts';
import type { Peer } from '../../../src/routing/peer.ts';

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line in this process. */
export const cli = async (...args: string[]): Promise<Outcome> => {
  const said = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      said[name] += String(text);
      return true;
    }),
  );
  process.exitCode = 0;
  try {
    await main(args);
    return { status: Number(process.exitCode ?? 0), ...said };
  } finally {
    process.exitCode = 0;
    for (const spy of spies) spy.mockRestore();
  }
};

/** The same under kgctl's name. */
export const kgctl = async (...args: string[]): Promise<Outcome> => {
  process.env.KILOWIRE_CALLED_AS = 'kgctl';
  try {
    return await cli(...args);
  } finally {
    delete process.env.KILOWIRE_CALLED_AS;
  }
};

const endpointText = ({ dns, address, port }: MeshEndpoint): string => {
  const host = dns ?? (address === undefined ? '' : formatAddress(address));
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
};

export const nowSeconds = (): number => Math.floor(Date.now() / 1000);

/** A Node as the agent on it has annotated it. */
export const nodeResource = (
  node: Node,
  more: Readonly<Record<string, string>> = {},
  lastSeen: number = nowSeconds(),
): Stored => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name: node.name,
    uid: `uid-${node.name}`,
    annotations: {
      'kilo.squat.ai/location': node.location,
      'kilo.squat.ai/key': node.key,
      'kilo.squat.ai/last-seen': String(lastSeen),
      'kilo.squat.ai/granularity': 'location',
      'kilo.squat.ai/internal-ip': node.internalIP === undefined ? '' : formatCidr(node.internalIP),
      ...(node.endpoint === undefined ? {} : { 'kilo.squat.ai/endpoint': endpointText(node.endpoint) }),
      ...(node.persistentKeepalive === 0
        ? {}
        : { 'kilo.squat.ai/persistent-keepalive': String(node.persistentKeepalive) }),
      ...(node.allowedLocationIPs.length === 0
        ? {}
        : { 'kilo.squat.ai/allowed-location-ips': node.allowedLocationIPs.map(formatCidr).join(',') }),
      ...more,
    },
  },
  spec: node.podCIDRs[0] === undefined ? {} : { podCIDR: formatCidr(node.podCIDRs[0]) },
});

export const peerResource = (peer: Peer): Stored => ({
  apiVersion: 'kilo.squat.ai/v1alpha1',
  kind: 'Peer',
  metadata: { name: peer.name, uid: `uid-${peer.name}` },
  spec: {
    allowedIPs: peer.allowedIPs.map(formatCidr),
    publicKey: peer.key,
    ...(peer.presharedKey === undefined ? {} : { presharedKey: peer.presharedKey }),
    ...(peer.persistentKeepalive === 0 ? {} : { persistentKeepalive: peer.persistentKeepalive }),
    ...(peer.endpoint === undefined
      ? {}
      : {
          endpoint: {
            dnsOrIP:
              peer.endpoint.dns === undefined
                ? { ip: formatAddress(peer.endpoint.address ?? new Uint8Array(4)) }
                : { dns: peer.endpoint.dns },
            port: peer.endpoint.port,
          },
        }),
  },
});

export class AdminWorld {
  readonly api = new ApiServer();
  #master = '';

  async start(): Promise<void> {
    this.#master = (await this.api.listen()).origin;
    const response = await fetch(`${this.#master}/apis/apiextensions.k8s.io/v1/customresourcedefinitions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(PEER_DEFINITION),
    });
    await response.text();
  }

  get master(): string {
    return this.#master;
  }

  put(...objects: readonly Stored[]): void {
    for (const object of objects) {
      const resource = object.kind === 'Peer' ? 'peers.kilo.squat.ai' : 'nodes';
      this.api.store.put(resource, object.metadata.name, object);
    }
  }

  fill(cluster: { readonly nodes: readonly Node[]; readonly peers?: readonly Peer[] }): void {
    this.put(...cluster.nodes.map((node) => nodeResource(node)));
    this.put(...(cluster.peers ?? []).map(peerResource));
  }

  /** `kilowire …` with this cluster. */
  run(...args: string[]): Promise<Outcome> {
    return cli(...args, '--master', this.#master);
  }

  async end(): Promise<void> {
    await this.api.close();
  }
}
