/**
 * The objects for kubectl: what Kubernetes wants of them, and what may be set.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { manifests, VARIANTS } from '../../../src/deploy/manifests.ts';
import { parseSetting, SETTINGS } from '../../../src/deploy/settings.ts';

type Json = Readonly<Record<string, unknown>>;
interface Container {
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}
interface DaemonSet {
  readonly spec: {
    readonly selector: { readonly matchLabels: Json };
    readonly updateStrategy: { readonly type: string };
    readonly template: {
      readonly metadata: { readonly labels: Json };
      readonly spec: {
        readonly hostNetwork: boolean;
        readonly containers: readonly Container[];
        readonly volumes: readonly { readonly name: string }[];
      };
    };
  };
}
interface Thing {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

const objectsOf = (text: string): Thing[] =>
  parseAllDocuments(text).map((document) => document.toJS() as Thing);
const make = (kind: string, ...settings: string[]): Thing[] =>
  objectsOf(manifests(kind, Object.fromEntries(settings.map(parseSetting))));
const find = <Kind>(things: readonly Thing[], kind: string, name: string): Kind => {
  const found = things.find((thing) => thing.kind === kind && thing.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found as Kind;
};
const agentOf = (things: readonly Thing[]): Container => {
  const [container] = find<DaemonSet>(things, 'DaemonSet', 'kilowire-agent').spec.template.spec.containers;
  if (container === undefined) throw new Error('no container');
  return container;
};

describe.each(Object.keys(VARIANTS))('the objects for %s', (kind) => {
  const things = make(kind);

  it('are the definition of Peers, an account with its role, a policy, and two daemons', () => {
    expect(things.map((thing) => `${thing.kind} ${thing.metadata.name}`)).toEqual([
      'CustomResourceDefinition peers.kilo.squat.ai',
      'ServiceAccount kilowire',
      'ClusterRole kilowire',
      'ClusterRoleBinding kilowire',
      'ValidatingAdmissionPolicy kilowire-own-node',
      'ValidatingAdmissionPolicyBinding kilowire-own-node',
      'DaemonSet kilowire-device',
      'DaemonSet kilowire-agent',
    ]);
  });

  it.each(['kilowire-agent', 'kilowire-device'])(
    '%s selects its own pods, and mounts only what it has',
    (name) => {
      const { selector, template } = find<DaemonSet>(things, 'DaemonSet', name).spec;
      expect(template.metadata.labels).toEqual(selector.matchLabels);
      expect(template.spec.hostNetwork).toBe(true);
      const volumes = template.spec.volumes.map((volume) => volume.name).toSorted();
      const mounts = template.spec.containers.flatMap(({ volumeMounts }) =>
        volumeMounts.map((each) => each.name),
      );
      expect(mounts.toSorted()).toEqual(volumes);
    },
  );

  it('hold no text that was meant to be replaced', () => {
    expect(manifests(kind)).not.toMatch(/@@|undefined|\[object|\{\{/);
  });
});

describe('the agent', () => {
  it('of k3s finds the API at the node’s own load balancer, and serves the pods', () => {
    const { args, env } = agentOf(make('k3s'));
    expect(env.find(({ name }) => name === 'KUBERNETES_SERVICE_HOST')?.value).toBe('127.0.0.1');
    expect(env.find(({ name }) => name === 'KUBERNETES_SERVICE_PORT')?.value).toBe('6444');
    expect(args).toContain('--cni=true');
    expect(args).toContain('--cni-bin-dir=/opt/cni/bin');
  });

  it('beside flannel leaves the pods and the way inside a location to it', () => {
    const { args, volumeMounts } = agentOf(make('k3s-flannel'));
    expect(args).toEqual(expect.arrayContaining(['--cni=false', '--compatibility=flannel', '--local=false']));
    expect(args.filter((arg) => arg.startsWith('--cni-bin-dir'))).toEqual([]);
    expect(volumeMounts.map(({ mountPath }) => mountPath)).not.toContain('/opt/cni/bin');
  });

  it('of kubeadm finds the API by its Service', () => {
    expect(agentOf(make('kubeadm')).env.map(({ name }) => name)).toEqual(['NODE_NAME']);
  });

  it('does not take its routes away when it is upgraded', () => {
    expect(agentOf(make('k3s')).args).toContain('--clean-up=false');
  });
});

describe('the page', () => {
  it('is served by nobody unless it is asked for', () => {
    expect(manifests('k3s')).not.toContain('--ui-');
  });

  it('is served to the node without a token, and to others with one', () => {
    expect(agentOf(make('k3s', 'ui.listen=127.0.0.1:8107')).args).toContain('--ui-listen=127.0.0.1:8107');
    const things = make('k3s', 'ui.listen=:8107', 'ui.tokenSecret=the-page');
    expect(agentOf(things).args).toContain('--ui-token-file=/run/kilowire-ui/token');
    expect(agentOf(things).volumeMounts).toContainEqual({
      name: 'ui-token',
      mountPath: '/run/kilowire-ui',
      readOnly: true,
    });
    const { volumes } = find<DaemonSet>(things, 'DaemonSet', 'kilowire-agent').spec.template.spec;
    // 256 is 0400, as the API wants it.
    expect(volumes).toContainEqual({
      name: 'ui-token',
      secret: { secretName: 'the-page', defaultMode: 256 },
    });
    for (const open of [':8107', '0.0.0.0:8107', '10.0.0.1:8107', '[::]:8107'])
      expect(() => make('k3s', `ui.listen=${open}`)).toThrow('ui.tokenSecret');
  });
});

describe('CoreDNS', () => {
  interface Deployment {
    readonly spec: {
      readonly replicas: number;
      readonly selector: { readonly matchLabels: Json };
      readonly template: {
        readonly metadata: { readonly labels: Json };
        readonly spec: {
          readonly containers: readonly (Container & {
            readonly image: string;
            readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
          })[];
        };
      };
    };
  }
  interface Service {
    readonly spec: {
      readonly clusterIP: string;
      readonly selector: Json;
      readonly ports: readonly { readonly port: number; readonly targetPort: string }[];
    };
  }

  it('comes when it is asked for, as the Service that every k3s and kubeadm has', () => {
    const things = make('k3s', 'dns.enabled=true');
    const added = things.slice(make('k3s').length);
    expect(added.map(({ kind, metadata: { name } }) => `${kind} ${name}`)).toEqual([
      'ServiceAccount kilowire-dns',
      'ClusterRole kilowire-dns',
      'ClusterRoleBinding kilowire-dns',
      'ConfigMap kilowire-dns',
      'Deployment kilowire-dns',
      'Service kube-dns',
    ]);
    const { spec } = find<Service>(things, 'Service', 'kube-dns');
    const { template, selector } = find<Deployment>(things, 'Deployment', 'kilowire-dns').spec;
    expect(spec.clusterIP).toBe('10.43.0.10');
    expect(spec.selector).toEqual(template.metadata.labels);
    expect(selector.matchLabels).toEqual(template.metadata.labels);
    const names = template.spec.containers[0]?.ports.map(({ name }) => name);
    expect(spec.ports.map(({ targetPort }) => targetPort)).toEqual(names);
    expect(spec.ports.map(({ port }) => port)).toEqual([53, 53, 9153]);
  });

  it('comes alone, too', () => {
    const alone = objectsOf(manifests('kubeadm', {}, 'dns'));
    expect(alone).toEqual(make('kubeadm', 'dns.enabled=true').slice(make('kubeadm').length));
    expect(alone).toHaveLength(6);
  });

  it('may see no Secret, no Pod and no Node, and change nothing', () => {
    const { rules } = find<{ rules: readonly { readonly resources: string[]; readonly verbs: string[] }[] }>(
      make('k3s', 'dns.enabled=true'),
      'ClusterRole',
      'kilowire-dns',
    );
    expect(rules.flatMap(({ resources }) => resources)).toEqual(['services', 'namespaces', 'endpointslices']);
    expect([...new Set(rules.flatMap(({ verbs }) => verbs))]).toEqual(['list', 'watch']);
  });

  it('stands beside another one at an address and a name of its own', () => {
    const things = make(
      'k3s',
      ...['dns.enabled=true', 'dns.service=mesh-dns', 'dns.address=10.43.0.53', 'dns.domain=corp.test'],
    );
    expect(find<Service>(things, 'Service', 'mesh-dns').spec.clusterIP).toBe('10.43.0.53');
    const [container] = find<Deployment>(things, 'Deployment', 'kilowire-dns').spec.template.spec.containers;
    expect(container?.env).toEqual([{ name: 'CLUSTER_DOMAIN', value: 'corp.test' }]);
    // CoreDNS fills it in.
    const { data } = find<{ data: { Corefile: string } }>(things, 'ConfigMap', 'kilowire-dns');
    expect(data.Corefile).toContain('kubernetes {$CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {');
    expect(data.Corefile).toContain(`.:${container?.ports[0]?.containerPort} {`);
  });

  it('of kubeadm is where its kubelets say', () => {
    const service = find<Service>(make('kubeadm', 'dns.enabled=true'), 'Service', 'kube-dns');
    expect(service.spec.clusterIP).toBe('10.96.0.10');
  });
});

describe('a setting', () => {
  it('goes where it belongs', () => {
    const things = make('k3s', 'subnet=10.8.0.0/16', 'interface=wg7', 'serviceCIDR=10.96.0.0/12,fd00::/108');
    const { args } = agentOf(things);
    expect(args).toEqual(
      expect.arrayContaining([
        '--subnet=10.8.0.0/16',
        '--interface=wg7',
        '--service-cidr=10.96.0.0/12,fd00::/108',
      ]),
    );
    const device = find<DaemonSet>(things, 'DaemonSet', 'kilowire-device').spec.template.spec.containers[0];
    expect(device?.args).toEqual(['wg7']);
  });

  it('adds flags at the end', () => {
    expect(
      agentOf(make('k3s', 'agent.extraArgs=--resync-period=10s,--check-in=false')).args.slice(-2),
    ).toEqual(['--resync-period=10s', '--check-in=false']);
  });

  it('leaves the policy out for a cluster that does not know it', () => {
    const kinds = make('k3s', 'admissionPolicy=false').map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind.startsWith('ValidatingAdmission'))).toEqual([]);
  });

  it('puts everything into another namespace, also where the policy names the account', () => {
    const things = make('k3s', 'namespace=mesh');
    const without = things.filter(({ metadata }) => metadata.namespace !== undefined);
    expect(new Set(without.map(({ metadata }) => metadata.namespace))).toEqual(new Set(['mesh']));
    expect(manifests('k3s', { namespace: 'mesh' })).toContain('system:serviceaccount:mesh:kilowire');
  });

  it.each([
    ['colour=red', 'There is no setting "colour"'],
    ['subnet', '"subnet" is not NAME=VALUE'],
    ['port=99999', 'port: "99999" is not a number from 1 to 65535'],
    ['port=many', 'port: "many" is not a number'],
    ['local=maybe', 'local: "maybe" is not a boolean'],
    ['meshGranularity=star', 'meshGranularity: "star" is not one of "location", "full", "cross"'],
    ['agent.resources=lots', 'agent.resources: "lots" is not a JSON object'],
    ['interface=a b', 'interface: "a b" is not what'],
  ])('%s is refused in one sentence', (text, why) => {
    expect(() => make('k3s', text)).toThrow(why);
  });

  it.each(Object.entries(SETTINGS))(
    '%s is described in a sentence, and its default is allowed',
    (_, setting) => {
      expect(setting.description).toMatch(/^[A-Z].*\.$/);
      if (setting.oneOf !== undefined) expect(setting.oneOf).toContain(setting.default);
      if (setting.pattern !== undefined) expect(String(setting.default)).toMatch(new RegExp(setting.pattern));
    },
  );

  it('of an unknown kind of cluster names the known ones', () => {
    expect(() => manifests('openshift')).toThrow(/There is no variant "openshift"; there are: k3s, /);
  });
});
