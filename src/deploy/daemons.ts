/**
 * The two programs of every node. The device is a pod of its own, because a tunnel should outlive whatever configures it; the
 * agent finds it by its control socket.
 * Source: Kubernetes DaemonSet (apps/v1); Kilo's userspace manifests, whose shape this has.
 * @module
 */
import { ACCOUNT, LABELS } from './access.ts';
import { type Described, joined, slot, spread, text, when } from './template.ts';

const host = (name: string, path: Described, type: string): Described => ({
  name,
  hostPath: { path, type },
});
const mount = (name: string, mountPath: Described, readOnly = false): Described =>
  readOnly ? { name, mountPath, readOnly } : { name, mountPath };

const NODE_NAME: Described = { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } };
const EVERYWHERE: Described = [
  { effect: 'NoSchedule', operator: 'Exists' },
  { effect: 'NoExecute', operator: 'Exists' },
];

interface DaemonShape {
  readonly name: string;
  readonly updateStrategy: Described;
  readonly pod: { readonly [name: string]: Described };
}

const daemonSet = ({ name, updateStrategy, pod }: DaemonShape): Described => {
  const labels = { ...LABELS, 'app.kubernetes.io/component': name };
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: `kilowire-${name}`, namespace: slot('namespace'), labels },
    spec: {
      selector: { matchLabels: labels },
      updateStrategy,
      template: {
        metadata: { labels },
        spec: {
          hostNetwork: true,
          priorityClassName: slot('priorityClassName'),
          tolerations: EVERYWHERE,
          ...pod,
        },
      },
    },
  };
};

const TOKEN_DIRECTORY = '/run/kilowire-ui';

const agentFlags: readonly Described[] = [
  'agent',
  '--hostname=$(NODE_NAME)',
  '--create-interface=false',
  text`--interface=${slot('interface')}`,
  text`--mesh-granularity=${slot('meshGranularity')}`,
  text`--encapsulate=${slot('encapsulate')}`,
  text`--subnet=${slot('subnet')}`,
  text`--service-cidr=${joined('serviceCIDR')}`,
  text`--port=${slot('port')}`,
  text`--mtu=${slot('mtu')}`,
  text`--topology-label=${slot('topologyLabel')}`,
  text`--cni=${slot('cni.enabled')}`,
  text`--cni-path=${slot('cni.confDir')}/10-kilo.conflist`,
  when('cni.enabled', text`--cni-bin-dir=${slot('cni.binDir')}`),
  text`--compatibility=${slot('compatibility')}`,
  text`--local=${slot('local')}`,
  text`--clean-up=${slot('agent.cleanUp')}`,
  text`--log-level=${slot('agent.logLevel')}`,
  when('agent.leaseHeartbeat', '--heartbeat=lease'),
  when('ui.listen', text`--ui-listen=${slot('ui.listen')}`),
  when('ui.tokenSecret', `--ui-token-file=${TOKEN_DIRECTORY}/token`),
  spread('agent.extraArgs'),
];

const health = (initialDelaySeconds: number, failureThreshold: number): Described => ({
  httpGet: { path: '/health', port: 'metrics' },
  initialDelaySeconds,
  periodSeconds: 10,
  timeoutSeconds: 5,
  failureThreshold,
});

const agent = daemonSet({
  name: 'agent',
  updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '10%' } },
  pod: {
    serviceAccountName: ACCOUNT,
    containers: [
      {
        name: 'agent',
        image: slot('image'),
        imagePullPolicy: slot('imagePullPolicy'),
        command: ['/kilowire/bin/kilowire'],
        args: agentFlags,
        env: [
          NODE_NAME,
          when('apiServer.host', { name: 'KUBERNETES_SERVICE_HOST', value: slot('apiServer.host') }),
          when('apiServer.host', {
            name: 'KUBERNETES_SERVICE_PORT',
            value: text`${slot('apiServer.port')}`,
          }),
        ],
        ports: [{ name: 'metrics', containerPort: 1107 }],
        readinessProbe: health(1, 1),
        livenessProbe: health(30, 6),
        resources: slot('agent.resources'),
        // Routes, rules and /proc/sys/net are the node's own.
        securityContext: { privileged: true, readOnlyRootFilesystem: true },
        volumeMounts: [
          mount('state', '/var/lib/kilo'),
          mount('sockets', '/var/run/wireguard'),
          mount('xtables-lock', '/run/xtables.lock'),
          when('cni.enabled', mount('cni-conf', slot('cni.confDir'))),
          when('cni.enabled', mount('cni-bin', slot('cni.binDir'))),
          when('ui.tokenSecret', mount('ui-token', TOKEN_DIRECTORY, true)),
        ],
      },
    ],
    volumes: [
      host('state', '/var/lib/kilo', 'DirectoryOrCreate'),
      host('sockets', '/var/run/wireguard', 'DirectoryOrCreate'),
      host('xtables-lock', '/run/xtables.lock', 'FileOrCreate'),
      when('cni.enabled', host('cni-conf', slot('cni.confDir'), 'DirectoryOrCreate')),
      when('cni.enabled', host('cni-bin', slot('cni.binDir'), 'DirectoryOrCreate')),
      when('ui.tokenSecret', {
        name: 'ui-token',
        secret: { secretName: slot('ui.tokenSecret'), defaultMode: 0o400 },
      }),
    ],
  },
});

const device = daemonSet({
  name: 'device',
  // A new pod beside the old one, so that it can take the interface over from it.
  updateStrategy: {
    type: slot('device.updateStrategy'),
    rollingUpdate: { maxSurge: 1, maxUnavailable: 0 },
  },
  pod: {
    automountServiceAccountToken: false,
    // A take-over asks the kernel who is at the other end.
    hostPID: true,
    terminationGracePeriodSeconds: 10,
    containers: [
      {
        name: 'device',
        image: slot('image'),
        imagePullPolicy: slot('imagePullPolicy'),
        command: ['/kilowire/bin/kilowire-pod'],
        args: [slot('interface')],
        env: [{ name: 'LOG_LEVEL', value: slot('device.logLevel') }],
        readinessProbe: {
          exec: { command: ['/kilowire/bin/kilowire-pod', '--ready', slot('interface')] },
          periodSeconds: 5,
        },
        resources: slot('device.resources'),
        securityContext: { privileged: true, readOnlyRootFilesystem: true },
        volumeMounts: [
          mount('sockets', '/var/run/wireguard'),
          mount('tun', '/dev/net/tun'),
          mount('pod', '/run/kilowire'),
        ],
      },
    ],
    volumes: [
      host('sockets', '/var/run/wireguard', 'DirectoryOrCreate'),
      host('tun', '/dev/net/tun', 'CharDevice'),
      { name: 'pod', emptyDir: { medium: 'Memory' } },
    ],
  },
});

const podMonitor: Described = {
  apiVersion: 'monitoring.coreos.com/v1',
  kind: 'PodMonitor',
  metadata: { name: 'kilowire', namespace: slot('namespace'), labels: LABELS },
  spec: {
    selector: { matchLabels: { ...LABELS, 'app.kubernetes.io/component': 'agent' } },
    podMetricsEndpoints: [{ port: 'metrics', interval: '15s' }],
  },
};

export const daemons: Readonly<Record<string, Described>> = {
  'daemonset-device': device,
  'daemonset-agent': agent,
  'pod-monitor': when('podMonitor', podMonitor),
};
