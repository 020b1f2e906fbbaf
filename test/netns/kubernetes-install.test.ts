/**
 * A real Kubernetes without a network is given ours, as the README says: the image, one manifest, and then it is a cluster
 * across two clouds: pods of both reach each other through WireGuard, Services and kubectl work, names are resolved in pods and
 * on a laptop that joined, agents and devices are replaced under traffic, and an agent can touch no Node but its own.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { MeshSnapshot } from '../../src/ui/mesh-snapshot.ts';
import { buildKubernetes } from '../kube/binaries.ts';
import { clusterObstacle, KubeCluster } from '../kube/cluster.ts';
import { buildCoreDns, coreDnsArchive } from '../kube/coredns.ts';
import { Desk } from '../kube/desk.ts';
import { applyManifests, builtImage, daemonLogs, daemonPods, importImage } from '../kube/kilowire-mesh.ts';
import { addressOf, isReady, unreachable, webPod } from '../kube/kilowire-pods.ts';
import { isTrue, type KubeObject } from '../kube/kubectl.ts';
import { Outside, page } from '../kube/outside.ts';
import { codeBlocks } from '../repo/markdown-blocks.ts';
import { Folder, has, root } from './host.ts';
import { SystemdResolved } from './systemd-resolved.ts';

const obstacle = clusterObstacle() ?? (has('curl') ? undefined : 'not on this machine: curl');
if (obstacle !== undefined) console.log(`skipping Kubernetes: ${obstacle}`);
const binaries = obstacle === undefined ? await buildKubernetes() : undefined;
const image = binaries === undefined ? undefined : builtImage();
const coreDns = image === undefined ? undefined : await buildCoreDns();
const resolved = coreDns === undefined ? undefined : SystemdResolved.find();

const folders = { executables: '/opt/cni/bin', configuration: '/etc/cni/net.d' };
const ask = (address: string): string[] => ['curl', '-s', '-m', '5', `http://${address}/cgi-bin/name`];
/** Sends back what it gets on one connection. */
const ECHO =
  "require('net').createServer((s) => s.on('close', () => process.exit()).on('error', () => {}).pipe(s)).listen(9000)";
/** Sends a byte every 20 ms until it is told to stop, and counts those that come back. */
const CLIENT = `
let [sent, back, longest, last] = [0, 0, 0, 0];
const talk = (socket) => {
  last = Date.now();
  socket.on('data', ({ length }) => {
    back += length;
    longest = Math.max(longest, Date.now() - last);
    last = Date.now();
  });
  const timer = setInterval(() => {
    if (!require('fs').existsSync('/run/complete')) return void (socket.write('.'), sent++);
    clearInterval(timer);
    setTimeout(() => (console.log(JSON.stringify({ sent, back, longest })), socket.destroy()), 5000);
  }, 20);
};
// The other side may not listen yet; what is once connected must stay so.
const connect = () => {
  const again = () => setTimeout(connect, 100);
  const socket = require('net').connect(9000, process.argv[1]);
  socket.once('error', again).once('connect', () => (socket.off('error', again), talk(socket)));
};
connect();
`;
const uidOf = ({ metadata }: KubeObject): string => String(metadata.uid);

