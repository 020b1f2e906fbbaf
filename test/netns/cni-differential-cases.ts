/**
 * Configurations as they are written for Go's bridge, host-local, portmap, bandwidth and loopback, good ones and bad.
 * Source: the documentation and the tests of containernetworking/plugins 1.9.
 * @module
 */

export type Plugin = 'bridge' | 'portmap' | 'bandwidth' | 'loopback';

export interface Case {
  readonly what: string;
  readonly plugin: Plugin;
  readonly verb?: string;
  /** Laid over a good configuration of the plugin; a key that is undefined is left out. */
  readonly change?: object;
  /** In place of a configuration. */
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly netns?: string;
  readonly ifname?: string;
}

const bridge = (what: string, change: object, more: Partial<Case> = {}): Case => ({
  what,
  plugin: 'bridge',
  change,
  ...more,
});
const ipam = (what: string, change: object, more: Partial<Case> = {}): Case =>
  bridge(what, { ipam: { type: 'host-local', ...change } }, more);
const portmap = (what: string, mapping: object, change: object = {}): Case => ({
  what,
  plugin: 'portmap',
  change: { runtimeConfig: { portMappings: [mapping] }, ...change },
});
const bandwidth = (what: string, change: object): Case => ({ what, plugin: 'bandwidth', change });
const tcp = { hostPort: 8080, containerPort: 80, protocol: 'tcp' };

/** What the plugin skeleton looks at, whichever the plugin. */
const skeleton: readonly Case[] = [
  { what: 'an unknown command', plugin: 'bridge', verb: 'FOO' },
  { what: 'no container id', plugin: 'bridge', env: { CNI_CONTAINERID: '' } },
  { what: 'a container id with a slash', plugin: 'bridge', env: { CNI_CONTAINERID: 'a/b' } },
  { what: 'a long interface name', plugin: 'bridge', ifname: 'sixteen-letters-' },
  { what: 'an interface name with a space', plugin: 'bridge', ifname: 'eth 0' },
  { what: 'an interface name of dots', plugin: 'bridge', ifname: '..' },
  { what: 'no JSON', plugin: 'bridge', stdin: 'nothing' },
  { what: 'half a JSON', plugin: 'bridge', stdin: '{"cniVersion":"1.0.0","na' },
  { what: 'no stdin', plugin: 'bridge', stdin: '' },
  bridge('no name', { name: undefined }),
  bridge('a name with a slash', { name: 'a/b' }),
  bridge('a version nobody speaks', { cniVersion: '9.9.9' }),
  bridge('CHECK in 0.3.1', { cniVersion: '0.3.1' }, { verb: 'CHECK' }),
  bridge('GC in 1.0.0', { cniVersion: '1.0.0' }, { verb: 'GC' }),
  bridge('STATUS in 1.0.0', { cniVersion: '1.0.0' }, { verb: 'STATUS' }),
  bridge('an odd argument', {}, { env: { CNI_ARGS: 'IP' } }),
  bridge('an unknown argument', {}, { env: { CNI_ARGS: 'FOO=1' } }),
  bridge('an unknown argument that may be', {}, { env: { CNI_ARGS: 'IgnoreUnknown=1;FOO=1' } }),
  bridge('a namespace that is not there', {}, { netns: '/run/netns/nope' }),
  bridge('a namespace that is a file', {}, { netns: '/etc/hostname' }),
];

