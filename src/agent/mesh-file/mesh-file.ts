/**
 * A mesh that is written in a file, before there is an API server to ask: who takes part, where each is, what lies behind.
 * What cannot be read is told with its line.
 * Source: the facts behind Kilo's annotations (docs/annotations.md), in YAML; docs/mesh-file.md.
 * @module
 */
import { type Cidr, hostCidr, network, parseAddress, parseCidr } from '../../noise/ip.ts';
import { isKey } from '../../routing/key-text.ts';
import type { Granularity, MeshEndpoint } from '../../routing/node.ts';
import { AgentError } from '../agent-error.ts';
import { parseMeshEndpoint } from '../endpoint-text.ts';

export interface MeshFileNode {
  readonly name: string;
  readonly location: string;
  readonly endpoint: MeshEndpoint;
  /** Base64; null: it has not been collected yet. */
  readonly key: string | null;
  /** On the network it shares with its location, with that network's prefix length. */
  readonly privateIP: Cidr | null;
  /** Its own wherever it is, put on its loopback link. */
  readonly addresses: readonly Cidr[];
  /** Behind it. */
  readonly subnets: readonly Cidr[];
  readonly persistentKeepalive: number;
  readonly leader: boolean;
}

export interface MeshFile {
  readonly granularity: Granularity;
  readonly subnet: Cidr;
  readonly port: number;
  readonly interfaceName: string;
  readonly nodes: readonly MeshFileNode[];
}

type Fields = Readonly<Record<string, unknown>>;

const FILE_FIELDS = ['granularity', 'subnet', 'port', 'interface', 'nodes'];
const NODE_FIELDS = [
  'name',
  'location',
  'endpoint',
  'key',
  'privateIP',
  'address',
  'addresses',
  'subnets',
  'persistentKeepalive',
  'leader',
];
const PORT = 51_820;
const NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;

/** @throws AgentError with the file's name and the line. */
export const parseMeshFile = async (text: string, path: string): Promise<MeshFile> => {
  const { LineCounter, parseDocument } = await import('yaml');
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const fault = (offset: number | undefined, message: string): AgentError =>
    new AgentError('ERR_AGENT_MESH_FILE', `${path}: line ${lines.linePos(offset ?? 0).line}: ${message}.`);
  const [error] = document.errors;
  if (error !== undefined)
    throw fault(error.pos[0], error.message.split('\n')[0]?.replace(/[.:]$/, '') ?? '');
  const offsetOf = (at: readonly (string | number)[]): number | undefined => {
    const node = document.getIn(at, true) as { readonly range?: readonly number[] } | undefined;
    return node?.range?.[0];
  };
  const reader = (at: readonly (string | number)[], value: unknown, known: readonly string[]): Reader => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw fault(offsetOf(at), 'names with values are expected here, such as "name: aws-1"');
    const strange = Object.keys(value).find((name) => !known.includes(name));
    if (strange !== undefined)
      throw fault(offsetOf([...at, strange]), `"${strange}" is not known; there are: ${known.join(', ')}`);
    return new Reader({ ...value }, (name, message) =>
      fault(offsetOf([...at, name]) ?? offsetOf(at), message),
    );
  };
  const file = reader([], document.toJS() as unknown, FILE_FIELDS);
  const port = file.number('port', 1, 0xffff) ?? PORT;
  const granularity = file.text('granularity') ?? 'full';
  if (granularity !== 'location' && granularity !== 'full' && granularity !== 'cross')
    throw file.wrong('granularity', `"${granularity}" is none of location, full, cross`);
  const { nodes } = file.fields;
  if (!Array.isArray(nodes) || nodes.length === 0) throw file.wrong('nodes', 'the list of nodes is missing');
  const read = nodes.map((node: unknown, at) =>
    nodeOf(reader(['nodes', at], node, NODE_FIELDS), port, granularity),
  );
  for (const [at, { name, key }] of read.entries()) {
    const twin = read
      .slice(0, at)
      .find((other) => other.name === name || (key !== null && other.key === key));
    if (twin === undefined) continue;
    const what =
      twin.name === name ? `a node "${name}"` : `a node with the key of "${name}" ("${twin.name}")`;
    throw fault(offsetOf(['nodes', at]), `there is ${what} already`);
  }
  return {
    granularity,
    subnet: file.cidr('subnet') ?? { address: Uint8Array.of(10, 4, 0, 0), prefix: 16 },
    port,
    interfaceName: file.text('interface') ?? 'kilo0',
    nodes: read,
  };
};

