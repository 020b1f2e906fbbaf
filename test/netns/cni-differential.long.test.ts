/**
 * Go's plugins of their newest release and the executable under their names, given the same configurations, good and
 * bad: both take a configuration or both refuse it, with the same code, in words that speak of the same. What differs is
 * listed here with the reason; docs/cni.md has the same list.
 * @module
 */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildNewest, newestPlugins } from '../../bench/cni/plugins.ts';
import { type Case, cases } from './cni-differential-cases.ts';
import { CniWorld, type Program } from './cni-world.ts';
import { has, isRoot, root } from './host.ts';

const tools = ['go', 'ip', 'nsenter', 'iptables'];
const missing = tools.filter((name) => !has(name));
if (missing.length > 0) console.log(`skipping Go's plugins: not on this machine: ${missing.join(', ')}`);
if (isRoot && missing.length === 0) buildNewest();
const go = isRoot && missing.length === 0 ? newestPlugins() : undefined;
if (go === undefined && missing.length === 0) console.log("skipping Go's plugins: they could not be built");

/** "code message" of Go's and ours, where they are not alike, and why ours is as it is. */
const differences: Readonly<Record<string, { go: RegExp; ours: RegExp }>> = {
  // The specification's code for variables that say nothing useful.
  'bridge: an odd argument': { go: /^999 /, ours: /^4 ARGS: invalid pair/ },
  'bridge: an unknown argument': { go: /^999 /, ours: /^4 ARGS: unknown args/ },
  // Go passes them over, and the container is not what was asked for.
  'bridge: a negative MTU': { go: /^ok/, ours: /^999 invalid MTU -5/ },
  'portmap: a host address that is none': { go: /^ok/, ours: /^999 invalid port mapping: "hostIP"/ },
  // A configuration that has since been broken must not keep an attachment alive.
  'bridge: DEL with mtu as text': { go: /^999 /, ours: /^ok/ },
  // What belongs to iptables, which is not used.
  'portmap: mark bit and mark chain': { go: /^999 /, ours: /^2 "externalSetMarkChain"/ },
  'portmap: conditions of iptables': { go: /^ok/, ours: /^2 "conditionsV4"/ },
};

/** Both refuse it with the same code; one speaks of the key, the other of what came of it. */
const ownWords = [
  'bridge: no JSON',
  'bridge: half a JSON',
  'bridge: no stdin',
  'bridge: a namespace that is a file',
  'bridge: DEL of a namespace that is a file',
  'bridge: a bridge with a long name',
  'bridge: mtu as text',
  'bridge: isGateway as text',
  'bridge: an MTU beyond all',
  'bridge: CHECK without prevResult',
  'bridge: resolvConf that is not there',
  'portmap: a protocol that is none',
  'portmap: no container port',
  'portmap: a negative host port',
  'portmap: a host port beyond all',
  'portmap: ports as text',
  'portmap: an unknown backend',
  'bridge: a gateway that is none',
  'bandwidth: a negative rate',
  'bandwidth: a rate as text',
];

const words = (text: string): ReadonlySet<string> => new Set(text.toLowerCase().match(/[a-z]{3,}/g) ?? []);

/** How much of the shorter text is in the longer one. */
function likeness(first: string, second: string): number {
  const [a, b] = [words(first), words(second)];
  return [...a].filter((word) => b.has(word)).length / Math.max(1, Math.min(a.size, b.size));
}

const runs = (directory: string): Program =>
  ({ name: 'compiled', command: ['/bin/sh', '-c', `exec ${directory}/$PLUGIN`] }) as unknown as Program;

/** "ok", or "code message". */
async function outcome(directory: string, each: Case): Promise<string> {
  const world = new CniWorld(runs(directory));
  try {
    world.addPod('pod');
    const state = { stateDir: join(world.directory, 'state') };
    const addresses = { dataDir: join(world.directory, 'leases') };
    const hostLocal = { type: 'host-local', ...addresses, subnet: '10.9.0.0/24' };
    const plain = { bridge: 'br0', isGateway: true, ...state, ipam: hostLocal };
    const base = { cniVersion: '1.0.0', name: 'net' };
    const call = (plugin: string, verb: string, config: object, more: Partial<Case> = {}) =>
      world.call({
        verb,
        pod: 'pod',
        config,
        ...(more.ifname === undefined ? {} : { ifname: more.ifname }),
        ...(more.netns === undefined ? {} : { netns: more.netns }),
        ...(more.stdin === undefined ? {} : { stdin: more.stdin }),
        env: { PLUGIN: plugin, CNI_PATH: directory, ...more.env },
      });
    let config: Record<string, unknown> = { ...base, ...state, type: each.plugin };
    if (each.plugin === 'bridge') config = { ...config, ...plain };
    else if (each.plugin !== 'loopback') {
      const before = await call('bridge', 'ADD', { ...base, ...plain, type: 'bridge' });
      config = { ...config, prevResult: JSON.parse(before.stdout) };
    }
    config = { ...config, ...each.change };
    const { ipam } = config;
    if (typeof ipam === 'object' && ipam !== null && Object.keys(ipam).length > 0)
      config = { ...config, ipam: { ...addresses, ...ipam } };
    const { code, stdout, stderr } = await call(each.plugin, each.verb ?? 'ADD', config, each);
    if (code === 0) return 'ok';
    const said = JSON.parse(stdout) as { code: number; msg: string };
    return `${said.code} ${said.msg || stderr}`;
  } finally {
    world.close();
  }
}

describe.skipIf(go === undefined)("Go's plugins and ours", () => {
  let ours = '';
  beforeAll(() => {
    ours = mkdtempSync(join(tmpdir(), 'kwck-bin-'));
    for (const name of ['bridge', 'portmap', 'bandwidth', 'loopback'])
      copyFileSync(join(root, 'dist/kilowire-cni'), join(ours, name));
  });
  afterAll(() => {
    for (const directory of [ours, go?.directory ?? ours])
      rmSync(directory, { recursive: true, force: true });
  });

  test.each(cases.map((each) => ({ ...each, name: `${each.plugin}: ${each.what}` })))(
    '$name',
    async (each) => {
      const theirs = await outcome(go?.directory ?? '', each);
      const own = await outcome(ours, each);
      const difference = differences[each.name];
      if (difference !== undefined) {
        expect(theirs).toMatch(difference.go);
        expect(own).toMatch(difference.ours);
        return;
      }
      expect(own.split(' ')[0], `${theirs}\n${own}`).toBe(theirs.split(' ')[0]);
      const alike = theirs === own || likeness(theirs, own) >= 0.6;
      expect(alike || ownWords.includes(each.name), `${theirs}\n${own}`).toBe(true);
    },
  );
});