const bridges: readonly Case[] = [
  bridge('defaults', {}),
  bridge('version 0.2.0', { cniVersion: '0.2.0' }),
  bridge('version 0.3.1', { cniVersion: '0.3.1' }),
  bridge('keys in capitals', { IsDefaultGateway: true, MTU: 1400, HairpinMode: true }),
  bridge('unknown keys', { colour: 'blue', nested: { deep: [1] } }),
  bridge('masquerading', { isDefaultGateway: true, ipMasq: true }),
  bridge('no addresses', { ipam: undefined }),
  bridge('empty ipam', { ipam: {} }),
  bridge('another MAC address', {}, { env: { CNI_ARGS: 'IgnoreUnknown=1;MAC=02:11:22:33:44:55' } }),
  bridge('a MAC address that is none', { runtimeConfig: { mac: 'zz' } }),
  bridge('hairpin and promiscuous', { hairpinMode: true, promiscMode: true }),
  bridge('a VLAN beyond 4094', { vlan: 5000 }),
  bridge('a negative VLAN', { vlan: -1 }),
  bridge('a trunk without maxID', { vlanTrunk: [{ minID: 2 }] }),
  bridge('a trunk without minID', { vlanTrunk: [{ maxID: 2 }] }),
  bridge('a trunk the wrong way round', { vlanTrunk: [{ minID: 9, maxID: 8 }] }),
  bridge('a trunk id beyond 4094', { vlanTrunk: [{ id: 4095 }] }),
  bridge('a link that is no bridge', { bridge: 'lo' }),
  bridge('a bridge with a long name', { bridge: 'sixteen-letters-' }),
  bridge('mtu as text', { mtu: '1500' }),
  bridge('isGateway as text', { isGateway: 'yes' }),
  bridge('a negative MTU', { mtu: -5 }),
  bridge('an MTU beyond all', { mtu: 70_000 }),
  bridge('an unknown backend', { ipMasq: true, ipMasqBackend: 'ebtables' }),
  bridge('ipam and disableContainerInterface', { disableContainerInterface: true }),
  bridge('disableContainerInterface', { disableContainerInterface: true, ipam: {} }),
  bridge('portIsolation', { portIsolation: true }),
  bridge('an unknown ipam plugin', { ipam: { type: 'nosuch' } }),
  bridge('an ipam plugin with a slash', { ipam: { type: 'a/b' } }),
  bridge('CHECK without prevResult', {}, { verb: 'CHECK' }),
  bridge('DEL of nothing', {}, { verb: 'DEL' }),
  bridge('DEL without a namespace', {}, { verb: 'DEL', netns: '' }),
  bridge('DEL of a namespace that is gone', {}, { verb: 'DEL', netns: '/run/netns/nope' }),
  bridge('DEL of a namespace that is a file', {}, { verb: 'DEL', netns: '/etc/hostname' }),
  bridge('DEL with mtu as text', { mtu: 'x' }, { verb: 'DEL' }),
  bridge('STATUS', { cniVersion: '1.1.0' }, { verb: 'STATUS' }),
  bridge('GC', { cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] }, { verb: 'GC' }),
];

const addresses: readonly Case[] = [
  ipam('a subnet in the old style', { subnet: '10.9.0.0/24' }),
  ipam('dual stack', { ranges: [[{ subnet: '10.9.0.0/24' }], [{ subnet: 'fd09::/64' }]] }),
  ipam('routes', { subnet: '10.9.0.0/24', routes: [{ dst: '192.0.2.0/24' }] }),
  ipam('no ranges', {}),
  ipam('an empty set', { ranges: [[]] }),
  ipam('host bits', { subnet: '10.9.0.5/24' }),
  ipam('a subnet too small', { subnet: '10.9.0.0/31' }),
  ipam('a subnet that is none', { subnet: 'ten' }),
  ipam('two families in a set', { ranges: [[{ subnet: '10.9.0.0/24' }, { subnet: 'fd09::/64' }]] }),
  ipam('sets that overlap', { ranges: [[{ subnet: '10.9.0.0/24' }], [{ subnet: '10.9.0.0/25' }]] }),
  ipam('ranges that overlap', { ranges: [[{ subnet: '10.9.0.0/24' }, { subnet: '10.9.0.0/25' }]] }),
  ipam('two of a family in 0.2.0', { ranges: [[{ subnet: '10.9.0.0/24' }], [{ subnet: '10.8.0.0/24' }]] }),
  ipam('a start outside', { subnet: '10.9.0.0/24', rangeStart: '10.8.0.1' }),
  ipam('an end outside', { subnet: '10.9.0.0/24', rangeEnd: '10.8.0.1' }),
  ipam('a gateway that is none', { subnet: '10.9.0.0/24', gateway: 'x' }),
  ipam('a route that is none', { subnet: '10.9.0.0/24', routes: [{ dst: 'x' }] }),
  ipam(
    'an address asked for',
    { subnet: '10.9.0.0/24' },
    { env: { CNI_ARGS: 'IgnoreUnknown=1;IP=10.9.0.77' } },
  ),
  ipam(
    'the gateway asked for',
    { subnet: '10.9.0.0/24' },
    { env: { CNI_ARGS: 'IgnoreUnknown=1;IP=10.9.0.1' } },
  ),
  ipam(
    'an address outside asked for',
    { subnet: '10.9.0.0/24' },
    { env: { CNI_ARGS: 'IgnoreUnknown=1;IP=10.8.0.7' } },
  ),
  ipam(
    'what is no address asked for',
    { subnet: '10.9.0.0/24' },
    { env: { CNI_ARGS: 'IgnoreUnknown=1;IP=x' } },
  ),
  ipam('resolvConf that is not there', { subnet: '10.9.0.0/24', resolvConf: '/nowhere' }),
  ipam(
    'a pool of one, taken',
    { ranges: [[{ subnet: '10.9.0.0/30', rangeStart: '10.9.0.2', rangeEnd: '10.9.0.2' }]] },
    { env: { CNI_ARGS: 'IgnoreUnknown=1;IP=10.9.0.3' } },
  ),
];

