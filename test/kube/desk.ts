/**
 * An administrator at a desk outside of a cluster: the API is reached from there and nothing of the mesh, with an account that
 * has the rights it is given and no others.
 * @module
 */
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import type { Status } from '../../src/admin/status.ts';
import { root } from '../netns/host.ts';
import type { KubeCluster } from './cluster.ts';
import { paths } from './layout.ts';
import type { Machine } from './machine.ts';

const KUBECONFIG = '/run/desk.kubeconfig';
const NAMESPACE = ['-n', 'kube-system'];

export class Desk {
  readonly #machine: Machine;

  private constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** `rights`: YAML of roles, of the cluster or of kube-system. */
  static async make(cluster: KubeCluster, rights: string): Promise<Desk> {
    const roles = parseAllDocuments(rights).map((each) => each.toJS() as Named);
    await cluster.apply(roles);
    await cluster.kubectl(...NAMESPACE, 'create', 'serviceaccount', 'desk');
    for (const { kind, metadata } of roles) {
      const [verb, role] =
        kind === 'Role' ? ['rolebinding', '--role'] : ['clusterrolebinding', '--clusterrole'];
      const account = '--serviceaccount=kube-system:desk';
      await cluster.kubectl(...NAMESPACE, 'create', verb, 'desk', `${role}=${metadata.name}`, account);
    }
    const token = (await cluster.kubectl(...NAMESPACE, 'create', 'token', 'desk')).trim();
    const machine = await cluster.addGuest('desk');
    const config = parse(await machine.exec('cat', paths.adminKubeconfig)) as { users: object[] };
    const users = config.users.map((each) => ({ ...each, user: { token } }));
    const text = JSON.stringify({ ...config, users });
    await machine.exec('sh', '-c', `printf %s "$1" > ${KUBECONFIG}`, 'sh', text);
    return new Desk(machine);
  }

  async status(...flags: readonly string[]): Promise<Status> {
    const command = [join(root, 'bin/kilowire'), 'status', '--agents', '-o', 'json', ...flags];
    // 1: something is wrong, which the answer tells.
    const ended = ['sh', '-c', '"$@" || [ $? = 1 ]', 'sh', ...command, '--kubeconfig', KUBECONFIG];
    return JSON.parse(await this.#machine.exec(...ended)) as Status;
  }
}

interface Named {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}
