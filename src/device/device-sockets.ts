/**
 * The UDP sockets of an interface over its life: their port and mark, their replacement on a live device, and their
 * closing only once the data plane has let go of them.
 * @module
 */
import { closeUdpSockets, openUdpSockets, setMark, type UdpSockets } from '../tun/udp-socket.ts';
import type { Log } from './log.ts';
import type { PlaneCommand } from './plane-protocol.ts';

export class DeviceSockets {
  /** The port asked for, or the one the kernel picked. */
  port = 0;
  /** SO_MARK of what is sent; 0: none. */
  mark = 0;
  readonly #log: Log;
  readonly #tell: (command: PlaneCommand) => void;
  /** Open while the interface is up. */
  #sockets: UdpSockets | undefined;
  /** For each change that the data plane has not confirmed: the sockets it may still be using, if any. */
  readonly #retired: (UdpSockets | undefined)[] = [];

  constructor(log: Log, tell: (command: PlaneCommand) => void) {
    this.#log = log;
    this.#tell = tell;
  }

  get areOpen(): boolean {
    return this.#sockets !== undefined;
  }

  /** Opens them on `port`, in place of any open ones. False: it cannot be, and the log says why; then those stay. */
  open(tellWhyNot = true): boolean {
    let sockets: UdpSockets;
    try {
      sockets = openUdpSockets(this.port);
    } catch (error) {
      if (tellWhyNot) this.#log.error(error instanceof Error ? error.message : String(error));
      return false;
    }
    // Packets without their mark would be routed into the tunnel they come from.
    if (this.mark !== 0 && !setMark(sockets, this.mark)) {
      closeUdpSockets(sockets);
      const why = `The kernel does not let us mark packets (fwmark ${this.mark}): that takes NET_ADMIN`;
      if (tellWhyNot) this.#log.error(why);
      return false;
    }
    this.adopt(sockets);
    return true;
  }

  /** Goes on with sockets that are as they should be, port, mark and all. */
  adopt(sockets: UdpSockets): void {
    this.port = sockets.port;
    this.#replace(sockets);
    const { fd4, fd6, segmentation } = sockets;
    this.#tell({ kind: 'sockets', fd4, fd6, segmentation });
  }

  /** The open ones, if any. */
  get descriptors(): UdpSockets | undefined {
    return this.#sockets;
  }

  close(): void {
    this.#replace(undefined);
    this.#tell({ kind: 'sockets', fd4: -1, fd6: -1, segmentation: false });
  }

  /** False: the kernel does not let us; then the mark stays what it was. */
  setMark(mark: number): boolean {
    if (this.#sockets !== undefined && !setMark(this.#sockets, mark)) {
      setMark(this.#sockets, this.mark);
      return false;
    }
    this.mark = mark;
    return true;
  }

  #replace(sockets: UdpSockets | undefined): void {
    this.#retired.push(this.#sockets);
    this.#sockets = sockets;
  }

  /** The data plane has carried out the oldest change. */
  confirmed(): void {
    const retired = this.#retired.shift();
    if (retired !== undefined) closeUdpSockets(retired);
  }

  /** When there is no data plane any more. */
  closeAll(): void {
    for (const sockets of [...this.#retired, this.#sockets])
      if (sockets !== undefined) closeUdpSockets(sockets);
    this.#retired.length = 0;
    this.#sockets = undefined;
  }
}
