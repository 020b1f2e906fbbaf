/**
 * What an agent is told to do: Kilo's flags with Kilo's defaults, and our own.
 * Source: `kg --help` (names, defaults, checks and their sentences).
 * @module
 */
import { hostname } from 'node:os';
import { type Cidr, parseCidr } from '../noise/ip.ts';
import type { Encapsulation, Encapsulator } from '../routing/links.ts';
import type { Granularity } from '../routing/node.ts';
import { AgentError } from './agent-error.ts';
import { DEFAULT_TOPOLOGY_LABEL } from './annotations.ts';
import type { DeviceBackend } from './host/device-process.ts';
import { isLoopback, type ListenAddress, parseListenAddress } from './listen-address.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';

/** The flags as given, by their camel-cased names. */
export interface AgentFlags {
  readonly backend: string;
  readonly checkIn: boolean;
  readonly cleanUp: boolean;
  readonly cleanUpInterface: boolean;
  readonly cni: boolean;
  readonly cniBinDir: string;
  readonly cniPath: string;
  readonly compatibility: string;
  readonly createInterface: boolean;
  readonly device: string;
  readonly dropOtherIpipTraffic: boolean;
  readonly encapsulate: string;
  readonly failClosed: boolean;
  readonly heartbeat: string;
  readonly hostname: string;
  readonly interface: string;
  readonly internalCidr: readonly string[];
  readonly iptablesForwardRules: boolean;
  readonly kubeconfig: string;
  readonly listen: string;
  readonly leaderFailover: boolean;
  readonly local: boolean;
  readonly logLevel: string;
  readonly master: string;
  readonly meshGranularity: string;
  readonly meshFile: string;
  readonly mtu: string;
  readonly port: string;
  readonly presharedKeys: boolean;
  readonly prioritisePrivateAddresses: boolean;
  readonly pskDir: string;
  readonly relay: boolean;
  readonly resyncPeriod: string;
  readonly routeInternalIp: boolean;
  readonly serviceCidr: readonly string[];
  readonly stableAddresses: boolean;
  readonly stateDirectory: string;
  readonly subnet: string;
  readonly topologyLabel: string;
  readonly uiListen: string;
  readonly uiTokenFile: string;
}

export const DEFAULT_FLAGS: AgentFlags = {
  backend: 'kubernetes',
  checkIn: true,
  cleanUp: true,
  cleanUpInterface: false,
  cni: true,
  cniBinDir: '',
  cniPath: '/etc/cni/net.d/10-kilo.conflist',
  compatibility: '',
  createInterface: true,
  device: 'userspace',
  dropOtherIpipTraffic: true,
  encapsulate: 'always',
  failClosed: true,
  heartbeat: 'annotation',
  hostname: '',
  interface: 'kilo0',
  internalCidr: [],
  iptablesForwardRules: false,
  kubeconfig: '',
  leaderFailover: true,
  listen: ':1107',
  local: true,
  logLevel: 'info',
  master: '',
  meshGranularity: 'location',
  meshFile: '',
  mtu: 'auto',
  port: '51820',
  presharedKeys: false,
  prioritisePrivateAddresses: false,
  pskDir: '',
  relay: true,
  resyncPeriod: '30s',
  routeInternalIp: true,
  serviceCidr: [],
  stableAddresses: false,
  stateDirectory: '/var/lib/kilo',
  subnet: '10.4.0.0/16',
  topologyLabel: DEFAULT_TOPOLOGY_LABEL,
  uiListen: '',
  uiTokenFile: '',
};

