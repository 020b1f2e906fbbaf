/**
 * CoreDNS, for a cluster that has none, or beside the one it has: names of the cluster at a fixed address that pods, nodes and
 * every device of the mesh reach.
 * Source: Kubernetes' DNS-based service discovery, version 1.1.0; CoreDNS' plugins kubernetes, forward, cache, loop and ready;
 * the CoreDNS add-on of Kubernetes, whose Service is called kube-dns.
 * @module
 */
import { LABELS } from './access.ts';
import { type Described, slot, when } from './template.ts';

const NAME = 'kilowire-dns';
const SELECTOR = { ...LABELS, 'app.kubernetes.io/component': 'dns' };
const METADATA: Described = { name: NAME, namespace: slot('namespace'), labels: SELECTOR };
const CLUSTER_METADATA: Described = { name: NAME, labels: SELECTOR };

/** Above 1023: whoever listens there needs no capability. */
const PORT = 5353;

// CoreDNS itself fills in {$…}, from the environment.
const COREFILE = `.:${PORT} {
    errors
    health :8080
    ready :8181
    kubernetes {$CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
`;

const account: Described = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: METADATA };

const role: Described = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: CLUSTER_METADATA,
  rules: [
    { apiGroups: [''], resources: ['services', 'namespaces'], verbs: ['list', 'watch'] },
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
  ],
};

const binding: Described = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: CLUSTER_METADATA,
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: NAME },
  subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: slot('namespace') }],
};

const configMap: Described = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: METADATA,
  data: { Corefile: COREFILE },
};

const container: Described = {
  name: 'coredns',
  image: slot('dns.image'),
  imagePullPolicy: slot('imagePullPolicy'),
  args: ['-conf', '/etc/coredns/Corefile'],
  env: [{ name: 'CLUSTER_DOMAIN', value: slot('dns.domain') }],
  ports: [
    { name: 'dns', containerPort: PORT, protocol: 'UDP' },
    { name: 'dns-tcp', containerPort: PORT, protocol: 'TCP' },
    { name: 'metrics', containerPort: 9153, protocol: 'TCP' },
  ],
  readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 5 },
  livenessProbe: {
    httpGet: { path: '/health', port: 8080 },
    initialDelaySeconds: 60,
    timeoutSeconds: 5,
    failureThreshold: 5,
  },
  resources: slot('dns.resources'),
  securityContext: {
    runAsNonRoot: true,
    runAsUser: 65532,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    // The file in the image carries this one, and is not executed where it is out of reach.
    capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
  },
  volumeMounts: [{ name: 'config', mountPath: '/etc/coredns', readOnly: true }],
};

const deployment: Described = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: METADATA,
  spec: {
    replicas: slot('dns.replicas'),
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
    selector: { matchLabels: SELECTOR },
    template: {
      metadata: { labels: SELECTOR },
      spec: {
        serviceAccountName: NAME,
        priorityClassName: 'system-cluster-critical',
        // Other names go where the node's own go.
        dnsPolicy: 'Default',
        nodeSelector: { 'kubernetes.io/os': 'linux' },
        tolerations: [
          { key: 'CriticalAddonsOnly', operator: 'Exists' },
          { key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule' },
        ],
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: slot('topologyLabel'),
            whenUnsatisfiable: 'ScheduleAnyway',
            labelSelector: { matchLabels: SELECTOR },
          },
        ],
        containers: [container],
        volumes: [{ name: 'config', configMap: { name: NAME } }],
      },
    },
  },
};

const service: Described = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: slot('dns.service'), namespace: slot('namespace'), labels: SELECTOR },
  spec: {
    clusterIP: slot('dns.address'),
    selector: SELECTOR,
    ports: [
      { name: 'dns', port: 53, protocol: 'UDP', targetPort: 'dns' },
      { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 'dns-tcp' },
      { name: 'metrics', port: 9153, protocol: 'TCP', targetPort: 'metrics' },
    ],
  },
};

export const dns: Readonly<Record<string, Described>> = {
  'dns-service-account': when('dns.enabled', account),
  'dns-cluster-role': when('dns.enabled', role),
  'dns-cluster-role-binding': when('dns.enabled', binding),
  'dns-config-map': when('dns.enabled', configMap),
  'dns-deployment': when('dns.enabled', deployment),
  'dns-service': when('dns.enabled', service),
};
