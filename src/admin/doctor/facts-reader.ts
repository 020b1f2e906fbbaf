/**
 * Reads what a doctor judges, and changes nothing. What cannot be read is left out, and does not stop the rest.
 * Source: proc(5) (net/udp, net/tcp, net/ip_tables_names), sysfs, modules.dep(5), rtnetlink(7), iptables(8).
 * @module
 */
import { execFile } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { listLinks } from '../../linux/link.ts';
import { listRoutes, TABLE_MAIN } from '../../linux/route.ts';
import { openRouteSocket } from '../../linux/rtnetlink.ts';
import { askAgent, localDevice } from '../tunnels.ts';
import type { ClusterFacts, ConflistFacts, Facts, LinkFacts, ModuleState } from './facts.ts';

export interface ReaderOptions {
  readonly hostname: string;
  readonly interfaceName: string;
  readonly wireguardPort: number;
  /** `http://127.0.0.1:1107` */
  readonly agent: string;
  readonly cniFolder: string;
  readonly stateDirectory: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly cluster: ClusterFacts | null;
}

export const readFacts = async (options: ReaderOptions): Promise<Facts> => {
  const { interfaceName, environment } = options;
  const [iptables, device, agent] = await Promise.all([
    readIptables(options.wireguardPort),
    localDevice(interfaceName, environment),
    askAgent(options.agent, 0),
  ]);
  const { links, defaultLink } = readNetwork();
  return {
    hostname: options.hostname,
    interfaceName,
    ports: { agent: Number(new URL(options.agent).port || 80), wireguard: options.wireguardPort },
    isRoot: process.getuid?.() === 0,
    kernel: release(),
    tun: tunState(),
    modules: { ipip: moduleState('ipip'), wireguard: moduleState('wireguard') },
    sysctls: readSysctls([interfaceName, 'tunl0', ...(defaultLink === null ? [] : [defaultLink])]),
    links,
    defaultLink,
    udpPorts: portsOf(['udp', 'udp6'], () => true),
    // 0A: TCP_LISTEN
    tcpPorts: portsOf(['tcp', 'tcp6'], (state) => state === '0A'),
    iptables,
    cni: { folder: options.cniFolder, conflists: readConflists(options.cniFolder) },
    keyMode: modeOf(join(options.stateDirectory, 'key')),
    device: device === null ? 'none' : device.status === null ? 'silent' : 'answers',
    agentFaults: agent === null ? null : agent.faults.map(({ message }) => message.replace(/\.$/, '')),
    cluster: options.cluster,
  };
};

const textOf = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

const tunState = (): Facts['tun'] => {
  try {
    closeSync(openSync('/dev/net/tun', 'r+'));
    return 'usable';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : 'refused';
  }
};

const moduleState = (name: string): ModuleState => {
  if (existsSync(`/sys/module/${name}`)) return 'present';
  const folder = `/lib/modules/${release()}`;
  const lists = ['modules.builtin', 'modules.dep'].map((file) => textOf(join(folder, file)));
  const [builtIn, loadable] = lists.map((text) => text?.includes(`/${name}.ko`) === true);
  if (builtIn) return 'present';
  if (loadable) return 'loadable';
  return lists.every((text) => text === null) ? 'unknown' : 'missing';
};

const readSysctls = (links: readonly string[]): Record<string, string> => {
  const paths = [
    'net/ipv4/ip_forward',
    'net/ipv6/conf/all/forwarding',
    'net/ipv4/conf/all/rp_filter',
    ...links.map((name) => `net/ipv4/conf/${name}/rp_filter`),
  ];
  return Object.fromEntries(
    paths.flatMap((path) => {
      const text = textOf(`/proc/sys/${path}`);
      return text === null ? [] : [[path.replaceAll('/', '.'), text.trim()]];
    }),
  );
};

const readNetwork = (): { links: LinkFacts[]; defaultLink: string | null } => {
  const socket = openRouteSocket();
  try {
    const links = listLinks(socket);
    const [first] = listRoutes(socket, { table: TABLE_MAIN })
      .filter(({ destination, type }) => destination.endsWith('/0') && type === 'unicast')
      .toSorted((a, b) => a.family - b.family || (a.metric ?? 0) - (b.metric ?? 0));
    return {
      links: links.map(({ name, kind, mtu, up }) => ({ name, kind, mtu, up })),
      defaultLink: links.find(({ index }) => index === first?.link)?.name ?? null,
    };
  } finally {
    socket.close();
  }
};

/** proc_net_udp(5): `sl local_address rem_address st …`, the port in hexadecimal after the colon. */
const portsOf = (files: readonly string[], counts: (state: string) => boolean): Set<number> => {
  const ports = new Set<number>();
  for (const file of files) {
    for (const line of (textOf(`/proc/net/${file}`) ?? '').split('\n').slice(1)) {
      const [, local = '', , state = ''] = line.trim().split(/\s+/);
      const port = Number.parseInt(local.split(':')[1] ?? '', 16);
      if (port > 0 && counts(state)) ports.add(port);
    }
  }
  return ports;
};

const run = (program: string, ...args: string[]): Promise<string | null> =>
  new Promise((resolve) => {
    execFile(program, args, { timeout: 5000, encoding: 'utf8' }, (error, stdout) =>
      resolve(error === null ? stdout : null),
    );
  });

const readIptables = async (port: number): Promise<Facts['iptables']> => {
  const [version, input, forward] = await Promise.all([
    run('iptables', '-V'),
    run('iptables', '-w', '2', '-S', 'INPUT'),
    run('iptables', '-w', '2', '-S', 'FORWARD'),
  ]);
  const policy = (text: string | null): string | null => /^-P \w+ (\w+)/m.exec(text ?? '')?.[1] ?? null;
  return {
    version: version?.trim() ?? null,
    legacyTables: (textOf('/proc/net/ip_tables_names') ?? '').split('\n').filter((name) => name !== ''),
    inputPolicy: policy(input),
    forwardPolicy: policy(forward),
    acceptsWireguard: new RegExp(`--dports? .*\\b${port}\\b.*-j ACCEPT`).test(input ?? ''),
    // A rule without a match but its comment, or one of Kilo's.
    acceptsForward: /Kilo: forward packets|^-A FORWARD (?:-i kube-bridge |-s \S+ )?-j ACCEPT$/m.test(
      forward ?? '',
    ),
  };
};

const readConflists = (folder: string): ConflistFacts[] => {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names
    .filter((name) => /\.(?:conf|conflist|json)$/.test(name))
    .toSorted()
    .map((file) => ({ file, types: typesOf(textOf(join(folder, file))) }));
};

const typesOf = (text: string | null): string[] => {
  try {
    const { type, plugins } = JSON.parse(text ?? '') as {
      type?: string;
      plugins?: readonly { type?: string }[];
    };
    return [type, ...(plugins ?? []).map((plugin) => plugin.type)].filter((each) => each !== undefined);
  } catch {
    return [];
  }
};

const modeOf = (path: string): string | null => {
  try {
    return (statSync(path).mode & 0o777).toString(8).padStart(3, '0');
  } catch {
    return null;
  }
};
