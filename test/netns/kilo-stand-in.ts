/**
 * Stands in for kg where it cannot be built, in the three-node cluster of agent-world.ts with --mesh-granularity=location and
 * --encapsulate=never: says of its Node what kg says, and holds on its host what kg holds there, texts and all. It follows
 * nothing: the cluster stays as it was drawn.
 * Source: Kilo 0.7 as observed: annotations and their patch, routes of leaders and others, chains with their comments, the
 * chain its clean-up forgets.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const flag = (name: string): string =>
  process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? '';
const run = (program: string, args: readonly string[], input = ''): string =>
  execFileSync(program, args, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });

const self = flag('hostname');
const server = /server: "([^"]+)"/.exec(readFileSync(flag('kubeconfig'), 'utf8'))?.[1] ?? '';
const KEY = '/var/lib/kilo/key';
const PREFIX = 'kilo.squat.ai/';

/** Of each node: its address, its pods, its mesh address when it leads. */
const NODES = {
  a: { address: '10.9.1.2', pods: '10.42.1.0/24', mesh: '10.4.0.1' },
  b: { address: '10.9.2.2', pods: '10.42.2.0/24', mesh: '10.4.0.2' },
  c: { address: '10.9.2.3', pods: '10.42.3.0/24', mesh: '' },
} as const;
type Name = keyof typeof NODES;
const own = NODES[self as Name];

/** What others are sent for by its tunnel, in Kilo's order. */
const ALLOWED = {
  a: ['10.42.1.0/24', '10.9.1.2/32', '10.4.0.1/32'],
  b: ['10.42.2.0/24', '10.9.2.2/32', '10.42.3.0/24', '10.9.2.3/32', '10.4.0.2/32'],
} as const;

const ROUTES: Readonly<Record<Name, readonly string[]>> = {
  a: [
    '10.42.2.0/24 via 10.4.0.2 dev kilo0 src 10.9.1.2',
    '10.42.3.0/24 via 10.4.0.2 dev kilo0 src 10.9.1.2',
    '10.9.2.3/32 via 10.4.0.2 dev kilo0 src 10.9.1.2',
  ],
  b: ['10.42.3.0/24 via 10.9.2.3 dev eth0', '10.42.1.0/24 via 10.4.0.1 dev kilo0 src 10.9.2.2'],
  c: ['10.4.0.1/32', '10.42.1.0/24', '10.9.1.2/32', '10.4.0.2/32', '10.42.2.0/24'].map(
    (destination) => `${destination} via 10.9.2.2 dev eth0`,
  ),
};

const filter = (): string => {
  const comment = (text: string): string => `-m comment --comment "Kilo: ${text}"`;
  const known = Object.values(ALLOWED).flat();
  return [
    '*filter',
    // What a clean-up of an earlier time left: its jump is gone, the chain is not.
    ':KILO-IPIP - [0:0]',
    'COMMIT',
    '*nat',
    ':KILO-NAT - [0:0]',
    `-I POSTROUTING -s ${own.pods} ${comment('jump to KILO-NAT chain')} -j KILO-NAT`,
    ...['10.4.0.1/32', '10.4.0.2/32'].map(
      (mesh) =>
        `-A KILO-NAT -d ${mesh} ${comment('do not NAT packets destined for WireGuared IPs')} -j RETURN`,
    ),
    ...known.map(
      (ip) => `-A KILO-NAT -d ${ip} ${comment('do not NAT packets destined for known IPs')} -j RETURN`,
    ),
    `-A KILO-NAT ${comment('NAT remaining packets')} -j MASQUERADE`,
    'COMMIT',
    '',
  ].join('\n');
};

const key = (): string => {
  if (!existsSync(KEY)) writeFileSync(KEY, run('wg', ['genkey']).trim(), { mode: 0o600 });
  return readFileSync(KEY, 'latin1').trim();
};

const say = async (annotations: Readonly<Record<string, string>>): Promise<void> => {
  const named = Object.fromEntries(Object.entries(annotations).map(([name, text]) => [PREFIX + name, text]));
  await fetch(`${server}/api/v1/nodes/${self}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/strategic-merge-patch+json' },
    body: JSON.stringify({ metadata: { annotations: named } }),
  }).then((answer) => answer.arrayBuffer());
};
const lastSeen = (): string => String(Math.floor(Date.now() / 1000));

const keyOf = async (name: Name): Promise<string> => {
  for (;;) {
    const node = await fetch(`${server}/api/v1/nodes/${name}`).then((answer) => answer.json());
    const found = (node as { metadata: { annotations?: Record<string, string> } }).metadata.annotations?.[
      `${PREFIX}key`
    ];
    if (found !== undefined) return found;
    await sleep(200);
  }
};

await say({
  'cni-compatibility-ip': '',
  'discovered-endpoints': '{}',
  endpoint: `${own.address}:51820`,
  granularity: 'location',
  'internal-ip': `${own.address}/24`,
  key: run('wg', ['pubkey'], key()).trim(),
  'last-seen': lastSeen(),
  'wireguard-ip': own.mesh === '' ? '' : `${own.mesh}/16`,
});
if (own.mesh !== '') {
  run('ip', ['addr', 'replace', `${own.mesh}/16`, 'dev', 'kilo0']);
  const other = self === 'a' ? 'b' : 'a';
  const peer = await keyOf(other);
  run('wg', ['set', 'kilo0', 'listen-port', '51820', 'private-key', KEY]);
  run('wg', [
    'set',
    'kilo0',
    'peer',
    peer,
    'endpoint',
    `${NODES[other].address}:51820`,
    'allowed-ips',
    ALLOWED[other].join(),
  ]);
  run('ip', ['link', 'set', 'kilo0', 'mtu', '1420', 'up']);
}
for (const route of ROUTES[self as Name])
  run('ip', ['route', 'replace', ...route.split(' '), 'onlink', 'proto', 'static']);
// Kilo empties its chains when it starts; its jumps it finds again.
run('sh', ['-c', 'iptables-save | grep -v -e "Kilo: " | iptables-restore'], '');
run('iptables-restore', ['--noflush'], filter());
process.stdout.write(`{"msg":"Starting Kilo network mesh 'stand-in'."}\n`);
for (;;) {
  await sleep(10_000);
  await say({ 'last-seen': lastSeen() });
}
