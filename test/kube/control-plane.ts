/**
 * The control plane on the server: kine, API server, controller manager, scheduler, with the arguments that k3s gives
 * them where it matters.
 * @module
 */
import type { KubeBinaries } from './binaries.ts';
import { networks, paths } from './layout.ts';
import type { Machine } from './machine.ts';

const datastore = 'http://127.0.0.1:2379';

/** `--name=value` of each. */
const flags = (values: Readonly<Record<string, string>>): string[] =>
  Object.entries(values).map(([name, value]) => `--${name}=${value}`);

export function startDatastore(server: Machine, { kine }: KubeBinaries): void {
  const options = '_journal=WAL&cache=shared&_busy_timeout=30000&_txlock=immediate';
  const endpoint = `sqlite://${paths.database}/state.db?${options}`;
  const listen = datastore.replace('http', 'tcp');
  const values = { endpoint, 'listen-address': listen, 'metrics-bind-address': '0' };
  server.start('kine', kine, ...flags(values));
}

/** `families` is 1 for IPv4, 2 for both. */
export function startApiServer(
  server: Machine,
  { hyperkube }: KubeBinaries,
  families: number,
  more: readonly string[],
): void {
  const { tls } = paths;
  const issuer = 'https://kubernetes.default.svc.cluster.local';
  const values = {
    'advertise-address': server.address,
    'allow-privileged': 'true',
    'anonymous-auth': 'false',
    'api-audiences': `${issuer},k3s`,
    'authorization-mode': 'Node,RBAC',
    'client-ca-file': `${tls}/client-ca.crt`,
    'enable-admission-plugins': 'NodeRestriction',
    'etcd-servers': datastore,
    'kubelet-certificate-authority': `${tls}/server-ca.crt`,
    'kubelet-client-certificate': `${tls}/client-kube-apiserver.crt`,
    'kubelet-client-key': `${tls}/client-kube-apiserver.key`,
    'kubelet-preferred-address-types': 'InternalIP,ExternalIP,Hostname',
    profiling: 'false',
    'proxy-client-cert-file': `${tls}/client-auth-proxy.crt`,
    'proxy-client-key-file': `${tls}/client-auth-proxy.key`,
    'requestheader-allowed-names': 'system:auth-proxy',
    'requestheader-client-ca-file': `${tls}/request-header-ca.crt`,
    'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
    'requestheader-group-headers': 'X-Remote-Group',
    'requestheader-username-headers': 'X-Remote-User',
    'secure-port': '6443',
    'service-account-issuer': issuer,
    'service-account-key-file': `${tls}/service.key`,
    'service-account-signing-key-file': `${tls}/service.key`,
    'service-cluster-ip-range': networks.services.slice(0, families).join(','),
    'tls-cert-file': `${tls}/serving-kube-apiserver.crt`,
    'tls-private-key-file': `${tls}/serving-kube-apiserver.key`,
  };
  server.start('kube-apiserver', hyperkube, 'kube-apiserver', ...flags(values), ...more);
}

/** Once the API server is ready: before that the controller manager gives up. */
export function startControllers(server: Machine, { hyperkube }: KubeBinaries, families: number): void {
  const { tls } = paths;
  const kubeconfigs = (path: string) => ({
    kubeconfig: path,
    'authentication-kubeconfig': path,
    'authorization-kubeconfig': path,
    'bind-address': '127.0.0.1',
    'leader-elect': 'false',
    profiling: 'false',
  });
  const manager = {
    ...kubeconfigs(`${tls}/controller.kubeconfig`),
    'allocate-node-cidrs': 'true',
    'cluster-cidr': networks.pods.slice(0, families).join(','),
    'cluster-signing-cert-file': `${tls}/client-ca.crt`,
    'cluster-signing-key-file': `${tls}/client-ca.key`,
    'root-ca-file': `${tls}/server-ca.crt`,
    'service-account-private-key-file': `${tls}/service.key`,
    'use-service-account-credentials': 'true',
  };
  server.start('kube-controller-manager', hyperkube, 'kube-controller-manager', ...flags(manager));
  const scheduler = kubeconfigs(`${tls}/scheduler.kubeconfig`);
  server.start('kube-scheduler', hyperkube, 'kube-scheduler', ...flags(scheduler));
}
