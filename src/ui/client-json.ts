/**
 * A client under the names that wg-gen-web's REST interface has for it.
 * Source: wg-gen-web's Client (fields); a private key has no field here.
 * @module
 */
import { AdminError } from '../admin/admin-error.ts';
import { type ClientEntry, listClients } from '../admin/clients/client-list.ts';
import type { ClusterSnapshot } from '../admin/cluster-snapshot.ts';

export interface ClientJson {
  readonly id: string;
  readonly name: string;
  readonly email: string | null;
  readonly enable: boolean;
  readonly state: ClientEntry['state'];
  readonly faults: readonly string[];
  readonly address: readonly string[];
  readonly publicKey: string;
  readonly hasPresharedKey: boolean;
  readonly persistentKeepalive: number;
  /** RFC 3339; null: without end. */
  readonly expires: string | null;
  /** Where it may go; null: everywhere. */
  readonly allow: readonly string[] | null;
  readonly tags: readonly string[];
  readonly created: string | null;
}

/** Who knows the clients. */
export interface ClientSource {
  readonly list: () => Promise<readonly ClientJson[]>;
  /** @throws AdminError when there is none. */
  readonly find: (name: string) => Promise<ClientJson>;
}

export const clientsOf = (snapshot: ClusterSnapshot): readonly ClientJson[] =>
  listClients(snapshot).map(jsonOf);

export const clientOf = (snapshot: ClusterSnapshot, name: string): ClientJson => {
  const found = clientsOf(snapshot).find((client) => client.name === name);
  if (found === undefined) throw new AdminError('ERR_ADMIN_UNKNOWN', `There is no client "${name}".`);
  return found;
};

const jsonOf = (entry: ClientEntry): ClientJson => ({
  id: entry.name,
  name: entry.name,
  email: entry.email,
  enable: entry.state !== 'disabled',
  state: entry.state,
  faults: entry.faults,
  address: entry.addresses,
  publicKey: entry.publicKey,
  hasPresharedKey: entry.hasPresharedKey,
  persistentKeepalive: entry.persistentKeepalive,
  expires: entry.expires,
  allow: entry.allow,
  tags: entry.tags,
  created: entry.created,
});
