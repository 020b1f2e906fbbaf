/**
 * The clients as the page asks of them and changes them: read from the cluster each time, with the access of who
 * started us.
 * Source: wg-gen-web's REST interface (names of fields); a private key has no field here.
 * @module
 */
import { AdminError } from '../admin/admin-error.ts';
import { checkPools, occupiedBy } from '../admin/clients/address-pool.ts';
import type { ClientChange, ClientRequest } from '../admin/clients/client.ts';
import type { ClientConf } from '../admin/clients/client-conf.ts';
import { type ClientEntry, listClients } from '../admin/clients/client-list.ts';
import { addClient, changeClient, readPools, removeClient } from '../admin/clients/client-store.ts';
import { type ClusterSnapshot, readCluster } from '../admin/cluster-snapshot.ts';
import { type GranularityFlag, type Mesh, meshOf } from '../admin/mesh.ts';
import type { KubernetesClient } from '../agent/kubernetes/client.ts';

export interface ClientBookOptions {
  readonly client: KubernetesClient;
  readonly topologyLabel: string;
  readonly granularity: GranularityFlag;
  /** Puts a client's file together, with a placeholder for the private key. */
  readonly file: (snapshot: ClusterSnapshot, name: string) => Promise<ClientConf>;
}

/** A client under wg-gen-web's names. */
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

export class ClientBook {
  readonly #options: ClientBookOptions;

  constructor(options: ClientBookOptions) {
    this.#options = options;
  }

  async list(): Promise<readonly ClientJson[]> {
    return listClients(await this.#snapshot()).map(jsonOf);
  }

  async find(name: string): Promise<ClientJson> {
    return found(await this.#snapshot(), name);
  }

  /** @throws AdminError when name, key or address are taken. */
  async add(request: Omit<ClientRequest, 'pools'>): Promise<ClientJson> {
    const { client, topologyLabel } = this.#options;
    const mesh = await this.#mesh();
    const pools = await readPools(client);
    checkPools(pools, occupiedBy(mesh.snapshot, mesh.subnet));
    return found(await addClient(client, { ...request, pools }, topologyLabel), request.name);
  }

  async change(name: string, change: ClientChange): Promise<ClientJson> {
    await changeClient(this.#options.client, name, change);
    return await this.find(name);
  }

  async remove(name: string): Promise<void> {
    await removeClient(this.#options.client, name);
  }

  /** Its file, with a placeholder for the private key. */
  async file(name: string): Promise<ClientConf> {
    return await this.#options.file(await this.#snapshot(), name);
  }

  #snapshot(): Promise<ClusterSnapshot> {
    return readCluster(this.#options.client, this.#options.topologyLabel);
  }

  async #mesh(): Promise<Mesh> {
    return await meshOf(await this.#snapshot(), { granularity: this.#options.granularity });
  }
}

const found = (snapshot: ClusterSnapshot, name: string): ClientJson => {
  const entry = listClients(snapshot).find((client) => client.name === name);
  if (entry === undefined) throw new AdminError('ERR_ADMIN_UNKNOWN', `There is no client "${name}".`);
  return jsonOf(entry);
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