const nodeOf = (reader: Reader, port: number, granularity: Granularity): MeshFileNode => {
  const name = reader.text('name') ?? '';
  if (!NAME.test(name))
    throw reader.wrong('name', `"${name}" cannot name a node: lower-case letters, digits, "-" and "."`);
  const given = reader.text('endpoint') ?? '';
  const endpoint = parseMeshEndpoint(given) ?? parseMeshEndpoint(`${bracketed(given)}:${port}`);
  if (endpoint === null)
    throw reader.wrong(
      'endpoint',
      `"${given}" is no endpoint; write it as 203.0.113.1, name.example.org or name:51820`,
    );
  const key = reader.text('key');
  if (key !== null && !isKey(key))
    throw reader.wrong('key', 'the key is none: it is what "kilowire mesh --keys" prints on the node');
  const addresses = [...reader.hosts('address'), ...reader.hosts('addresses')];
  const privateIP = reader.cidr('privateIP');
  const subnets = reader.ranges('subnets');
  if (addresses.length + subnets.length === 0 && privateIP === null)
    throw reader.wrong(
      'name',
      `"${name}" has nothing to be reached at: give it an address of its own (address: 10.99.0.1), or a privateIP`,
    );
  if (granularity !== 'full' && privateIP === null && reader.fields.location === undefined)
    throw reader.wrong('name', `"${name}" needs a location for granularity ${granularity}`);
  return {
    name,
    location: reader.text('location') ?? '',
    endpoint,
    key,
    privateIP,
    addresses,
    subnets,
    persistentKeepalive: reader.number('persistentKeepalive', 0, 0xffff) ?? 0,
    leader: reader.fields.leader === true,
  };
};

const bracketed = (host: string): string => (parseAddress(host)?.length === 16 ? `[${host}]` : host);

/** Fields by name; complaints know the line. */
class Reader {
  readonly fields: Fields;
  readonly wrong: (name: string, message: string) => AgentError;

  constructor(fields: Fields, wrong: (name: string, message: string) => AgentError) {
    this.fields = fields;
    this.wrong = wrong;
  }

  text(name: string): string | null {
    const value = this.fields[name];
    if (value === undefined || value === null) return null;
    if (typeof value === 'string') return value;
    if (typeof value === 'number') return String(value);
    throw this.wrong(name, `${name} must be a text`);
  }

  number(name: string, least: number, most: number): number | null {
    const value = this.fields[name];
    if (value === undefined || value === null) return null;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    throw this.wrong(name, `${name} must be a number from ${least} to ${most}`);
  }

  cidr(name: string): Cidr | null {
    const text = this.text(name);
    if (text === null) return null;
    const cidr = parseCidr(text);
    if (cidr !== null) return cidr;
    throw this.wrong(name, `${name}: "${text}" needs a prefix length, such as 10.0.1.5/24`);
  }

  ranges(name: string): Cidr[] {
    return this.#list(name).map((text) => {
      const cidr = parseCidr(text);
      if (cidr !== null) return network(cidr);
      throw this.wrong(name, `${name}: "${text}" is no range; write it as 192.168.7.0/24`);
    });
  }

  hosts(name: string): Cidr[] {
    return this.#list(name).map((text) => {
      const address = parseAddress(text.replace(/\/(?:32|128)$/, ''));
      if (address !== null) return hostCidr(address);
      throw this.wrong(name, `${name}: "${text}" is no address; write it as 10.99.0.1`);
    });
  }

  #list(name: string): string[] {
    const value = this.fields[name];
    if (value === undefined || value === null) return [];
    const items: unknown[] = Array.isArray(value) ? value : [value];
    return items.map((item) => {
      if (typeof item === 'string') return item;
      throw this.wrong(name, `${name} must be a text, or a list of texts`);
    });
  }
}