describe.skipIf(image === undefined)('a cluster that is given our network', { timeout: 300_000 }, () => {
  let cluster: KubeCluster;
  let pods: readonly KubeObject[] = [];
  const pod = (name: string): KubeObject => {
    const found = pods.find(({ metadata }) => metadata.name === name);
    if (found === undefined) throw new Error(`no pod ${name}`);
    return found;
  };

  beforeAll(async () => {
    if (binaries === undefined || image === undefined) return;
    cluster = await KubeCluster.start({ binaries, nodes: 2, cni: folders, routes: false });
    await importImage(cluster, image);
    for (const { name, index, machine } of cluster.nodes) {
      await cluster.kubectl('label', 'node', name, `topology.kubernetes.io/region=cloud-${index}`);
      // The machines know each other by what stands for public addresses: there is no private network to route.
      const says = [`force-endpoint=${machine.address}:51820`, 'force-internal-ip=-'];
      await cluster.kubectl('annotate', 'node', name, ...says.map((text) => `kilo.squat.ai/${text}`));
    }
  }, 600_000);
  afterAll(() => cluster?.stop());
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.log(await daemonLogs(cluster));
  });

  /** The new pods of a daemon whose old ones were deleted are ready. */
  const replaced = (component: 'agent' | 'device', before: readonly string[]): Promise<void> =>
    cluster.until(`new ${component}s`, async () => {
      const now = await daemonPods(cluster, component);
      return now.length === 2 && now.every((each) => isReady(each) && !before.includes(uidOf(each)));
    });

  test('has no ready node before, and only ready ones after one manifest', async () => {
    expect((await cluster.list('nodes')).some((node) => isTrue(node, 'Ready'))).toBe(false);
    await applyManifests(cluster);
    await cluster.until('the nodes to be ready', async () =>
      (await cluster.list('nodes')).every((node) => isTrue(node, 'Ready')),
    );
    for (const component of ['agent', 'device'] as const)
      await cluster.until(`every ${component} to be ready`, async () => {
        const now = await daemonPods(cluster, component);
        return now.length === 2 && now.every(isReady);
      });
  });

  test('has pods of both clouds that reach each other, through WireGuard', async () => {
    const names = cluster.nodes.flatMap(({ name }) => [`${name}-a`, `${name}-b`]);
    await cluster.apply(names.map((name) => webPod(name, name.slice(0, 2))));
    await cluster.until('the pods', async () => {
      pods = await cluster.list('pods');
      return pods.length === names.length && pods.every(isReady);
    });
    for (const { name, podCIDR } of cluster.nodes)
      expect(
        addressOf(pod(`${name}-a`))
          .split('.')
          .slice(0, 3),
      ).toEqual(podCIDR.split('.').slice(0, 3));
    for (const from of pods) expect(await unreachable(cluster, from, pods)).toBe('');
    const way = await cluster.inNode(0, 'ip', 'route', 'get', addressOf(pod('n1-a')));
    expect(way).toContain('dev kilo0');
  });

  test('has Services, and kubectl reaches into the other cloud', async () => {
    await cluster.apply([
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: {
          type: 'NodePort',
          selector: { app: 'web', node: 'n1' },
          ports: [{ port: 80, nodePort: 30080 }],
          clusterIP: '10.43.0.80',
        },
      },
    ]);
    await cluster.until('the Service', async () =>
      (await cluster.inPod(pod('n0-a'), ...ask('10.43.0.80'))).startsWith('n1-'),
    );
    expect(await cluster.inNode(0, ...ask('10.43.0.80'))).toMatch(/^n1-/);
    expect(await cluster.inNode(0, ...ask('127.0.0.1:30080')).catch(() => 'n1-')).toMatch(/^n1-/);
    expect(await cluster.inNode(1, ...ask(`${cluster.node(0).machine.address}:30080`))).toMatch(/^n1-/);
    expect(await cluster.kubectl('exec', 'n1-a', '--', 'hostname')).toBe('n1-a\n');
    expect(await cluster.kubectl('logs', 'n1-a')).toBe('');
  });

  describe.skipIf(coreDns === undefined)('with CoreDNS', () => {
    let outside: Outside;

    beforeAll(async () => {
      if (coreDns === undefined) return;
      outside = await Outside.make(cluster, resolved);
      const folder = new Folder();
      await importImage(cluster, coreDnsArchive(folder.path, coreDns));
      folder.remove();
      await applyManifests(cluster, 'dns.enabled=true');
    });

    test('resolves names in pods of both clouds', async () => {
      await cluster.until('CoreDNS', async () => {
        const now = await daemonPods(cluster, 'dns');
        return now.length === 2 && now.every(isReady);
      });
      // One in each.
      const places = (await daemonPods(cluster, 'dns')).map(({ spec }) => spec.nodeName);
      expect(places.toSorted()).toEqual(['n0', 'n1']);
      for (const name of ['n0-a', 'n1-a']) {
        const inContainer = (...command: string[]) => cluster.kubectl('exec', name, '--', ...command);
        for (const url of [page, 'http://web/cgi-bin/name'])
          expect(await inContainer('wget', '-q', '-O', '-', url)).toMatch(/^n1-/);
        expect(await inContainer('nslookup', 'www.example.org')).toContain('192.0.2.1');
      }
    });

    test('resolves names on a laptop, by a resolver of ours', async () => {
      await outside.resolveByLoopback();
      outside.connect('--dns', 'local');
      await outside.expectNames();
      await outside.disconnect('INT');
      await outside.expectNoNames();
      expect(await cluster.list('peers.kilo.squat.ai')).toEqual([]);
    });

    test('resolves names on a laptop, by another CoreDNS as docs/clients.md has it', async () => {
      const blocks = codeBlocks(readFileSync(join(root, 'docs/clients.md'), 'utf8'));
      const corefile = blocks.find(({ lines }) => lines.some((line) => line.includes('forward . ')));
      await outside.withOwn(coreDns ?? '', corefile?.lines.join('\n') ?? '', async () => {
        outside.connect('--dns', 'none');
        await outside.expectNames();
        await outside.disconnect('TERM');
      });
      await outside.expectNoNames();
    });

    test.skipIf(resolved === undefined)('resolves names on a laptop, by systemd-resolved', async () => {
      if (resolved === undefined) return;
      await outside.resolveBy(resolved);
      outside.connect();
      await outside.expectNames();
      expect(outside.log).toContain('"by":"systemd-resolved"');
      await outside.disconnect('TERM');
      await outside.expectNoNames();
      expect(await cluster.list('peers.kilo.squat.ai')).toEqual([]);
    });

    test.skipIf(resolved === undefined || !has('wg-quick'))(
      'resolves names by a file for wg-quick',
      async () => {
        const file = '/run/phone.conf';
        await outside.kilowire('client', 'add', 'phone', '--split-dns', '--out', file);
        await outside.wgQuick('up', file);
        await outside.expectNames();
        await outside.wgQuick('down', file);
        await outside.expectNoNames();
        await outside.kilowire('client', 'remove', 'phone');
      },
    );
  });

  test.each(['agent', 'device'] as const)(
    'loses no request while every %s is replaced',
    async (component) => {
      // A device is replaced by one that takes over; agents always one after the other.
      await applyManifests(cluster, 'device.updateStrategy=RollingUpdate');
      const before = (await daemonPods(cluster, component)).map(uidOf);
      const requests =
        'n=0; bad=0; while [ ! -e /run/enough ]; do n=$((n+1)); curl -s -m 20 http://$1/cgi-bin/name | grep -q n1-a || bad=$((bad+1)); done; echo $n $bad';
      await cluster.inNode(0, 'rm', '-f', '/run/enough');
      const asking = cluster.inPod(pod('n0-a'), 'sh', '-c', requests, 'sh', addressOf(pod('n1-a')));
      await cluster.kubectl('-n', 'kube-system', 'rollout', 'restart', `daemonset/kilowire-${component}`);
      await replaced(component, before);
      await cluster.inNode(0, 'touch', '/run/enough');
      const [sent = 0, lost] = (await asking).trim().split(' ').map(Number);
      console.log(`${sent} requests while every ${component} was replaced`);
      expect(sent).toBeGreaterThan(10);
      expect(lost).toBe(0);
    },
  );

  test('breaks no connection while every device goes and comes', async () => {
    const echo = cluster.inPod(pod('n1-a'), 'timeout', '200', process.execPath, '-e', ECHO);
    const client = cluster.inPod(pod('n0-a'), process.execPath, '-e', CLIENT, addressOf(pod('n1-a')));
    const before = await daemonPods(cluster, 'device');
    for (const { metadata } of before) {
      await cluster.kubectl('-n', 'kube-system', 'delete', 'pod', metadata.name);
      await cluster.until('its successor', async () => {
        const now = await daemonPods(cluster, 'device');
        return now.length === 2 && now.every((each) => isReady(each) && each.metadata.name !== metadata.name);
      });
    }
    await replaced('device', before.map(uidOf));
    await cluster.inNode(0, 'touch', '/run/complete');
    const { sent, back, longest } = JSON.parse(await client) as Record<string, number>;
    console.log(`${sent} messages while every device went and came; the longest pause was ${longest} ms`);
    await echo;
    expect(sent).toBeGreaterThan(10);
    expect(back).toBe(sent);
  });

  test('lets an agent change its own Node, and no other', async () => {
    const account = ['create', 'token', 'kilowire', '-n', 'kube-system', '--duration=10m'];
    const bound = ['--bound-object-kind=Node', '--bound-object-name=n0'];
    const token = (await cluster.kubectl(...account, ...bound)).trim();
    const patch = async (node: string, body: object): Promise<string> => {
      const headers = [
        '-H',
        `Authorization: Bearer ${token}`,
        '-H',
        'Content-Type: application/merge-patch+json',
      ];
      const url = `https://127.0.0.1:6444/api/v1/nodes/${node}?dryRun=All`;
      const request = ['-X', 'PATCH', '-d', JSON.stringify(body), '-w', '%{http_code}', '-o', '/dev/null'];
      return await cluster.inNode(0, 'curl', '-sk', '-m', '10', ...headers, ...request, url);
    };
    const annotation = { metadata: { annotations: { 'kilo.squat.ai/last-seen': '1' } } };
    await cluster.until('the policy', async () => (await patch('n1', annotation)) !== '200', 60_000);
    expect(await patch('n1', annotation)).toBe('422');
    expect(await patch('n0', annotation)).toBe('200');
    expect(await patch('n0', { spec: { unschedulable: true } })).toBe('422');
    expect(await patch('n0', { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '' } } })).toBe(
      '422',
    );
  });

  describe('serves the page', () => {
    const blocks = codeBlocks(readFileSync(join(root, 'docs/ui.md'), 'utf8'));
    const commands = blocks.find(({ lines }) => lines.some((line) => line.includes(' port-forward ')))?.lines;

    test('to who may forward a port', async () => {
      const [install = '', forward = ''] = commands ?? [];
      const before = (await daemonPods(cluster, 'agent')).map(uidOf);
      const settings = [...install.matchAll(/--set (\S+)/g)].map(([, setting = '']) => setting);
      await applyManifests(cluster, 'device.updateStrategy=RollingUpdate', ...settings);
      await replaced('agent', before);
      const [, ...words] = forward.split(' ');
      const forwarding = cluster.kubectl(...words).catch(String);
      const looked = async (): Promise<string> =>
        await cluster.inNode(0, 'curl', '-s', '-m', '10', 'http://127.0.0.1:8107/api/v1.0/mesh');
      await cluster.until('the tunnel, measured', async () => (await looked()).includes('"measured":true'));
      const { nodes } = JSON.parse(await looked()) as MeshSnapshot;
      expect(Object.values(nodes).map(({ state }) => state)).toEqual(['well', 'well']);
      expect(await Promise.race([forwarding, 'goes on'])).toBe('goes on');
    });

    test('and measures for who is outside, through the API, by the rights that the document names', async () => {
      const rights = blocks.find(({ language }) => language === 'yaml')?.lines.join('\n') ?? '';
      const desk = await Desk.make(cluster, rights);
      const { tunnels, silent } = await desk.status();
      expect(silent).toEqual([]);
      expect(tunnels.map(({ from, to }) => `${from} ${to}`).toSorted()).toEqual(['n0 n1', 'n1 n0']);
      expect(tunnels.every(({ handshakeAge, pathMtu }) => handshakeAge !== null && pathMtu !== null)).toBe(
        true,
      );
      const { problems, ...elsewhere } = await desk.status('--namespace', 'default');
      expect(elsewhere.silent).toEqual(['n0', 'n1']);
      expect(problems.find(({ code }) => code === 'agents-unasked')?.what).toContain(
        'cannot list resource "pods" in API group "" in the namespace "default"',
      );
    });
  });

  test('leaves nothing on a node that is drained and deleted', async () => {
    const look = (...command: string[]): Promise<string> =>
      cluster.inNode(1, ...command).catch((error: unknown) => String(error));
    const left = async (): Promise<readonly string[]> => [
      ...[...(await look('ip', '-o', 'link')).matchAll(/\d+: (kilo0|kube-bridge|veth\w+)/g)].map(
        ([, name = '']) => name,
      ),
      ...(await look('ip', 'route')).split('\n').filter((line) => /kilo0|kube-bridge|10\.42\./.test(line)),
      ...(await look('iptables-save')).split('\n').filter((line) => line.includes('KILO')),
      ...(
        await look(
          'sh',
          '-c',
          `ls ${folders.executables}/kilowire ${folders.configuration}/10-kilo.conflist 2>&1`,
        )
      )
        .split('\n')
        .filter((line) => line.startsWith('/')),
    ];
    expect(await left()).toEqual(expect.arrayContaining(['kilo0', 'kube-bridge']));
    const { podCIDR } = cluster.node(1);
    expect(await cluster.inNode(0, 'ip', 'route')).toContain(podCIDR);
    await cluster.kubectl('drain', 'n1', '--ignore-daemonsets', '--force', '--timeout=120s');
    await cluster.kubectl('delete', 'node', 'n1');
    // The pods of a Node that is gone are collected after a while.
    await expect.poll(left, { timeout: 200_000, interval: 1000 }).toEqual([]);
    // The others have let go of it too.
    await cluster.until('no route to it', async () => {
      const routes = await cluster.inNode(0, 'ip', 'route');
      return !routes.includes(podCIDR);
    });
  });
});
