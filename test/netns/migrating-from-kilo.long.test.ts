/**
 * docs/migrating-from-kilo.md, word by word: three nodes of agent-world.ts that begin with Kilo, a kubelet's part played by this
 * test, and traffic all the while. Without kg its part is played by kilo-stand-in.ts, and kgctl's by ours.
 * @module
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentWorld, NODES } from './agent-world.ts';
import { follow, Session } from './document-session.ts';
import { end, has, isRoot, root, until } from './host.ts';
import { kilo } from './toolchains.ts';

const programs = isRoot ? await kilo() : undefined;
const missing = ['wg', 'iptables', 'nft', 'curl'].filter((name) => !has(name));
if (missing.length > 0) console.log(`skipping the migration: not on this machine: ${missing.join(', ')}`);
const PATIENCE_MS = 120_000;
const FLAGS = ['--mesh-granularity=location', '--encapsulate=never'];

describe.skipIf(!isRoot || missing.length > 0)('migrating from Kilo', () => {
  let world: AgentWorld;
  let session: Session;
  let kubelet: Server;
  let image = 'squat/kilo:0.7.0';

  const script = (name: string, text: string): string => {
    const path = join(world.folder.path, 'bin', name);
    mkdirSync(join(world.folder.path, 'bin'), { recursive: true });
    writeFileSync(path, `#!/bin/sh\n${text}\n`);
    chmodSync(path, 0o755);
    return path;
  };

  const start = (name: string): void => {
    const standIn = script(
      'stand-in',
      `exec ${process.execPath} ${join(root, 'test/netns/kilo-stand-in.ts')} "$@"`,
    );
    if (image.startsWith('squat/')) world.startKilo(programs?.kg ?? standIn, name, ...FLAGS);
    else world.startAgent(name, '--create-interface=false', '--clean-up=false', ...FLAGS);
  };

  /** The pod is gone, and the DaemonSet's new one has come up. */
  const replacePod = async (name: string): Promise<string> => {
    const agent = world.agents.get(name);
    if (agent !== undefined) await end(agent);
    const before = Number(world.annotation(name, 'last-seen'));
    start(name);
    await until(`${name} to live`, () => Number(world.annotation(name, 'last-seen')) > before, PATIENCE_MS);
    await world.meshed(PATIENCE_MS);
    return `pod "kilo-${name}" deleted`;
  };

  const kubectl = async (words: string): Promise<string> => {
    const wanted = /^-n kube-system set image daemonset\/kilo kilo=(\S+)$/.exec(words)?.[1];
    if (wanted !== undefined) {
      image = wanted.replace('docker.io/library/', '');
      return 'daemonset.apps/kilo image updated';
    }
    if (/^-n kube-system patch daemonset kilo -p \{.*"OnDelete".*\}$/.test(words))
      return 'daemonset.apps/kilo patched';
    const pod =
      /^-n kube-system delete pod -l app\.kubernetes\.io\/part-of=kilo --field-selector spec\.nodeName=(\w)$/;
    const node = pod.exec(words)?.[1];
    if (node !== undefined) return await replacePod(node);
    throw new Error(`this kubectl does not know: ${words}`);
  };

  beforeAll(async () => {
    world = new AgentWorld('kwmk');
    await world.startApi();
    for (const { name } of NODES) world.startDevice(name);
    kubelet = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        kubectl(Buffer.concat(pieces).toString('utf8')).then(
          (said) => response.end(`${said}\n`),
          (error: unknown) => response.writeHead(500).end(`${String(error)}\n`),
        );
      });
    });
    const socket = join(world.folder.path, 'kubelet.sock');
    await new Promise<void>((resolve) => kubelet.listen(socket, resolve));
    script(
      'kubectl',
      `exec curl -s --fail-with-body --unix-socket ${socket} --data-binary "$*" http://kubelet/`,
    );
    const inside = (where: string, command: string): string => `exec ip netns exec ${where} ${command}`;
    const admin = (as: string, program: string): string =>
      inside('kwmk-r', `env KILOWIRE_CALLED_AS=${as} KUBECONFIG=${world.kubeconfig()} ${program} "$@"`);
    const ours = `${process.execPath} ${join(root, 'src/cli/main.ts')}`;
    script('kilowire', admin('kilowire', ours));
    script('kgctl', admin('kgctl', programs?.kgctl ?? ours));
    script('ssh', `node=$1; shift; ${inside('"kwmk-$node"', 'sh -c "$*"')}`);
    const PATH = `${join(world.folder.path, 'bin')}:${process.env.PATH}`;
    session = new Session(world.folder.path, { ...process.env, PATH });
    await until('the devices', () =>
      NODES.every(({ name }) => existsSync(join(world.directory(name), 'kilo0.sock'))),
    );
    for (const { name } of NODES) start(name);
    try {
      await world.meshed(PATIENCE_MS);
    } catch (error) {
      for (const { name } of NODES) process.stderr.write(`${name}:\n${world.log(name)}\n`);
      throw error;
    }
  }, 300_000);

  afterAll(async () => {
    await session?.close();
    kubelet?.close();
    await world.remove();
  }, 60_000);

  it('is as docs/migrating-from-kilo.md says', { timeout: 600_000, retry: 0 }, async () => {
    const lost = world.pinging('c', 'a');
    const keys = NODES.map(({ name }) => world.annotation(name, 'key'));
    const text = readFileSync(join(root, 'docs/migrating-from-kilo.md'), 'utf8');
    expect(await follow(session, 'docs/migrating-from-kilo.md', text)).toBeGreaterThan(20);
    expect(NODES.map(({ name }) => world.annotation(name, 'key'))).toEqual(keys);
    console.log(
      `${programs === undefined ? 'stand-in' : 'kg'}: ${await lost()} pings lost from c to a meanwhile`,
    );
  });
});
