/**
 * The network configuration pods are made with: its address range is the node's.
 * Source: Kilo's care of /etc/cni/net.d/10-kilo.conflist (every plugin with an `ipam` gets the range, nothing else is
 * touched, keys sorted, compact); CNI specification 1.1 for the file.
 * @module
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type Cidr, formatCidr } from '../../noise/ip.ts';
import { AgentError } from '../agent-error.ts';

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The file's text with the range in place; null when it has it. */
export const withPodCIDR = (text: string, podCIDR: Cidr): string | null => {
  let conflist: unknown;
  try {
    conflist = JSON.parse(text);
  } catch (cause) {
    throw new AgentError('ERR_AGENT_CNI', 'it is not JSON', { cause });
  }
  const plugins = isObject(conflist) ? conflist.plugins : undefined;
  if (!isObject(conflist) || !Array.isArray(plugins))
    throw new AgentError('ERR_AGENT_CNI', 'it has no plugins');
  const wanted = formatCidr(podCIDR);
  const withIpam = plugins.filter(
    (plugin: unknown): plugin is Json => isObject(plugin) && isObject(plugin.ipam),
  );
  if (withIpam.length === 0) throw new AgentError('ERR_AGENT_CNI', 'none of its plugins has an "ipam"');
  if (rangeOf(withIpam) === wanted) return null;
  const changed = plugins.map((plugin: unknown) =>
    isObject(plugin) && isObject(plugin.ipam)
      ? { ...plugin, ipam: { ...plugin.ipam, ranges: [[{ subnet: wanted }]] } }
      : plugin,
  );
  return JSON.stringify({ ...conflist, plugins: changed }, sortedKeys);
};

/** The first range of the first plugin whose ipam has a type. */
const rangeOf = (plugins: readonly Json[]): string => {
  const ipam = plugins
    .map((plugin) => plugin.ipam as Json)
    .find(({ type }) => typeof type === 'string' && type !== '');
  const ranges = ipam?.ranges;
  const first: unknown = Array.isArray(ranges) ? ranges[0] : undefined;
  const range: unknown = Array.isArray(first) ? first[0] : undefined;
  return isObject(range) && typeof range.subnet === 'string' ? range.subnet : '';
};

const sortedKeys = (_name: string, value: unknown): unknown =>
  isObject(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    : value;

/** Answers whether the file had to be written. It is replaced whole, so that no pod meets half of it. */
export const keepConflist = (path: string, podCIDR: Cidr): boolean => {
  try {
    const text = withPodCIDR(readFileSync(path, 'utf8'), podCIDR);
    if (text === null) return false;
    // A name the runtime does not take for a configuration.
    const draft = `${path}.kilowire-draft`;
    try {
      writeFileSync(draft, text, { mode: 0o644 });
      renameSync(draft, path);
    } finally {
      rmSync(draft, { force: true });
    }
    return true;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AgentError(
      'ERR_AGENT_CNI',
      `The CNI configuration ${path} cannot be given the pods' range: ${why}.`,
      { cause },
    );
  }
};