export interface AgentOptions {
  readonly hostname: string;
  readonly granularity: Granularity;
  readonly subnet: Cidr;
  readonly interfaceName: string;
  readonly createInterface: boolean;
  /** Who makes the device when there is none. */
  readonly deviceBackend: DeviceBackend;
  /** Packets for pods behind a tunnel go nowhere while there is no device. */
  readonly failClosed: boolean;
  /** Watch leaders, and let others take the place of one that fails. */
  readonly leaderFailover: boolean;
  /** Heart-beats are Leases, where all agents read them. */
  readonly leaseHeartbeat: boolean;
  /** Heart-beats every 30 s; false: only when there is something new. */
  readonly checkIn: boolean;
  readonly cleanUp: boolean;
  readonly cleanUpInterface: boolean;
  /** Drop wrapped packets of others (a rule Kilo writes). */
  readonly dropOtherIpip: boolean;
  /** Routes to the private addresses of other locations. */
  readonly routeInternalIPs: boolean;
  /** The conflist to keep; null when another network plugin serves the pods. */
  readonly cniPath: string | null;
  /** Put our CNI executables there, and write the conflist when there is none; null: both are somebody else's care. */
  readonly cniBinDir: string | null;
  readonly encapsulation: Encapsulation;
  readonly encapsulator: Encapsulator;
  readonly internalCIDRs: readonly Cidr[];
  readonly forwardRules: boolean;
  readonly kubeconfig: string;
  readonly master: string;
  readonly listen: ListenAddress;
  readonly local: boolean;
  readonly logLevel: LogLevel;
  /** Null: that of the default route's link, less what a tunnel adds. */
  readonly mtu: number | null;
  readonly port: number;
  /** Make preshared keys with nodes that do so too. */
  readonly presharedKeys: boolean;
  readonly prioritisePrivateAddresses: boolean;
  /** A preshared key for each node, from somewhere else. */
  readonly pskDirectory: string | null;
  /** Go through a third where two segments do not reach each other, and pass on what others send. */
  readonly relay: boolean;
  readonly resyncMs: number;
  readonly serviceCIDRs: readonly Cidr[];
  /** Segments keep their mesh addresses, where all agents do so. */
  readonly stableAddresses: boolean;
  readonly stateDirectory: string;
  readonly topologyLabel: string;
  /** Where the page is served, and who may look; null: it is not. */
  readonly ui: PageOptions | null;
}

export interface PageOptions {
  readonly listen: ListenAddress;
  /** Null: whoever is on this machine may look. */
  readonly tokenFile: string | null;
}

export const agentOptions = (flags: AgentFlags): AgentOptions => {
  oneOf('backend', flags.backend, ['kubernetes']);
  const name = flags.hostname === '' ? hostname() : flags.hostname;
  if (name === '') throw new AgentError('ERR_AGENT_HOSTNAME', 'failed to determine hostname');
  if (
    Buffer.byteLength(flags.interface) > 15 ||
    !/^[^\s/]+$/.test(flags.interface) ||
    /^\.\.?$/.test(flags.interface)
  )
    throw wrong(`"${flags.interface}" cannot name an interface: 1 to 15 characters, no space, no slash`);
  return {
    hostname: name,
    granularity: oneOf('mesh granularity', flags.meshGranularity, ['location', 'full', 'cross']),
    subnet: cidrOf('subnet', flags.subnet),
    interfaceName: flags.interface,
    createInterface: flags.createInterface,
    deviceBackend: oneOf('device', flags.device, ['userspace', 'kernel', 'auto']),
    failClosed: flags.failClosed,
    leaseHeartbeat: oneOf('heartbeat', flags.heartbeat, ['annotation', 'lease']) === 'lease',
    leaderFailover: flags.leaderFailover,
    checkIn: flags.checkIn,
    cleanUp: flags.cleanUp,
    cleanUpInterface: flags.cleanUpInterface,
    cniPath: flags.cni ? flags.cniPath : null,
    cniBinDir: flags.cni && flags.cniBinDir !== '' ? flags.cniBinDir : null,
    dropOtherIpip: flags.dropOtherIpipTraffic,
    routeInternalIPs: flags.routeInternalIp,
    encapsulation: oneOf('encapsulation', flags.encapsulate, ['never', 'crosssubnet', 'always']),
    // As in Kilo, a word that is none of these stands for plain IPIP.
    encapsulator:
      flags.compatibility === 'flannel' || flags.compatibility === 'cilium' ? flags.compatibility : 'ipip',
    internalCIDRs: flags.internalCidr.map((text) => cidrOf('internal-cidr', text)),
    forwardRules: flags.iptablesForwardRules,
    kubeconfig: flags.kubeconfig,
    master: flags.master,
    listen: listenAddress('listen', flags.listen, ':1107'),
    local: flags.local,
    logLevel: oneOf('log level', flags.logLevel, LOG_LEVELS),
    mtu: mtuOf(flags.mtu),
    port: portOf(flags.port),
    presharedKeys: flags.presharedKeys,
    prioritisePrivateAddresses: flags.prioritisePrivateAddresses,
    pskDirectory: flags.pskDir === '' ? null : flags.pskDir,
    relay: flags.relay,
    resyncMs: durationMs('resync-period', flags.resyncPeriod),
    serviceCIDRs: flags.serviceCidr.map((text) => cidrOf('service-cidr', text)),
    stableAddresses: flags.stableAddresses,
    stateDirectory: flags.stateDirectory,
    topologyLabel: flags.topologyLabel,
    ui: pageOptions(flags),
  };
};

