/**
 * Where k3s keeps things, and the networks of the cluster: what everything here agrees on.
 * Source: k3s' documentation (data directory /var/lib/rancher/k3s, its default networks) and its agent's configuration.
 * @module
 */

const data = '/var/lib/rancher/k3s';

export const paths = {
  agent: `${data}/agent`,
  tls: `${data}/server/tls`,
  database: `${data}/server/db`,
  adminKubeconfig: '/etc/rancher/k3s/k3s.yaml',
  kubeletKubeconfig: `${data}/agent/kubelet.kubeconfig`,
  proxyKubeconfig: `${data}/agent/kubeproxy.kubeconfig`,
  containerdConfig: `${data}/agent/etc/containerd/config.toml`,
  containerdSocket: '/run/k3s/containerd/containerd.sock',
  kubeletConfig: `${data}/agent/etc/kubelet.yaml`,
} as const;

/** Ranges of a family each; the second is used by clusters with both. */
export const networks = {
  pods: ['10.42.0.0/16', 'fd42::/48'],
  services: ['10.43.0.0/16', 'fd43::/112'],
  /** Of the API inside the cluster. */
  apiService: '10.43.0.1',
  dns: '10.43.0.10',
} as const;

/** Every container's image, the pause container's too: busybox, which sleeps when it is told nothing else. */
export const image = 'docker.io/kilowire/busybox:1';
/** What a container runs to serve its host name by HTTP, at /cgi-bin/name. */
export const webCommand = ['/bin/httpd', '-f', '-p', '80', '-h', '/www'];

/** Between the nodes; `index` 0 is the server. */
export const nodeAddress = (index: number): string => `10.77.0.${10 + index}`;
export const nodeAddress6 = (index: number): string => `fd77::${10 + index}`;
export const wanAddress = '10.77.0.1';

/** Folders of CNI executables and configurations. */
export interface CniFolders {
  readonly executables: string;
  readonly configuration: string;
}
