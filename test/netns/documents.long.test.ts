/**
 * Blocks of commands in the documents that say `run by` this test, in order, as a reader would type them: those about the lab on
 * this machine, all others on a host in the lab's internet that has the cluster's kubeconfig.
 *
 *     kw-wan ── kwdo-admin
 *
 * What needs kubectl is done on a real Kubernetes by kubernetes-install.test.ts and by the documents about migrating.
 * @module
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CodeBlock, codeBlocks } from '../repo/markdown-blocks.ts';
import { Session } from './document-session.ts';
import { Folder, Host, has, isRoot, root, run } from './host.ts';
import { RunningLab } from './running-lab.ts';

const SELF = 'test/netns/documents.long.test.ts';
const ADMIN = 'kwdo-admin';
const missing = ['wg', 'wg-quick', 'curl', 'jq'].filter((name) => !has(name));
if (missing.length > 0) console.log(`skipping the documents: not on this machine: ${missing.join(', ')}`);

const ownBlocks = (document: string): CodeBlock[] =>
  codeBlocks(readFileSync(join(root, document), 'utf8')).filter(({ runBy }) => runBy === SELF);

/** Without what is said about them; one that goes on with `\` is one. */
const commandsOf = ({ lines }: CodeBlock): string[] =>
  lines
    .join('\n')
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.replace(/^[#$] (?=[a-z])/, '').replace(/ {2,}# .*$/, ''))
    .filter((line) => line.trim() !== '' && !/^(?:# |kubectl )/.test(line));

/** These go on until Ctrl-C, and end well then. */
const untilInterrupted = /^(?:bin\/)?kilowire (?:connect|ui)\b/;
/** Sockets of all namespaces lie in one folder, where the lab's laptop has its kilo0. */
const OWN_LINK = '--interface kwdo0';
const asTyped = (command: string): string => {
  const plain = command.replace(/^sudo /, '').replace(/\| kubectl apply -f -$/, '> manifests.yaml');
  if (!untilInterrupted.test(plain)) return plain;
  const alone = plain.replace(/^kilowire connect/, `$& ${OWN_LINK}`);
  return `timeout --preserve-status -s INT 8 ${alone}; case $? in 0|130) ;; *) false ;; esac`;
};

describe.skipIf(!isRoot || missing.length > 0)('the documents', { timeout: 180_000, retry: 0 }, () => {
  const folder = new Folder();
  const sessions: Session[] = [];
  let admin: Host | undefined;
  let isLabOurs = false;
  let onHost: Session;
  let onAdmin: Session;

  const script = (name: string, text: string): void => {
    const path = join(folder.path, 'bin', name);
    mkdirSync(join(folder.path, 'bin'), { recursive: true });
    writeFileSync(path, `#!/bin/sh\n${text}\n`);
    chmodSync(path, 0o755);
  };

  const follow = async (
    session: Session,
    document: string,
    blocks: readonly CodeBlock[],
  ): Promise<number> => {
    let done = 0;
    for (const block of blocks)
      for (const command of commandsOf(block)) {
        await session.run(asTyped(command)).catch((cause: Error) => {
          throw new Error(`${document}:${block.line}: ${cause.message}`, { cause });
        });
        done += 1;
      }
    return done;
  };
  const having = (words: string) => (block: CodeBlock) => block.lines.some((line) => line.includes(words));

  beforeAll(async () => {
    onHost = new Session(root, process.env);
    sessions.push(onHost);
  });

  afterAll(async () => {
    for (const session of sessions) await session.close();
    // Not somebody else's.
    if (isLabOurs) RunningLab.down();
    admin?.remove();
    folder.remove();
  }, 60_000);

  it('README.md: the lab', async () => {
    const [block] = ownBlocks('README.md').filter(having('kilowire lab up'));
    const commands = block === undefined ? [] : commandsOf(block);
    // The others need it up; its end is the last test.
    expect(commands.at(-1)).toBe('bin/kilowire lab down');
    for (const command of commands.slice(0, -1)) {
      await onHost.run(command, 120_000);
      isLabOurs = true;
    }

    const host = new Host(ADMIN);
    admin = host;
    run('ip', '-n', 'kw-wan', 'link', 'add', 'kwdo', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ADMIN);
    run('ip', '-n', 'kw-wan', 'addr', 'add', '198.51.102.1/24', 'dev', 'kwdo');
    run('ip', '-n', 'kw-wan', 'link', 'set', 'kwdo', 'up');
    host.ip('addr', 'add', '198.51.102.7/24', 'dev', 'eth0');
    host.ip('link', 'set', 'eth0', 'up');
    host.ip('route', 'add', 'default', 'via', '198.51.102.1');
    for (const name of ['kilowire', 'kilowire-wg']) script(name, `exec ${join(root, 'bin', name)} "$@"`);
    const environment = {
      ...process.env,
      PATH: `${join(folder.path, 'bin')}:${process.env.PATH}`,
      KUBECONFIG: '/run/kilowire-lab/kubeconfig',
    };
    onAdmin = new Session(folder.path, environment, ['ip', 'netns', 'exec', ADMIN]);
    sessions.push(onAdmin);
    // The lab has a laptop; the documents' is ours.
    await onAdmin.run('kilowire client remove laptop');
  });

  it('README.md: a WireGuard interface', async () => {
    const key = run('wg', 'genkey').trim();
    folder.write('wg0.conf', `[Interface]\nPrivateKey = ${key}\nListenPort = 51999\n`);
    const blocks = ownBlocks('README.md');
    const [byHand = '', configured = '', quick = ''] = blocks
      .filter(having('kilowire-wg wg0'))
      .flatMap(commandsOf);
    await onAdmin.run(byHand);
    await onAdmin.run(configured);
    expect(await onAdmin.run('wg show wg0 listen-port')).toContain('51999');
    expect(await follow(onAdmin, 'README.md', blocks.filter(having('kilowire top wg0')))).toBe(1);
    // The other way to the same interface.
    await onAdmin.run('ip link del wg0');
    expect(quick).toContain('wg-quick up ./wg0.conf');
    await onAdmin.run(quick);
    expect(await onAdmin.run('wg show wg0 listen-port; wg-quick down ./wg0.conf')).toContain('51999');
  });

  it('README.md: on a cluster', async () => {
    expect(await follow(onAdmin, 'README.md', ownBlocks('README.md').filter(having('kilowire status')))).toBe(
      6,
    );
    await onAdmin.run('kilowire client remove laptop');
  });

  it.each(['docs/clients.md', 'docs/install.md', 'docs/mesh-file.md', 'docs/reliability.md'])(
    '%s',
    async (document) => {
      // Somebody else's network, which is taken over: a full mesh of two by hand.
      const [ours, theirs] = [1, 2].map(() => run('wg', 'genkey').trim());
      const publicOf = (key = ''): string => run('sh', '-c', `echo ${key} | wg pubkey`).trim();
      folder.write(
        'wg0.conf',
        `[Interface]\nPrivateKey = ${ours}\nAddress = 10.7.0.1/24\n# box\n[Peer]\nPublicKey = ${publicOf(theirs)}\nAllowedIPs = 10.7.0.2/32\n`,
      );
      for (const [name, address, key] of [
        ['hub', '10.7.1.1', ours],
        ['nas', '10.7.1.2', theirs],
      ] as const) {
        mkdirSync(join(folder.path, 'hosts', name), { recursive: true });
        const other = key === ours ? [theirs, '10.7.1.2'] : [ours, '10.7.1.1'];
        folder.write(
          `hosts/${name}/wg0.conf`,
          `[Interface]\nPrivateKey = ${key}\nAddress = ${address}/24\nListenPort = 51820\n[Peer]\nPublicKey = ${publicOf(other[0])}\nEndpoint = 203.0.113.200:51820\nAllowedIPs = ${other[1]}/32\n`,
        );
      }
      const session = document === 'docs/reliability.md' ? onHost : onAdmin;
      expect(await follow(session, document, ownBlocks(document))).toBeGreaterThan(0);
    },
  );

  it('docs/ui.md: what programs ask', async () => {
    folder.write('token', 'a-token-of-the-test-0123456789\n');
    await onAdmin.run(
      'kilowire ui --token-file token > ui.log 2>&1 & for i in $(seq 300); do grep -q Open ui.log && break; sleep 0.1; done',
    );
    await onAdmin.run('export TOKEN=$(cat token)');
    // It has read the cluster.
    await onAdmin.run(
      'for i in $(seq 300); do curl -sf http://127.0.0.1:8107/api/v1.0/mesh > mesh.json && break; sleep 0.1; done; grep -q aws-0 mesh.json',
    );
    expect(
      await follow(onAdmin, 'docs/ui.md', ownBlocks('docs/ui.md').filter(having('curl '))),
    ).toBeGreaterThan(2);
    expect(await onAdmin.run('kilowire client list')).toMatch(/^phone .* active/m);
    await onAdmin.run('kill %%; wait; kilowire client remove phone');
    expect(await follow(onAdmin, 'docs/ui.md', ownBlocks('docs/ui.md').filter(having('kilowire ui')))).toBe(
      1,
    );
  });

  it('README.md: the lab’s end', async () => {
    expect(await onHost.run('bin/kilowire lab down', 60_000)).toContain('taking the lab down');
  });
});
