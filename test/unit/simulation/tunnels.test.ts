/**
 * What simulated agents program, put into real tunnels: handshakes, keys, allowed IPs and packets over a network that loses some, before
 * and after the leader of a location dies.
 * @module
 */
import { expect, it } from 'vitest';
import { nativePrimitives } from '../../../src/device/native-primitives.ts';
import { type Address, formatCidr } from '../../../src/noise/ip.ts';
import { Tunnel } from '../../../src/noise/tunnel.ts';
import { Chance } from '../../../src/simulation/chance.ts';
import { type Member, MeshSimulation } from '../../../src/simulation/mesh-simulation.ts';
import { CALM_SECONDS } from '../../../src/simulation/storm.ts';
import { seededRandom } from '../noise/fixtures.ts';
import { ipv4 } from '../noise/world.ts';

const LOSS = 0.1;
const LATENCY_MS = 20;

interface Flight {
  readonly at: number;
  readonly to: string;
  readonly source: Uint8Array;
  readonly bytes: Uint8Array;
}

/** Address and port, as tunnels write them. */
const record = (address: Address, port: number): Uint8Array =>
  Uint8Array.of(...address, port >> 8, port & 0xff);

class Devices {
  now = 1000;
  /** "from an address to an address", as they came out. */
  readonly arrived: string[] = [];
  readonly #tunnels = new Map<string, { tunnel: Tunnel; own: Uint8Array; peers: Map<string, number> }>();
  readonly #chance = new Chance(1);
  readonly #primitives = nativePrimitives(seededRandom(1));
  #flights: Flight[] = [];

  add({ shape, attachment }: Member, privateKey: Uint8Array): void {
    const own = record(attachment.publicAddress ?? shape.privateCIDR.address, attachment.port);
    const tunnel = new Tunnel({
      primitives: this.#primitives,
      output: {
        datagram: (bytes, address) => {
          if (this.#chance.isHit(LOSS)) return;
          const to = address.join();
          this.#flights.push({ at: this.now + LATENCY_MS, to, source: own, bytes: bytes.slice() });
        },
        packet: (bytes) =>
          this.arrived.push(`${bytes.slice(12, 16).join('.')} to ${bytes.slice(16, 20).join('.')}`),
      },
    });
    tunnel.setPrivateKey(privateKey);
    tunnel.up(this.now);
    this.#tunnels.set(shape.name, { tunnel, own, peers: new Map() });
  }

  /** As the host's agent has programmed it, by what differs. */
  sync({ shape, host }: Member): void {
    const device = this.#tunnels.get(shape.name);
    if (device === undefined) return;
    for (const [key, number] of device.peers) {
      if (host.peers.has(key)) continue;
      device.tunnel.removePeer(number);
      device.peers.delete(key);
    }
    for (const [key, peer] of host.peers) {
      const number = device.peers.get(key);
      if (number === undefined) device.peers.set(key, device.tunnel.addPeer(peer, this.now));
      else for (const range of peer.allowedIps) device.tunnel.allow(number, range);
    }
  }

  powerOff(name: string): void {
    this.#tunnels.delete(name);
  }

  send(from: string, source: Address, destination: Address): void {
    this.#tunnels.get(from)?.tunnel.send(ipv4(source, destination, 'x'), this.now);
  }

  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const devices = [...this.#tunnels.values()];
      const next = Math.min(
        ...this.#flights.map(({ at }) => at),
        ...devices.map(({ tunnel }) => tunnel.nextDeadline()),
      );
      if (next > end) break;
      this.now = Math.max(this.now, next);
      const due = this.#flights.filter(({ at }) => at <= this.now);
      this.#flights = this.#flights.filter(({ at }) => at > this.now);
      for (const { to, source, bytes } of due)
        devices.find(({ own }) => own.join() === to)?.tunnel.receive(bytes, source, this.now);
      for (const { tunnel } of devices) tunnel.tick(this.now);
    }
    this.now = end;
  }
}

const podOf = ({ shape }: Member): Address => {
  const address = Uint8Array.from(shape.podCIDR.address);
  address[3] = 9;
  return address;
};

it('tunnels carry what the agents let them carry, and go on when a leader dies', async () => {
  const simulation = new MeshSimulation({ seed: 1, nodes: 8, locations: 4, granularity: 'location' });
  await simulation.pass(CALM_SECONDS);
  const devices = new Devices();
  const members = [...simulation.members.values()];
  for (const [index, member] of members.entries())
    devices.add(member, Uint8Array.from(Buffer.from(simulation.secrets[index] ?? '', 'base64')));

  const everybodyReaches = (): void => {
    const alive = simulation.alive;
    for (const member of alive) devices.sync(member);
    const leaders = alive.filter(({ host }) => host.wireguardCIDR !== null);
    expect(leaders).toHaveLength(4);
    const wanted = leaders.flatMap((from) =>
      alive
        .filter(({ shape }) => shape.location !== from.shape.location)
        .map((to) => ({ from: from.shape.name, source: podOf(from), destination: podOf(to) })),
    );
    devices.arrived.length = 0;
    // Some are lost: what matters is that one comes through, and none by another way.
    for (let round = 0; round < 12; round++) {
      for (const { from, source, destination } of wanted) devices.send(from, source, destination);
      devices.run(2000);
    }
    const expected = wanted.map(
      ({ source, destination }) => `${source.join('.')} to ${destination.join('.')}`,
    );
    expect(new Set(devices.arrived)).toEqual(new Set(expected));
  };

  everybodyReaches();
  const first = members[0];
  if (first === undefined) throw new Error('nobody');
  const ranges = [
    ...(simulation.members.get('n0001')?.host.peers.get(first.attachment.key)?.allowedIps ?? []),
  ];
  expect(ranges.map(formatCidr)).toContain('10.64.4.0/24');
  simulation.powerOff(first);
  devices.powerOff('n0000');
  await simulation.pass(95);
  everybodyReaches();
});
