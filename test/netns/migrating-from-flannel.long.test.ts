/**
 * docs/migrating-from-flannel.md, word by word: three nodes of agent-world.ts joined by a VXLAN as flannel leaves it, the parts of
 * kubectl and of k3s' unit played by this test, and traffic all the while.
 * @module
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { AgentWorld, NODES } from './agent-world.ts';
import { follow, Session } from './document-session.ts';
import { end, has, isRoot, root, until } from './host.ts';

const missing = ['curl', 'tcpdump', 'nft', 'bridge'].filter((name) => !has(name));
if (missing.length > 0) console.log(`skipping the migration: not on this machine: ${missing.join(', ')}`);

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: {
    readonly template?: {
      readonly spec: { readonly containers: readonly { readonly args?: readonly string[] }[] };
    };
  };
}

describe.skipIf(!isRoot || missing.length > 0)('migrating from flannel', () => {
  let world: AgentWorld;
  let session: Session;
  let kubelet: Server;
  /** What each Node said last before its present agent. */
  let startedAt = new Map<string, number>();

  const mac = (name: string): string =>
    `02:00:00:00:00:0${NODES.findIndex((node) => node.name === name) + 1}`;
  const overlay = (pods: string): string => pods.replace('/24', '');

  /** What flanneld does when it starts. */
  const startFlannel = (name: string): void => {
    const self = NODES.find((node) => node.name === name);
    const host = world.host(name);
    if (!host.ip('link').includes('flannel.1')) {
      const vxlan = [
        'vxlan',
        'id',
        '1',
        'dev',
        'eth0',
        'local',
        self?.address ?? '',
        'dstport',
        '8472',
        'nolearning',
      ];
      host.ip('link', 'add', 'flannel.1', 'type', ...vxlan);
      host.ip('link', 'set', 'flannel.1', 'address', mac(name), 'mtu', '1450', 'up');
      host.ip('addr', 'add', `${overlay(self?.podCIDR ?? '')}/32`, 'dev', 'flannel.1');
    }
    for (const other of NODES.filter((node) => node.name !== name)) {
      const gateway = overlay(other.podCIDR);
      host.ip('neigh', 'replace', gateway, 'lladdr', mac(other.name), 'dev', 'flannel.1', 'nud', 'permanent');
      host.exec('bridge', 'fdb', 'replace', mac(other.name), 'dev', 'flannel.1', 'dst', other.address);
      host.ip('route', 'replace', other.podCIDR, 'via', gateway, 'dev', 'flannel.1', 'onlink');
    }
  };

  const endAgents = async (): Promise<void> => {
    await Promise.all([...world.agents.values()].map((agent) => end(agent)));
    world.agents.clear();
  };

  const apply = async (text: string): Promise<string> => {
    const objects = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
    const agent = objects.find(({ metadata }) => metadata.name === 'kilowire-agent');
    const [container] = agent?.spec?.template?.spec.containers ?? [];
    const args = (container?.args ?? []).filter(
      (arg) => !/^agent$|^--(?:hostname|cni-path|cni-bin-dir)=/.test(arg),
    );
    const isNew = world.agents.size === 0;
    const sockets = NODES.map(({ name }) => join(world.directory(name), 'kilo0.sock'));
    if (isNew) for (const { name } of NODES) world.startDevice(name);
    await until('the devices', () => sockets.every((path) => existsSync(path)));
    await endAgents();
    startedAt = new Map(NODES.map(({ name }) => [name, Number(world.annotation(name, 'last-seen') ?? 0)]));
    for (const { name } of NODES) world.startAgent(name, ...args);
    return objects
      .map(({ kind, metadata }) => {
        const title = kind === 'DaemonSet' ? 'daemonset.apps' : kind.toLowerCase();
        return `${title}/${metadata.name} ${isNew ? 'created' : 'configured'}`;
      })
      .join('\n');
  };

  const remove = async (text: string): Promise<string> => {
    await endAgents();
    for (const pid of world.devices()) process.kill(pid, 'SIGTERM');
    await until('the devices to end', () => world.devices().length === 0);
    const names = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
    return names
      .map(
        ({ kind, metadata }) =>
          `${kind.toLowerCase().replace('daemonset', 'daemonset.apps')}/${metadata.name} deleted`,
      )
      .join('\n');
  };

  const answer = async (words: string, input: string): Promise<string> => {
    const [, node, label, value] = /^kubectl label node (\w) (\S+?)=(\S+)$/.exec(words) ?? [];
    if (node !== undefined && label !== undefined && value !== undefined) {
      const present = world.api.store.get('nodes', node);
      if (present === undefined) throw new Error(`there is no node ${node}`);
      const metadata = { ...present.metadata, labels: { [label]: value }, annotations: {} };
      world.api.store.put('nodes', node, { ...present, metadata });
      return `node/${node} labeled`;
    }
    const unit = /^systemctl (\w) restart k3s$/.exec(words)?.[1];
    if (unit !== undefined) {
      startFlannel(unit);
      return '';
    }
    if (words === 'kubectl -n kube-system rollout status daemonset/kilowire-agent') {
      await until(
        'the agents to live',
        () =>
          NODES.every(({ name }) => Number(world.annotation(name, 'last-seen')) > (startedAt.get(name) ?? 0)),
        60_000,
      );
      await world.meshed(60_000);
      return 'daemon set "kilowire-agent" successfully rolled out';
    }
    if (words === 'kubectl apply -f -') return await apply(input);
    if (words === 'kubectl delete -f -') return await remove(input);
    throw new Error(`nobody here knows: ${words}`);
  };

  const bodyOf = async (request: IncomingMessage): Promise<string> => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    return Buffer.concat(pieces).toString('utf8');
  };

  const script = (name: string, text: string): void => {
    mkdirSync(join(world.folder.path, 'bin'), { recursive: true });
    const path = join(world.folder.path, 'bin', name);
    writeFileSync(path, `#!/bin/sh\n${text}\n`);
    chmodSync(path, 0o755);
  };

  beforeAll(async () => {
    world = new AgentWorld('kwmk');
    await world.startApi();
    for (const { name } of NODES) startFlannel(name);
    kubelet = createServer((request, response) => {
      bodyOf(request)
        .then((input) => answer(String(request.headers['x-words']), input))
        .then(
          (said) => response.end(said === '' ? '' : `${said}\n`),
          (error: unknown) => response.writeHead(500).end(`${String(error)}\n`),
        );
    });
    const socket = join(world.folder.path, 'kubelet.sock');
    await new Promise<void>((resolve) => kubelet.listen(socket, resolve));
    const call = `exec curl -s --fail-with-body --unix-socket ${socket}`;
    script(
      'kubectl',
      `case "$*" in *"-f -") input=@- ;; *) input= ;; esac\n${call} -H "x-words: kubectl $*" --data-binary "$input" http://kubelet/`,
    );
    script('systemctl', `${call} -H "x-words: systemctl $NODE $*" http://kubelet/`);
    script('ssh', 'export NODE=$1; shift; exec ip netns exec "kwmk-$NODE" sh -c "$*"');
    const kilowire = `${process.execPath} ${join(root, 'src/cli/main.ts')} "$@"`;
    script('kilowire', `exec ip netns exec kwmk-r env KUBECONFIG=${world.kubeconfig()} ${kilowire}`);
    const PATH = `${join(world.folder.path, 'bin')}:${process.env.PATH}`;
    session = new Session(world.folder.path, { ...process.env, PATH });
  }, 60_000);

  afterAll(async () => {
    await session?.close();
    kubelet?.close();
    await world.remove();
  }, 60_000);

  const step = async (text: string): Promise<number> => {
    try {
      return await follow(session, 'docs/migrating-from-flannel.md', text);
    } catch (error) {
      for (const { name } of NODES) process.stderr.write(`${name}:\n${world.log(name)}\n`);
      throw error;
    }
  };

  it('is as docs/migrating-from-flannel.md says', { timeout: 600_000, retry: 0 }, async () => {
    const text = readFileSync(join(root, 'docs/migrating-from-flannel.md'), 'utf8');
    const half = text.indexOf('## And back');
    const lost = world.pinging('c', 'a');
    const done = await step(text.slice(0, half));
    console.log(`${await lost()} pings lost from c to a while the mesh took over`);
    const [above, below] = [text.slice(0, half), text.slice(half)];
    expect(done + (await step(above.replace(/.+/g, '') + below))).toBeGreaterThan(20);
  });
});
