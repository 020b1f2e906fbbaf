/**
 * What an agent puts on its host, and takes away: against what Kilo left there, against bad members, against a dead device.
 * Tests named "kilo §10.4.N" are faults of Kilo's agent that this one must not have.
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRoot } from './host.ts';
import { HostWorld, keyOf, nodeOf } from './host-world.ts';

const self = nodeOf({ name: 'n1', number: 1, location: 'home', internalIP: '10.9.0.1/24' });
const neighbour = nodeOf({ name: 'n2', number: 2, location: 'home', internalIP: '10.9.0.2/24' });
const far = nodeOf({ name: 'n3', number: 3, location: 'cloud', internalIP: '10.7.0.3/24' });
const all = [self, neighbour, far];
const CONFLIST = '{"name":"kilo","plugins":[{"type":"bridge","ipam":{"type":"host-local"}}]}';
const always = { encapsulate: 'always' };

/** What Kilo's agent leaves when it is killed (table 1107, rules, chains), for a cluster that is no more. */
const KILO_NAT = `*nat
:KILO-NAT - [0:0]
-A POSTROUTING -s 10.42.1.0/24 -m comment --comment "Kilo: jump to KILO-NAT chain" -j KILO-NAT
-A POSTROUTING -s 10.5.0.9/32 -m comment --comment "Kilo: jump to NAT chain" -j KILO-NAT
-A KILO-NAT -d 10.42.99.0/24 -m comment --comment "Kilo: do not NAT packets destined for known IPs" -j RETURN
-A KILO-NAT -m comment --comment "Kilo: NAT remaining packets" -j MASQUERADE
COMMIT
*filter
:KILO-IPIP - [0:0]
-A INPUT -p 4 -m comment --comment "Kilo: jump to IPIP chain" -j KILO-IPIP
-A INPUT -p 4 -m comment --comment "Kilo: reject other IPIP traffic" -j DROP
-A FORWARD -s 10.42.99.0/24 -m comment --comment "Kilo: forward packets from the pod subnet" -j ACCEPT
-A KILO-IPIP -s 10.9.0.99/32 -m comment --comment "Kilo: allow IPIP traffic" -j ACCEPT
COMMIT
`;

/** An administrator's own, which nobody may touch. */
const FOREIGN = `*filter
:MINE - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -m comment --comment "Kilo: not a comment of Kilo" -j ACCEPT
-A MINE -s 10.42.0.0/16 -j RETURN
COMMIT
*nat
-A POSTROUTING -s 192.168.7.0/24 -j MASQUERADE
COMMIT
`.replace('Kilo: not a comment of Kilo', 'mine: Kilo: not a comment of Kilo');

