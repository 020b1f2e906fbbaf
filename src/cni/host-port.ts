/**
 * Ports of the host that lead into a container: capability `portMappings`.
 * containerd sends the names with capital letters, podman and nerdctl without.
 * Source: CNI conventions, "portMappings"; containernetworking/plugins portmap.
 * @module
 */
import { CniError } from './cni-error.ts';
import { parseAddress } from './ipam/ip-address.ts';
import type { JsonObject } from './json-object.ts';

export type PortProtocol = 'tcp' | 'udp' | 'sctp';

export interface HostPort {
  readonly protocol: PortProtocol;
  /** '' for every address of the host. */
  readonly hostIp: string;
  readonly hostPort: number;
  readonly containerPort: number;
}

/** How connections to host ports are masqueraded, for the network as a whole. */
export interface HostPortOptions {
  /** So that a container, or the host by way of 127.0.0.1, reaches itself through its host port. */
  readonly snat: boolean;
  /** Every connection to a host port comes from the host, whoever made it. */
  readonly masqueradeAll: boolean;
  /** The bit of the packet mark by which they are known, 0 to 31. */
  readonly markBit: number;
}

export function parseHostPortOptions(config: JsonObject): HostPortOptions {
  for (const key of ['conditionsV4', 'conditionsV6'])
    if (config.list(key).length > 0) throw unsupported(key, config.raw(key), 'they are iptables arguments');
  if (config.string('externalSetMarkChain') !== '')
    throw unsupported(
      'externalSetMarkChain',
      config.raw('externalSetMarkChain'),
      'it is a chain of iptables',
    );
  const markBit = config.integer('markMasqBit', 13);
  if (markBit < 0 || markBit > 31)
    throw new CniError('ERR_CNI_CONFIG', 'MasqMarkBit must be between 0 and 31');
  return { snat: config.boolean('snat', true), masqueradeAll: config.boolean('masqAll'), markBit };
}

const unsupported = (key: string, value: unknown, why: string): CniError =>
  new CniError(
    'ERR_CNI_UNSUPPORTED_FIELD',
    `"${key}": ${JSON.stringify(value)} is not supported: ${why}, and host ports are kept in nftables`,
  );

const protocols: readonly string[] = ['tcp', 'udp', 'sctp'];

export function parseHostPorts(runtimeConfig: JsonObject): readonly HostPort[] {
  const ports = new Map<string, HostPort>();
  for (const object of runtimeConfig.objects('portMappings')) {
    const hostPort = object.integer('hostPort');
    // kubelet also tells of ports that are only exposed.
    if (hostPort === 0) continue;
    const protocol = (object.string('protocol') || 'tcp').toLowerCase();
    if (!isProtocol(protocol)) throw wrong('protocol', protocol, 'tcp, udp or sctp');
    const port = {
      protocol,
      hostIp: hostIp(object.string('hostIP')),
      hostPort: port16('hostPort', hostPort),
      containerPort: port16('containerPort', object.integer('containerPort')),
    };
    ports.set(describeHostPort(port), port);
  }
  return [...ports.values()];
}

/** "udp/53" */
export const portName = ({ protocol, hostPort }: HostPort): string => `${protocol}/${hostPort}`;

export const describeHostPort = ({ protocol, hostIp, hostPort }: HostPort): string =>
  `${hostIp === '' ? '' : `${hostIp} `}${protocol}/${hostPort}`;

const isProtocol = (text: string): text is PortProtocol => protocols.includes(text);

function hostIp(text: string): string {
  if (text === '' || text === '0.0.0.0' || text === '::') return text === '' ? '' : text;
  if (parseAddress(text) === undefined) throw wrong('hostIP', text, 'an IP address');
  return text;
}

function port16(key: string, value: number): number {
  if (value < 1 || value > 65_535) throw wrong(key, value, 'between 1 and 65535');
  return value;
}

const wrong = (key: string, value: string | number, wanted: string): CniError =>
  new CniError('ERR_CNI_CONFIG', `invalid port mapping: "${key}" is ${JSON.stringify(value)}, not ${wanted}`);
