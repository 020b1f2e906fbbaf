/**
 * The certificates and kubeconfigs of a cluster, as files of each node, under the names that k3s gives them.
 * @module
 */
import { CertificateAuthority, type Identity, makeKey } from './certificate.ts';
import { networks, nodeAddress, paths } from './layout.ts';

/** Path → text. */
export type Files = Readonly<Record<string, string>>;

export const nodeName = (index: number): string => `n${index}`;

const pair = (path: string, { certificate, key }: Identity): Files => ({
  [`${path}.crt`]: certificate,
  [`${path}.key`]: key,
});

export class Credentials {
  readonly #server = new CertificateAuthority('k3s-server-ca');
  readonly #client = new CertificateAuthority('k3s-client-ca');
  readonly #requestHeader = new CertificateAuthority('k3s-request-header-ca');
  readonly #admin = this.#client.client({ name: 'system:admin', organization: 'system:masters' });
  readonly #proxy = this.#client.client({ name: 'system:kube-proxy' });

  /** The cluster's administrator, where the API server is this machine's own. */
  adminKubeconfig(): string {
    return this.#kubeconfig('https://127.0.0.1:6443', this.#admin);
  }

  ofServer(): Files {
    const { tls } = paths;
    const hosts = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
    const addresses = ['127.0.0.1', nodeAddress(0), networks.apiService];
    const domain = 'kubernetes.default.svc.cluster.local';
    const api = this.#server.server('kube-apiserver', [...hosts, domain, 'localhost', ...addresses]);
    const kubelets = { name: 'system:apiserver', organization: 'system:masters' };
    const controller = this.#client.client({ name: 'system:kube-controller-manager' });
    const scheduler = this.#client.client({ name: 'system:kube-scheduler' });
    const home = 'https://127.0.0.1:6443';
    return {
      ...pair(`${tls}/server-ca`, this.#server),
      ...pair(`${tls}/client-ca`, this.#client),
      ...pair(`${tls}/request-header-ca`, this.#requestHeader),
      ...pair(`${tls}/serving-kube-apiserver`, api),
      ...pair(`${tls}/client-admin`, this.#admin),
      ...pair(`${tls}/client-kube-apiserver`, this.#client.client(kubelets)),
      ...pair(`${tls}/client-auth-proxy`, this.#requestHeader.client({ name: 'system:auth-proxy' })),
      [`${tls}/service.key`]: makeKey(),
      [`${tls}/controller.kubeconfig`]: this.#kubeconfig(home, controller),
      [`${tls}/scheduler.kubeconfig`]: this.#kubeconfig(home, scheduler),
      [paths.adminKubeconfig]: this.adminKubeconfig(),
    };
  }

  ofNode(index: number): Files {
    const name = nodeName(index);
    const { agent } = paths;
    // An agent of k3s speaks to its own load balancer, the server's own part to the API server beside it.
    const api = index === 0 ? 'https://127.0.0.1:6443' : 'https://127.0.0.1:6444';
    const kubelet = this.#client.client({ name: `system:node:${name}`, organization: 'system:nodes' });
    const serving = this.#server.server(name, [name, 'localhost', '127.0.0.1', nodeAddress(index)]);
    return {
      [`${agent}/server-ca.crt`]: this.#server.certificate,
      [`${agent}/client-ca.crt`]: this.#client.certificate,
      ...pair(`${agent}/serving-kubelet`, serving),
      [paths.kubeletKubeconfig]: this.#kubeconfig(api, kubelet),
      [paths.proxyKubeconfig]: this.#kubeconfig(api, this.#proxy),
    };
  }

  #kubeconfig(server: string, { certificate, key }: Identity): string {
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const name = 'default';
    const cluster = { server, 'certificate-authority-data': base64(this.#server.certificate) };
    const user = { 'client-certificate-data': base64(certificate), 'client-key-data': base64(key) };
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name, cluster }],
      users: [{ name, user }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      'current-context': name,
    });
  }
}