describe.skipIf(!isRoot)("an agent's host", () => {
  let world: HostWorld;
  let pristine: string;
  const ip = (...args: string[]): string => world.host.ip(...args);
  const routes = (): string => ip('route', 'show', 'table', 'all', 'proto', 'static');
  const restore = (text: string): string =>
    world.host.exec('sh', '-c', `iptables-restore --noflush <<'END'\n${text}END`);

  beforeAll(async () => {
    world = new HostWorld('kwah-h');
    await world.ready();
    restore(FOREIGN);
    ip('route', 'add', '198.51.100.0/24', 'via', '10.9.0.254', 'proto', 'static');
    ip('rule', 'add', 'from', '192.168.7.0/24', 'lookup', '77');
    await world.pass([self], { clean: true });
    pristine = await world.state();
  });
  afterAll(() => world?.remove());

  it('kilo §10.4.9: is left as it was found, with everything of ours gone and nothing else', async () => {
    const cniPath = world.folder.write('10-kilo.conflist', CONFLIST);
    const flags = { ...always, iptablesForwardRules: true, cni: true, cniPath };
    const peers = [
      { metadata: { name: 'laptop' }, spec: { publicKey: keyOf(60), allowedIPs: ['10.5.0.1/32'] } },
    ];
    const { faults } = (await world.pass(all, { flags, peers })) ?? {};
    expect(faults).toEqual([]);
    expect(await world.state()).not.toBe(pristine);
    expect(world.host.exec('iptables-save')).toContain('KILO-IPIP');
    expect((await world.pass(all, { flags, peers, clean: true }))?.faults).toEqual([]);
    expect(await world.state()).toBe(pristine);
  });

  it('kilo §10.4.6: loses the routes of table 1107 with the node they led to', async () => {
    await world.pass(all, { flags: always });
    expect(routes()).toContain('10.9.0.2 via 10.9.0.2 dev tunl0 table 1107');
    expect(ip('rule')).toContain('to 10.9.0.2 iif kilo0 lookup 1107');
    await world.pass([self, far], { flags: always });
    expect(routes()).not.toContain('table 1107');
    expect(ip('rule')).not.toContain('1107');
  });

  it('takes over what a killed Kilo left, and clears away what of it is no more', async () => {
    const cniPath = world.folder.write('10-kilo.conflist', CONFLIST);
    restore(KILO_NAT);
    ip('route', 'add', '10.42.99.0/24', 'via', '10.4.0.9', 'dev', 'kilo0', 'proto', 'static', 'onlink');
    ip(
      'route',
      'add',
      '10.9.0.99',
      'via',
      '10.9.0.99',
      'dev',
      'tunl0',
      'proto',
      'static',
      'onlink',
      'table',
      '1107',
    );
    ip('rule', 'add', 'to', '10.9.0.99', 'iif', 'kilo0', 'lookup', '1107');
    await world.pass(all, { flags: { ...always, cni: true, cniPath } });
    const filter = world.host.exec('iptables-save');
    expect(filter).not.toMatch(/10\.42\.99\.0|10\.9\.0\.99|10\.5\.0\.9/);
    expect(filter).toContain(
      '-s 10.42.1.0/24 -m comment --comment "Kilo: jump to KILO-NAT chain" -j KILO-NAT',
    );
    expect(filter.match(/Kilo: NAT remaining packets/g)).toHaveLength(1);
    expect(routes()).not.toMatch(/10\.42\.99\.0|10\.9\.0\.99/);
    expect(ip('rule')).not.toContain('10.9.0.99');
  });

  it('kilo §10.4.2: gets every change also when a Peer has no endpoint and has never been heard', async () => {
    const silent = { metadata: { name: 'a' }, spec: { publicKey: keyOf(0), allowedIPs: ['10.5.0.2/32'] } };
    await world.pass([self, far], { peers: [silent] });
    const moved = nodeOf({ name: 'n3', number: 3, location: 'cloud', internalIP: '10.7.0.33/24' });
    await world.pass([self, moved], { peers: [silent] });
    const state = await world.state();
    expect(state).toContain('10.7.0.33/32');
    expect(state).not.toContain('10.7.0.3/32');
    // And once it is right, it is left alone.
    expect((await world.pass([self, moved], { peers: [silent] }))?.changes).toEqual([]);
  });

  it('kilo §10.4.4: has its routes, without a source, when the private address is not on it', async () => {
    const stale = nodeOf({ name: 'n1', number: 1, location: 'home', internalIP: '10.9.0.77/24' });
    const { faults = [] } = (await world.pass([stale, far])) ?? {};
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(/^internal-ip-not-on-host: The private address 10\.9\.0\.77 /);
    expect(routes()).toMatch(/10\.42\.3\.0\/24 via 10\.4\.0\.1 dev kilo0 onlink/);
  });

  it('kilo §10.4.5: routes a range with host bits, and touches nothing for it again', async () => {
    const wide = nodeOf({
      name: 'n3',
      number: 3,
      location: 'cloud',
      internalIP: '10.7.0.3/24',
      annotations: { 'kilo.squat.ai/allowed-location-ips': '172.20.3.9/24' },
    });
    const peers = [{ metadata: { name: 'p' }, spec: { publicKey: keyOf(60), allowedIPs: ['10.5.1.1/24'] } }];
    expect((await world.pass([self, wide], { peers }))?.faults).toEqual([]);
    expect(routes()).toMatch(/^10\.5\.1\.0\/24 dev kilo0/m);
    expect(routes()).toMatch(/^172\.20\.3\.0\/24 via 10\.4\.0\.1 dev kilo0/m);
    expect(await world.pass([self, wide], { peers })).toEqual({ faults: [], changes: [] });
  });

  it('kilo §10.4.16: with one private address claimed twice decides the same every time', async () => {
    const twin = nodeOf({ name: 'n4', number: 4, location: 'other', internalIP: '10.7.0.3/24' });
    await world.pass([self, far, twin]);
    const one = routes();
    expect(one.match(/^10\.7\.0\.3 /gm)).toHaveLength(1);
    await world.pass([twin, far, self], { remove: true });
    expect(routes()).toBe(one);
  });

  it('kilo §10.4.22: drops no IPIP of others in a full mesh, where nobody is let in', async () => {
    await world.pass(all, { flags: { ...always, meshGranularity: 'full' } });
    expect(world.host.exec('iptables-save')).not.toMatch(/KILO-IPIP|reject other IPIP/);
    await world.pass(all, { flags: { ...always, dropOtherIpipTraffic: false } });
    expect(world.host.exec('iptables-save')).toMatch(/-j KILO-IPIP/);
    expect(world.host.exec('iptables-save')).not.toContain('reject other IPIP');
  });

  it('lets nothing for pods behind a tunnel out in clear while the tunnel is down', async () => {
    await world.pass([self, far]);
    expect(ip('route', 'get', '10.42.3.7')).toContain('dev kilo0');
    ip('link', 'set', 'kilo0', 'down');
    expect(() => ip('route', 'get', '10.42.3.7')).toThrow(/unreachable|No route/i);
    // The node itself is still reached as before: the API server may be behind it.
    expect(ip('route', 'get', '10.7.0.3')).toContain('via 10.9.0.254 dev eth0');
    await world.pass([self, far], { flags: { failClosed: false } });
    expect(routes()).not.toContain('unreachable');
    expect(ip('route', 'get', '10.42.3.7')).toContain('dev kilo0');
  });

  it.each([
    ['flannel', '10.42.2.0'],
    ['cilium', '10.42.2.99'],
  ])('beside %s sends what comes out of the tunnel back by the overlay', async (compatibility, gateway) => {
    await world.pass(all, { flags: always, clean: true });
    const overlay = compatibility === 'flannel' ? 'flannel.1' : 'cilium_tunl';
    ip('link', 'add', overlay, 'type', 'veth', 'peer', 'name', 'to-overlay');
    ip('link', 'set', overlay, 'up');
    const member = nodeOf({
      name: 'n2',
      number: 2,
      location: 'home',
      internalIP: '10.9.0.2/24',
      annotations: { 'kilo.squat.ai/cni-compatibility-ip': '10.42.2.99/32' },
    });
    const leader = nodeOf({
      name: 'n1',
      number: 1,
      location: 'home',
      internalIP: '10.9.0.1/24',
      annotations: { 'kilo.squat.ai/leader': '' },
    });
    const flags = { ...always, compatibility, local: false };
    // Its own route to pods elsewhere, in clear.
    ip('route', 'add', '10.42.3.0/24', 'via', '10.42.3.0', 'dev', overlay, 'onlink');
    expect((await world.pass([leader, member, far], { flags }))?.faults).toEqual([]);
    expect(routes()).toContain(`10.9.0.2 via ${gateway} dev ${overlay} table 1107 onlink`);
    expect(ip('route', 'get', '10.42.3.7')).toContain('dev kilo0');
    expect(ip('rule')).toContain('to 10.9.0.2 iif kilo0 lookup 1107');
    expect(world.host.exec('iptables-save')).not.toContain('KILO-IPIP');
    expect((await world.pass([leader, member, far], { flags, clean: true }))?.faults).toEqual([]);
    expect(ip('link')).toContain(overlay);
    ip('link', 'del', overlay);
    expect(await world.state()).toBe(pristine);
  });
});
