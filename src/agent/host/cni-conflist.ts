/**
 * The network configuration pods are made with: its address range is the node's.
 * Source: Kilo's care of /etc/cni/net.d/10-kilo.conflist (every plugin with an `ipam` gets the range, nothing else is
 * touched, keys sorted, compact); CNI specification 1.1 for the file.
 * @module
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Cidr, formatCidr } from '../../noise/ip.ts';
import { AgentError } from '../agent-error.ts';

/** Where pods hang, in Kilo's configuration and in ours; its addresses are not the node's. */
export const BRIDGE = 'kube-bridge';

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The file's text with the node's ranges in place, one of each family; null when it has them. */
export const withPodCIDRs = (text: string, podCIDRs: readonly Cidr[]): string | null => {
  let conflist: unknown;
  try {
    conflist = JSON.parse(text);
  } catch (cause) {
    throw new AgentError('ERR_AGENT_CNI', 'it is not JSON', { cause });
  }
  const plugins = isObject(conflist) ? conflist.plugins : undefined;
  if (!isObject(conflist) || !Array.isArray(plugins))
    throw new AgentError('ERR_AGENT_CNI', 'it has no plugins');
  const wanted = rangesOf(podCIDRs);
  const withIpam = plugins.filter(
    (plugin: unknown): plugin is Json => isObject(plugin) && isObject(plugin.ipam),
  );
  if (withIpam.length === 0) throw new AgentError('ERR_AGENT_CNI', 'none of its plugins has an "ipam"');
  if (presentRanges(withIpam, wanted.length) === wanted.map(([{ subnet }]) => subnet).join()) return null;
  const changed = plugins.map((plugin: unknown) =>
    isObject(plugin) && isObject(plugin.ipam)
      ? { ...plugin, ipam: { ...plugin.ipam, ranges: wanted } }
      : plugin,
  );
  return JSON.stringify({ ...conflist, plugins: changed }, sortedKeys);
};

const rangesOf = (podCIDRs: readonly Cidr[]): [{ subnet: string }][] =>
  podCIDRs.map((podCIDR) => [{ subnet: formatCidr(podCIDR) }]);

/** The first range of each of so many families, of the first plugin whose ipam has a type. */
const presentRanges = (plugins: readonly Json[], families: number): string => {
  const ipam = plugins
    .map((plugin) => plugin.ipam as Json)
    .find(({ type }) => typeof type === 'string' && type !== '');
  const ranges = ipam?.ranges;
  if (!Array.isArray(ranges)) return '';
  return ranges
    .slice(0, families)
    .map((family: unknown) => {
      const range: unknown = Array.isArray(family) ? family[0] : undefined;
      return isObject(range) && typeof range.subnet === 'string' ? range.subnet : '';
    })
    .join();
};

const sortedKeys = (_name: string, value: unknown): unknown =>
  isObject(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    : value;

/**
 * The file a fresh node gets: Kilo's network, name and bridge, served by our executable alone (host ports and bandwidth are
 * folded in). Masquerading is the agent's.
 */
export const freshConflist = (podCIDRs: readonly Cidr[], mtu: number): string => {
  const plugin = {
    bridge: BRIDGE,
    capabilities: { bandwidth: true, portMappings: true },
    forceAddress: true,
    hairpinMode: true,
    ipam: { ranges: rangesOf(podCIDRs), type: 'host-local' },
    isDefaultGateway: true,
    mtu,
    type: 'kilowire',
  };
  const cniVersions = ['0.4.0', '1.0.0', '1.1.0'];
  return JSON.stringify({ cniVersion: '1.0.0', cniVersions, name: 'kilo', plugins: [plugin] });
};

const readIfThere = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
};

/**
 * Answers whether the file had to be written. It is replaced whole, so that no pod meets half of it.
 * @param freshMtu what pods get in a file of ours when there is none; null: a missing file is a fault
 */
export const keepConflist = (
  path: string,
  podCIDRs: readonly Cidr[],
  freshMtu: number | null = null,
): boolean => {
  try {
    const present = freshMtu === null ? readFileSync(path, 'utf8') : readIfThere(path);
    const text = present === null ? freshConflist(podCIDRs, freshMtu ?? 0) : withPodCIDRs(present, podCIDRs);
    if (text === null) return false;
    if (present === null) mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
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
