/**
 * A node's subnet as flannel (and k3s with it) writes it down: `"subnetFile": "/run/flannel/subnet.env"` fills in what
 * the configuration leaves open, as flannel's plugin does for the bridge plugin it calls.
 * Source: flannel-io/cni-plugin, README and its delegate's defaults.
 * @module
 */
import { readFileSync } from '#sys';
import { CniError } from './cni-error.ts';
import { errorCode } from './files.ts';
import { networkOf } from './ipam/ip-address.ts';
import type { JsonObject } from './json-object.ts';

export function withSubnetFile(config: JsonObject): JsonObject {
  const path = config.string('subnetFile');
  if (path === '') return config;
  const env = readEnv(path);
  const list = (key: string): readonly string[] =>
    (env.get(key) ?? '').split(',').filter((text) => text !== '');
  const subnets = [...list('FLANNEL_SUBNET'), ...list('FLANNEL_IPV6_SUBNET')];
  const networks = [...list('FLANNEL_NETWORK'), ...list('FLANNEL_IPV6_NETWORK')];
  const missing = [
    ...(networks.length === 0 ? ['FLANNEL_NETWORK or FLANNEL_IPV6_NETWORK'] : []),
    ...(subnets.length === 0 ? ['FLANNEL_SUBNET or FLANNEL_IPV6_SUBNET'] : []),
    ...['FLANNEL_MTU', 'FLANNEL_IPMASQ'].filter((key) => !env.has(key)),
  ];
  if (missing.length > 0) throw notYet(`${path} is missing ${missing.join(', ')}`);
  const ipam = config.object('ipam');
  const ranges = subnets.map((subnet) => [{ subnet: networkOf(subnet) }]);
  const hasRanges = ipam.list('ranges').length > 0 || ipam.string('subnet') !== '';
  const given = {
    isgateway: true,
    mtu: Number(env.get('FLANNEL_MTU')),
    // flannel does it itself, or it does not.
    ipmasq: env.get('FLANNEL_IPMASQ') !== 'true',
    ...config.values(),
  };
  return config.with({
    ...given,
    ipam: {
      ...ipam.values(),
      ...(hasRanges ? {} : { ranges }),
      routes: [...ipam.list('routes'), ...networks.map((dst) => ({ dst }))],
    },
  });
}

function readEnv(path: string): ReadonlyMap<string, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    throw notYet(`failed to load flannel 'subnet.env' file: open ${path}: no such file or directory`);
  }
  const env = new Map<string, string>();
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) env.set(line.slice(0, equals).trim(), line.slice(equals + 1).trim());
  }
  return env;
}

const notYet = (message: string): CniError =>
  new CniError('ERR_CNI_TRY_AGAIN', `${message}. Check the flannel pod log for this node.`);
