/**
 * What a runtime asks: the CNI_* environment and the JSON document on stdin, checked in the order and with
 * the texts of Go's plugin skeleton, which runtimes and their operators know.
 * Source: CNI specification 1.1.0 §2; containernetworking/cni pkg/skel.
 * @module
 */
import { CniError } from './cni-error.ts';
import { JsonObject } from './json-object.ts';

export const supportedVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export type CniVersion = (typeof supportedVersions)[number];
export const newestVersion: CniVersion = '1.1.0';

export type Verb = 'ADD' | 'DEL' | 'CHECK' | 'STATUS' | 'GC' | 'VERSION';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Request {
  readonly verb: Exclude<Verb, 'VERSION'>;
  readonly containerId: string;
  readonly netns: string;
  readonly ifname: string;
  readonly args: ReadonlyMap<string, string>;
  readonly path: readonly string[];
  readonly cniVersion: CniVersion;
  readonly network: string;
  readonly config: JsonObject;
  /** As it came, for a plugin we call. */
  readonly stdin?: string;
}

const required: Readonly<Record<Verb, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  // Go also wants CNI_PATH for STATUS; the specification calls it optional.
  STATUS: [],
  VERSION: [],
};

const nameShape = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
// unicode.IsSpace of Go: the control characters that count as space, and the space separators.
const ifnameSpace = /[/:\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

export function parseVerb(env: Environment): Verb {
  const verb = env.CNI_COMMAND ?? '';
  if (!Object.hasOwn(required, verb))
    throw new CniError('ERR_CNI_ENVIRONMENT', `unknown CNI_COMMAND: ${verb}`, {
      details: `it is one of ${Object.keys(required).join(', ')}`,
    });
  return verb as Verb;
}

/** `readStdin` is asked only after the environment holds, so a forgotten variable never waits for input. */
export function parseRequest(verb: Request['verb'], env: Environment, readStdin: () => string): Request {
  const missing = required[verb].filter((name) => !env[name]);
  if (missing.length > 0)
    throw new CniError('ERR_CNI_ENVIRONMENT', `required env variables [${missing.join(',')}] missing`);
  const stdin = readStdin();
  const config = parseConfigObject(stdin);
  const network = checkNetworkName(config);
  const containerId = env.CNI_CONTAINERID ?? '';
  const ifname = env.CNI_IFNAME ?? '';
  if (required[verb].includes('CNI_CONTAINERID')) {
    checkContainerId(containerId);
    checkIfname(ifname);
  }
  return {
    verb,
    containerId,
    netns: env.CNI_NETNS ?? '',
    ifname,
    // A DEL must succeed however odd its arguments are: nothing of it depends on them.
    args: verb === 'ADD' ? parseArgs(env.CNI_ARGS ?? '') : new Map(),
    path: (env.CNI_PATH ?? '').split(':').filter((part) => part !== ''),
    cniVersion: checkVersion(verb, config),
    network,
    config,
    stdin,
  };
}

/** The version the caller wrote, for the error document; the newest when it cannot be told. */
export function spokenVersion(text: string): string {
  try {
    const version = parseConfigObject(text).string('cniVersion');
    return version === '' ? newestVersion : version;
  } catch {
    return newestVersion;
  }
}

function parseConfigObject(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const why = text.trim() === '' ? 'stdin is empty' : (cause as Error).message;
    throw new CniError('ERR_CNI_DECODING', `error unmarshall network config: ${why}`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CniError('ERR_CNI_DECODING', 'error unmarshall network config: it is not a JSON object');
  return new JsonObject(value, '');
}

function checkNetworkName(config: JsonObject): string {
  const name = config.string('name');
  if (name === '') throw new CniError('ERR_CNI_CONFIG', 'missing network name');
  if (!nameShape.test(name))
    throw new CniError('ERR_CNI_CONFIG', 'invalid characters found in network name', { details: name });
  return name;
}

function checkContainerId(id: string): void {
  if (!nameShape.test(id))
    throw new CniError('ERR_CNI_ENVIRONMENT', 'invalid characters in containerID', { details: id });
}

function checkIfname(name: string): void {
  if (new TextEncoder().encode(name).length > 15)
    throw new CniError('ERR_CNI_ENVIRONMENT', 'interface name is too long', {
      details: 'interface name should be less than 16 characters',
    });
  if (name === '.' || name === '..') throw new CniError('ERR_CNI_ENVIRONMENT', 'interface name is . or ..');
  if (ifnameSpace.test(name))
    throw new CniError('ERR_CNI_ENVIRONMENT', 'interface name contains / or : or whitespace characters');
}

function checkVersion(verb: Verb, config: JsonObject): CniVersion {
  const written = config.string('cniVersion');
  const version = written === '' ? '0.1.0' : written;
  const known = supportedVersions.find((candidate) => candidate === version);
  if (known === undefined)
    throw new CniError('ERR_CNI_VERSION', 'incompatible CNI versions', {
      details: `config is "${version}", plugin supports [${supportedVersions.map((v) => `"${v}"`).join(' ')}]`,
    });
  const since = verb === 'CHECK' ? '0.4.0' : verb === 'GC' || verb === 'STATUS' ? '1.1.0' : '0.1.0';
  if (supportedVersions.indexOf(known) < supportedVersions.indexOf(since))
    throw new CniError('ERR_CNI_VERSION', `config version does not allow ${verb}`);
  return known;
}

const knownArgs = [
  'IgnoreUnknown',
  'IP',
  'MAC',
  'K8S_POD_NAMESPACE',
  'K8S_POD_NAME',
  'K8S_POD_INFRA_CONTAINER_ID',
  'K8S_POD_UID',
];

/** `K=V;K=V`; keys are case-sensitive here, unlike those of the JSON, because Go reads them by field name. */
function parseArgs(text: string): ReadonlyMap<string, string> {
  const args = new Map<string, string>();
  if (text === '') return args;
  for (const pair of text.split(';')) {
    const [key, value, ...more] = pair.split('=');
    if (key === undefined || value === undefined || more.length > 0)
      throw new CniError('ERR_CNI_ENVIRONMENT', `ARGS: invalid pair "${pair}"`);
    args.set(key, value);
  }
  const unknown = [...args]
    .filter(([key]) => !knownArgs.includes(key))
    .map(([key, value]) => `"${key}=${value}"`);
  const ignore = ['1', 'true'].includes((args.get('IgnoreUnknown') ?? '').toLowerCase());
  if (unknown.length > 0 && !ignore)
    throw new CniError('ERR_CNI_ENVIRONMENT', `ARGS: unknown args [${unknown.join(' ')}]`);
  return args;
}
