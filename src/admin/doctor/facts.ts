/**
 * What a doctor needs to know of a host, as values: read in facts-reader.ts, judged in findings.ts.
 * @module
 */

/** `unknown`: the modules of this kernel cannot be seen, as in a container. */
export type ModuleState = 'present' | 'loadable' | 'missing' | 'unknown';

export interface LinkFacts {
  readonly name: string;
  readonly kind: string;
  readonly mtu: number;
  readonly up: boolean;
}

export interface ConflistFacts {
  readonly file: string;
  /** Types of its plugins; empty when it cannot be read. */
  readonly types: readonly string[];
}

export interface ClusterFacts {
  readonly server: string;
  /** Null: it answers, and lets us read. */
  readonly error: string | null;
  readonly definesPeers: boolean;
  /** Null: there is no Node of this host's name. */
  readonly node: {
    readonly name: string;
    readonly podCIDRs: readonly string[];
    /** Why it takes no part; null when it does. */
    readonly out: string | null;
    readonly faults: readonly string[];
  } | null;
  /** Seconds this host's clock is ahead of the API's. */
  readonly clockAhead: number;
}

export interface Facts {
  readonly hostname: string;
  readonly interfaceName: string;
  /** Where the agent listens, and what WireGuard shall use. */
  readonly ports: { readonly agent: number; readonly wireguard: number };
  readonly isRoot: boolean;
  readonly kernel: string;
  readonly tun: 'usable' | 'missing' | 'refused';
  readonly modules: { readonly ipip: ModuleState; readonly wireguard: ModuleState };
  /** `net.ipv4.ip_forward` → `1`; what cannot be read is not there. */
  readonly sysctls: Readonly<Record<string, string>>;
  readonly links: readonly LinkFacts[];
  /** Name of the link the default route leaves by. */
  readonly defaultLink: string | null;
  readonly udpPorts: ReadonlySet<number>;
  readonly tcpPorts: ReadonlySet<number>;
  readonly iptables: {
    /** `iptables v1.8.9 (nf_tables)`; null: it is not installed. */
    readonly version: string | null;
    /** Tables the old kernel interface has rules in. */
    readonly legacyTables: readonly string[];
    readonly inputPolicy: string | null;
    readonly forwardPolicy: string | null;
    readonly acceptsWireguard: boolean;
    readonly acceptsForward: boolean;
  };
  readonly cni: { readonly folder: string; readonly conflists: readonly ConflistFacts[] };
  /** Octal; null: there is none. */
  readonly keyMode: string | null;
  readonly device: 'answers' | 'silent' | 'none';
  /** Faults the agent tells; null: none answers. */
  readonly agentFaults: readonly string[] | null;
  /** Null: it was not asked, since nothing says where it is. */
  readonly cluster: ClusterFacts | null;
}

export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'notice' | 'fault';
  readonly what: string;
  /** '' when there is nothing to do. */
  readonly remedy: string;
}
