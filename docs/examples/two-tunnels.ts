// Two WireGuard tunnels in one process: no root, no sockets, no clock but the one we make up.
import { randomBytes } from 'node:crypto';
import { cidr, noblePrimitives, Tunnel } from 'kilowire/noise';

const primitives = noblePrimitives((length) => randomBytes(length));

/** One side. What it sends goes into `wire`, what it receives for its own network into `inbox`. */
class Side {
  readonly keys = primitives.generateKeypair();
  /** Its address on the outer network: four bytes of IPv4, two of the port. */
  readonly address: Uint8Array;
  readonly wire: Uint8Array[] = [];
  readonly inbox: Uint8Array[] = [];
  readonly tunnel: Tunnel;

  constructor(lastByte: number) {
    this.address = Uint8Array.of(192, 0, 2, lastByte, 51820 >> 8, 51820 & 0xff);
    this.tunnel = new Tunnel({
      primitives,
      wallOffset: Date.now(),
      output: {
        // Both are lent until the call returns: copy what is kept.
        datagram: (bytes) => this.wire.push(bytes.slice()),
        packet: (bytes) => this.inbox.push(bytes.slice()),
      },
    });
    this.tunnel.setPrivateKey(this.keys.privateKey);
  }
}

const alice = new Side(1);
const bob = new Side(2);
let now = 0;

alice.tunnel.addPeer(
  {
    publicKey: bob.keys.publicKey,
    endpoint: { address: Uint8Array.of(192, 0, 2, 2), port: 51820 },
    allowedIps: [cidr('10.0.0.2/32')],
  },
  now,
);
// Bob knows no endpoint: he learns where Alice is from her first message.
bob.tunnel.addPeer({ publicKey: alice.keys.publicKey, allowedIps: [cidr('10.0.0.1/32')] }, now);
alice.tunnel.up(now);
bob.tunnel.up(now);

/** The outer network: carries datagrams until nobody has any, and tells what became of each. */
function carry(): void {
  for (;;) {
    const [from, to] = alice.wire.length > 0 ? [alice, bob] : [bob, alice];
    const datagram = from.wire.shift();
    if (datagram === undefined) return;
    now += 10;
    const outcome = to.tunnel.receive(datagram, from.address, now);
    console.log(`${from === alice ? 'alice → bob' : 'bob → alice'}  ${datagram.length} bytes: ${outcome}`);
  }
}

/** The smallest packet a tunnel takes for IPv4: a header and some text. */
function ipPacket(source: number, destination: number, text: string): Uint8Array {
  const body = new TextEncoder().encode(text);
  const packet = new Uint8Array(20 + body.length);
  packet.set([0x45, 0, 0, packet.length, 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, source, 10, 0, 0, destination]);
  packet.set(body, 20);
  return packet;
}

// There is no session yet: the packet waits while the two shake hands.
console.log('alice sends:', alice.tunnel.send(ipPacket(1, 2, 'hello'), now));
carry();
console.log('bob got:', new TextDecoder().decode(bob.inbox[0]?.subarray(20)));

console.log('bob sends:', bob.tunnel.send(ipPacket(2, 1, 'hello yourself'), now));
carry();
console.log('alice got:', new TextDecoder().decode(alice.inbox[0]?.subarray(20)));

// Timers are yours to call, when the tunnel says so: Alice has received something and sent nothing for ten seconds.
now = alice.tunnel.nextDeadline();
alice.tunnel.tick(now);
carry();
