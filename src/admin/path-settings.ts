/**
 * What agents were told that no annotation says, as what routes and filters are computed with.
 * @module
 */
import type { Encapsulator } from '../routing/links.ts';
import type { PathOptions } from '../routing/packet-path.ts';

export interface AgentSettings
  extends Pick<PathOptions, 'encapsulation' | 'local' | 'cni' | 'serviceCIDRs' | 'underlayMtu'> {
  readonly interfaceName: string;
  readonly encapsulator: Encapsulator;
}

/** Stands for the link that carries a node's private address: its name is known on the node only. */
const PRIVATE_LINK = 'private';

export const pathOptionsOf = ({ interfaceName, encapsulator, ...rest }: AgentSettings): PathOptions => ({
  ...rest,
  encapsulator,
  links: {
    wireguard: interfaceName,
    private: PRIVATE_LINK,
    tunnel: encapsulator === 'flannel' ? 'flannel.1' : 'tunl0',
  },
});