const chained: readonly Case[] = [
  portmap('a port', tcp),
  portmap('a port of UDP', { ...tcp, protocol: 'udp' }),
  portmap('a port in capitals', { HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }),
  portmap('a port of one address', { ...tcp, hostIP: '127.0.0.1' }),
  portmap('SCTP', { ...tcp, protocol: 'sctp' }),
  portmap('a protocol that is none', { ...tcp, protocol: 'icmp' }),
  portmap('no container port', { hostPort: 8080, protocol: 'tcp' }),
  portmap('a negative host port', { ...tcp, hostPort: -1 }),
  portmap('a host port beyond all', { ...tcp, hostPort: 70_000 }),
  portmap('a host address that is none', { ...tcp, hostIP: 'x' }),
  portmap('a mark bit beyond all', tcp, { markMasqBit: 32 }),
  portmap('a negative mark bit', tcp, { markMasqBit: -1 }),
  portmap('mark bit and mark chain', tcp, { markMasqBit: 5, externalSetMarkChain: 'KUBE-MARK-MASQ' }),
  portmap('conditions of iptables', tcp, { conditionsV4: ['-s', '192.0.2.0/24'] }),
  portmap('an unknown backend', tcp, { backend: 'ebtables' }),
  portmap('no prevResult', tcp, { prevResult: undefined }),
  portmap('ports as text', tcp, { runtimeConfig: { portMappings: 'all' } }),
  { what: 'no ports', plugin: 'portmap' },
  { what: 'DEL without ports', plugin: 'portmap', verb: 'DEL' },
  { what: 'CHECK of no ports', plugin: 'portmap', verb: 'CHECK' },
  bandwidth('both ways', { ingressRate: 8e6, ingressBurst: 8e5, egressRate: 8e6, egressBurst: 8e5 }),
  bandwidth('by the runtime', { runtimeConfig: { bandwidth: { ingressRate: 8e6, ingressBurst: 8e5 } } }),
  bandwidth('none', {}),
  bandwidth('a rate without a burst', { ingressRate: 8e6 }),
  bandwidth('a burst without a rate', { egressBurst: 8e5 }),
  bandwidth('a burst beyond all', { ingressRate: 8e6, ingressBurst: 2 ** 36 }),
  bandwidth('a negative rate', { ingressRate: -8, ingressBurst: 80 }),
  bandwidth('a rate as text', { ingressRate: 'fast' }),
  bandwidth('no prevResult', { prevResult: undefined, ingressRate: 8e6, ingressBurst: 8e5 }),
  { what: 'DEL of nothing', plugin: 'bandwidth', verb: 'DEL' },
  { what: 'lo', plugin: 'loopback', ifname: 'lo' },
  { what: 'DEL of lo', plugin: 'loopback', verb: 'DEL', ifname: 'lo' },
  { what: 'DEL of lo without a namespace', plugin: 'loopback', verb: 'DEL', ifname: 'lo', netns: '' },
  { what: 'a namespace that is not there', plugin: 'loopback', ifname: 'lo', netns: '/run/netns/nope' },
  { what: 'CHECK without prevResult', plugin: 'loopback', verb: 'CHECK', ifname: 'lo' },
];

export const cases: readonly Case[] = [
  ...skeleton,
  ...bridges,
  ...addresses.map((each) =>
    each.what.endsWith('0.2.0') ? { ...each, change: { ...each.change, cniVersion: '0.2.0' } } : each,
  ),
  ...chained,
];