const wrong = (message: string): AgentError => new AgentError('ERR_AGENT_OPTION', message);

const oneOf = <Word extends string>(what: string, given: string, words: readonly Word[]): Word => {
  const found = words.find((word) => word === given);
  if (found !== undefined) return found;
  throw wrong(`${what} ${given} unknown; possible values are: ${words.join(', ')}`);
};

const cidrOf = (flag: string, text: string): Cidr => {
  const cidr = parseCidr(text);
  if (cidr !== null) return cidr;
  throw wrong(`--${flag}: "${text}" is not an address range; write it as 10.4.0.0/16`);
};

const mtuOf = (text: string): number | null => {
  if (text === 'auto') return null;
  if (/^\d{1,5}$/.test(text) && Number(text) >= 576 && Number(text) <= 65_535) return Number(text);
  throw wrong(`failed to parse MTU "${text}": it is "auto" or a number from 576 to 65535`);
};

const portOf = (text: string): number => {
  if (!/^-?\d{1,9}$/.test(text)) throw wrong(`invalid port: "${text}" is not a number`);
  const port = Number(text);
  if (port >= 1 && port <= 0xffff) return port;
  throw wrong(`invalid port: port must be in range [1:65535], but got ${port}`);
};

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Go's time.ParseDuration: "30s", "1h30m", "1.5s". */
export const durationMs = (flag: string, text: string): number => {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  const whole = parts.map(([part]) => part).join('');
  const total = parts.reduce((sum, [, value, unit = '']) => sum + Number(value) * (UNITS[unit] ?? 0), 0);
  if (whole !== text || total <= 0)
    throw wrong(`--${flag}: "${text}" is not a duration; write it as 30s or 5m`);
  return total;
};

const listenAddress = (flag: string, text: string, example: string): ListenAddress => {
  const address = parseListenAddress(text);
  if (address !== null) return address;
  throw wrong(`--${flag}: "${text}" is not an address; write it as ${example}`);
};

const pageOptions = ({ uiListen, uiTokenFile }: AgentFlags): PageOptions | null => {
  if (uiListen === '') return null;
  const listen = listenAddress('ui-listen', uiListen, '127.0.0.1:8107');
  const tokenFile = uiTokenFile === '' ? null : uiTokenFile;
  if (tokenFile !== null || isLoopback(listen)) return { listen, tokenFile };
  throw wrong(
    `--ui-listen: others than this machine reach ${uiListen}: give --ui-token-file, or 127.0.0.1:${listen.port}`,
  );
};
