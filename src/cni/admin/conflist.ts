/**
 * The conflist that `install` writes: bridge, addresses, masquerading and host ports of one node.
 * `cniVersion` is the highest that containerd 1.6 and podman 4 read; newer ones choose from `cniVersions`.
 * @module
 */
import { JsonObject } from '../json-object.ts';
import { AdminError } from './admin-error.ts';
import { pluginType, problemOf } from './conf-folder.ts';

export interface ConflistOptions {
  readonly name: string;
  readonly bridge: string;
  /** One address of each goes to every container. */
  readonly subnets: readonly string[];
  readonly mtu: number;
  readonly ipMasq: boolean;
  readonly hairpin: boolean;
}

export function conflistText(options: ConflistOptions): string {
  const plugin = {
    type: pluginType,
    bridge: options.bridge,
    isDefaultGateway: true,
    hairpinMode: options.hairpin,
    ipMasq: options.ipMasq,
    mtu: options.mtu,
    capabilities: { portMappings: true, bandwidth: true, ips: true, mac: true },
    ipam: { ranges: options.subnets.map((subnet) => [{ subnet }]) },
  };
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(options.name))
    throw new AdminError(
      'ERR_CNI_ADMIN_INPUT',
      `"${options.name}" cannot be the name of a network; use letters, digits, ".", "_" and "-".`,
    );
  const problem = problemOf(options.name, new JsonObject(plugin, ''));
  if (problem !== '') throw new AdminError('ERR_CNI_ADMIN_INPUT', sentence(problem));
  const conflist = {
    cniVersion: '1.0.0',
    cniVersions: ['0.4.0', '1.0.0', '1.1.0'],
    name: options.name,
    plugins: [plugin],
  };
  return `${JSON.stringify(conflist, null, 2)}\n`;
}

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
