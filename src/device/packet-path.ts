/**
 * What the data plane is made of: one slab, and in it the cipher's kernel, the tables and the buffers of both ways.
 * @module
 */
import { type Kernel, loadKernel } from '../aead/kernel.ts';
import { MAX_PEERS } from '../noise/constants.ts';
import { layOut, Transport } from '../noise/transport.ts';
import { Mailbox } from '../tun/mailbox.ts';
import { Slab } from '../tun/slab.ts';
import { dropNames } from './drops.ts';
import { Egress } from './egress.ts';
import { HandshakeGate } from './handshake-gate.ts';
import { Ingress } from './ingress.ts';
import type { PlaneBoot } from './plane-protocol.ts';

/** Staged packets of all peers together, in bytes. */
const STAGED_SIZE = 4 << 20;
/** Kernel, buffers and items; keypairs and endpoints come on top. Untouched pages cost nothing. */
const BUFFERS_SIZE = 4 << 20;

export class PacketPath {
  readonly slab: Slab;
  readonly kernel: Kernel;
  readonly transport: Transport;
  readonly egress: Egress;
  readonly gate: HandshakeGate;
  readonly ingress: Ingress;
  readonly drops = new Float64Array(dropNames.length);
  /** Where the packet buffers begin. */
  readonly #buffers: number;

  /** `onMail`: the mailbox of handshake messages has something again. */
  constructor(boot: PlaneBoot, onMail: () => void) {
    const layout = layOut(MAX_PEERS, STAGED_SIZE);
    const slab = new Slab(BUFFERS_SIZE + layout.size);
    const kernel = loadKernel(slab.memory, { crypto: boot.crypto, simd: boot.simd });
    slab.reserveKernel(kernel.heapBase());
    const base = slab.take(layout.size);
    this.#buffers = base + layout.size;
    const transport = new Transport({
      ...layout,
      memory: slab.bytes,
      endpoints: base + layout.endpoints,
      keypairs: base + layout.keypairs,
      staged: base + layout.staged,
      random: Math.random,
    });
    const { drops } = this;
    this.slab = slab;
    this.kernel = kernel;
    this.transport = transport;
    this.egress = new Egress(slab, kernel, transport, drops, boot.tunFd, MAX_PEERS);
    this.gate = new HandshakeGate(slab, kernel, drops, new Mailbox(boot.mailbox), onMail);
    this.ingress = new Ingress(slab, kernel, transport, drops, this.gate, boot.tunFd, boot.udpOffload);
  }

  /** At the end: the keys went with the peers' sessions; what is left of packets and of the cipher's scratch goes here. */
  wipe(): void {
    const { bytes, used } = this.slab;
    bytes.fill(0, 0, this.kernel.heapBase());
    bytes.fill(0, this.#buffers, used);
  }
}
