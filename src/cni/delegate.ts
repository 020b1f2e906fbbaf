/**
 * A foreign `ipam.type`: the plugin of that name, called with our environment and our standard input, at every verb.
 * Source: CNI specification 1.1.0, "Delegated plugin execution"; error texts as Go's invoke package has them.
 * @module
 */
import { statSync } from '#sys';
import { CniError, ForeignCniError } from './cni-error.ts';
import type { Allocation } from './ipam/allocator.ts';
import { bounds, formatAddress, parsePrefix } from './ipam/ip-address.ts';
import { asJsonObject, JsonObject } from './json-object.ts';
import type { Environment, Request } from './request.ts';
import type { Dns, Route } from './result.ts';
import { parseDns, parseRoutes } from './result-parts.ts';

export interface IpamAnswer {
  readonly allocations: readonly Allocation[];
  readonly routes: readonly Route[];
  readonly dns: Dns;
}

const builtIn = ['', 'host-local'];

export class IpamPlugin {
  readonly #type: string;
  readonly #request: Request;
  readonly #env: Environment;

  constructor(type: string, request: Request, env: Environment) {
    this.#type = type;
    this.#request = request;
    this.#env = env;
  }

  /** Undefined when the configuration's IPAM is built in, or there is none. */
  static of(request: Request, env: Environment): IpamPlugin | undefined {
    const type = request.config.object('ipam').string('type');
    return builtIn.includes(type) ? undefined : new IpamPlugin(type, request, env);
  }

  /** `isGateway`: an address that comes without a gateway has the first one of its subnet. */
  add(isGateway: boolean): IpamAnswer {
    const result = parseResult(this.run('ADD'));
    if (result.allocations.length === 0)
      throw new CniError('ERR_CNI_ADDRESS', 'IPAM plugin returned missing IP config');
    if (!isGateway) return result;
    return {
      ...result,
      allocations: result.allocations.map(({ address, gateway }) => ({
        address,
        gateway: gateway || firstOf(address),
      })),
    };
  }

  /** Answers what it printed; what it refuses is passed through with its own code. */
  run(verb: Request['verb']): string {
    const file = findPlugin(this.#type, this.#request.path);
    // Loaded only here: starting processes is nothing a plain call does.
    const { spawnSync } = process.getBuiltinModule('node:child_process');
    // Those that the executable's door gives to its own runtime are none of another program's.
    const isOthers = ([name, value]: readonly [string, string | undefined]): boolean =>
      value !== undefined && !name.startsWith('BUN_JSC_');
    const env = Object.fromEntries(Object.entries(this.#env).filter(isOthers));
    const { status, signal, stdout, error } = spawnSync(file, [], {
      env: { ...env, CNI_COMMAND: verb },
      input: this.#request.stdin ?? '',
      stdio: ['pipe', 'pipe', 'inherit'],
      encoding: 'utf8',
      maxBuffer: 16 << 20,
    });
    if (error !== undefined)
      throw new CniError('ERR_CNI_INTERNAL', `IPAM plugin ${this.#type} cannot be run: ${error.message}`, {
        cause: error,
      });
    if (status === 0) return stdout;
    throw refusal(this.#type, stdout, status === null ? `signal ${signal}` : `exit status ${status}`);
  }
}

function findPlugin(type: string, folders: readonly string[]): string {
  if (type.includes('/')) throw new CniError('ERR_CNI_INTERNAL', `invalid plugin name: ${type}`);
  for (const folder of folders) {
    const path = `${folder}/${type}`;
    if (statSync(path, { throwIfNoEntry: false })?.isFile()) return path;
  }
  throw new CniError('ERR_CNI_INTERNAL', `failed to find plugin "${type}" in path [${folders.join(' ')}]`);
}

function refusal(type: string, stdout: string, how: string): CniError {
  try {
    const document = new JsonObject(JSON.parse(stdout), '');
    return new ForeignCniError(document.integer('code'), document.string('msg'), document.string('details'));
  } catch (cause) {
    return new CniError(
      'ERR_CNI_INTERNAL',
      stdout.trim() === ''
        ? `IPAM plugin ${type} failed with no error message: ${how}`
        : `IPAM plugin ${type} failed but error parsing its diagnostic message "${stdout}"`,
      { cause },
    );
  }
}

/** Results of all versions: `ips` since 0.3.0, `ip4` and `ip6` before. */
function parseResult(text: string): IpamAnswer {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CniError('ERR_CNI_DECODING', `IPAM plugin's result is no JSON: ${text}`, { cause });
  }
  const result = asJsonObject(value, '');
  const old = ['ip4', 'ip6'].map((key) => result.object(key)).filter((half) => half.has('ip'));
  const ips = [
    ...result.objects('ips').map((ip) => ({ address: ip.string('address'), gateway: ip.string('gateway') })),
    ...old.map((half) => ({ address: half.string('ip'), gateway: half.string('gateway') })),
  ];
  for (const { address } of ips)
    if (parsePrefix(address) === undefined)
      throw new CniError('ERR_CNI_DECODING', `IPAM plugin's result: invalid CIDR address: ${address}`);
  return {
    allocations: ips,
    routes: [result, ...old].flatMap(parseRoutes),
    dns: parseDns(result.object('dns')),
  };
}

function firstOf(address: string): string {
  const prefix = parsePrefix(address);
  return prefix === undefined
    ? ''
    : formatAddress({ family: prefix.family, value: bounds(prefix).first + 1n });
}
