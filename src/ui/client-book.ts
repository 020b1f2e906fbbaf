/**
 * The clients as the page asks of them and changes them: read from the cluster each time, with the access of who
 * started us.
 * @module
 */
import { checkPools, occupiedBy } from '../admin/clients/address-pool.ts';
import type { ClientChange, ClientRequest } from '../admin/clients/client.ts';
import type { ClientConf } from '../admin/clients/client-conf.ts';
import { addClient, changeClient, readPools, removeClient } from '../admin/clients/client-store.ts';
import { type ClusterSnapshot, readCluster } from '../admin/cluster-snapshot.ts';
import { type GranularityFlag, type Mesh, meshOf } from '../admin/mesh.ts';
import type { KubernetesClient } from '../agent/kubernetes/client.ts';
import { type ClientJson, type ClientSource, clientOf, clientsOf } from './client-json.ts';

export interface ClientBookOptions {
  readonly client: KubernetesClient;
  readonly topologyLabel: string;
  readonly granularity: GranularityFlag;
  /** Puts a client's file together, with a placeholder for the private key. */
  readonly file: (snapshot: ClusterSnapshot, name: string) => Promise<ClientConf>;
}

export class ClientBook implements ClientSource {
  readonly #options: ClientBookOptions;

  constructor(options: ClientBookOptions) {
    this.#options = options;
  }

  async list(): Promise<readonly ClientJson[]> {
    return clientsOf(await this.#snapshot());
  }

  async find(name: string): Promise<ClientJson> {
    return clientOf(await this.#snapshot(), name);
  }

  /** @throws AdminError when name, key or address are taken. */
  async add(request: Omit<ClientRequest, 'pools'>): Promise<ClientJson> {
    const { client, topologyLabel } = this.#options;
    const mesh = await this.#mesh();
    const pools = await readPools(client);
    checkPools(pools, occupiedBy(mesh.snapshot, mesh.subnet));
    return clientOf(await addClient(client, { ...request, pools }, topologyLabel), request.name);
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
