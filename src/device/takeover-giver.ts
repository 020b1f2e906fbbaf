/**
 * The side of a take-over that is running: listens for a process that wants to take over, and stands still, hands over
 * and lets go, or goes on. The order of things, and why: takeover.ts.
 * @module
 */
import { closeSync, lstatSync, openSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import * as libc from '../linux/libc.ts';
import { ProcessHandle } from '../linux/process-handle.ts';
import { type ReadinessWatch, watchReadable } from '../linux/readiness.ts';
import { acceptConnection, listenSeqpacket, MAX_DESCRIPTORS, peerCredentials } from '../linux/unix-socket.ts';
import { INITIATION_FLOOD_INTERVAL } from '../noise/constants.ts';
import { StateWriter } from '../noise/state-bytes.ts';
import type { TunDevice } from '../tun/tun-device.ts';
import type { Device, FrozenDevice } from './device.ts';
import type { Log } from './log.ts';
import { MAGIC, Patience, PIECE, TAKEOVER_VERSION } from './takeover.ts';
import { readable, TakeoverChannel, takeoverError } from './takeover-channel.ts';
import type { UapiServer } from './uapi-server.ts';
import { socketAddress } from './uapi-socket.ts';

/** How long a killed process may take to be dead, in ms; it may have to write gigabytes of core first. */
const DEATH = 30_000;
const CONNECTIONS_AT_ONCE = MAX_DESCRIPTORS - 3;

export interface GiverOptions {
  readonly device: Device;
  readonly server: UapiServer;
  readonly tun: TunDevice;
  readonly log: Log;
  /** Another process runs the interface now. */
  readonly onTaken: () => void;
}

/** A socket for processes of our own user at the path. Whoever serves the interface may replace what is there. */
export function listenForTakeover(path: string): number {
  const address = socketAddress(path);
  const inTheWay = lstatSync(path, { throwIfNoEntry: false });
  if (inTheWay !== undefined && !inTheWay.isSocket()) {
    throw takeoverError(`${path} is in the way and is no socket: move it.`);
  }
  rmSync(path, { force: true });
  return listenSeqpacket(address);
}

/** A second process waits in the backlog until the first has taken over or failed, and then asks whoever runs. */
export class TakeoverGiver {
  readonly #options: GiverOptions;
  readonly #listener: number;
  #watch: ReadinessWatch | undefined;
  #underWay: Promise<void> = Promise.resolve();
  #closed = false;
  #channel: TakeoverChannel | undefined;
  /** Packets wait: soon it is over. */
  #standsStill = false;

  /** `listener` is ours from now on. */
  constructor(options: GiverOptions, listener: number) {
    this.#options = options;
    this.#listener = listener;
    this.#wait();
  }

  /**
   * Begins no other, and gives up one that has not come to standing still. Resolves when it is decided whose the
   * interface is.
   */
  async finish(): Promise<void> {
    this.#closed = true;
    this.#watch?.close();
    this.#watch = undefined;
    if (!this.#standsStill) this.#channel?.giveUp();
    await this.#underWay;
  }

  #wait(): void {
    if (this.#closed) return;
    this.#watch = watchReadable(this.#listener, () => {
      const fd = acceptConnection(this.#listener);
      if (fd < 0) return;
      this.#watch?.close();
      this.#watch = undefined;
      this.#underWay = this.#serve(fd).finally(() => this.#wait());
    });
  }

  async #serve(fd: number): Promise<void> {
    const channel = new TakeoverChannel(fd);
    this.#channel = channel;
    const { log, onTaken } = this.#options;
    let handle: ProcessHandle | undefined;
    try {
      const { uid, pid } = peerCredentials(fd);
      if (uid !== process.geteuid?.()) throw takeoverError(`A process of user ${uid} may not take over.`);
      handle = ProcessHandle.open(pid);
      if (handle === undefined) throw takeoverError('A take-over needs Linux 5.3, and one pid namespace.');
      if (await this.#giveTo(channel, handle)) {
        this.#closed = true;
        onTaken();
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (!this.#closed) log.error(`Take-over: ${why} This process goes on.`);
      await channel.send('refused', 0, new TextEncoder().encode(why)).catch(() => undefined);
    } finally {
      this.#standsStill = false;
      this.#channel = undefined;
      handle?.close();
      channel.close();
    }
  }

  /** True: the other process runs the interface. Throws, or answers false, when we go on. */
  async #giveTo(channel: TakeoverChannel, handle: ProcessHandle): Promise<boolean> {
    const { device, server, tun, log } = this.#options;
    const hello = await channel.receive(['hello'], Patience.offer);
    if (!MAGIC.every((byte, index) => hello.body[index] === byte))
      throw takeoverError('That was no greeting.');
    const namespace = openSync('/proc/thread-self/ns/net', 'r');
    try {
      await channel.send('offer', Patience.state, offer(), [tun.fd, namespace]);
    } finally {
      closeSync(namespace);
    }
    // Whoever says this now was alive when its handle was opened: the handle is that process's.
    await channel.receive(['ready'], Patience.ready);
    this.#standsStill = true;
    const connections = await server.pause(Patience.clients);
    const times = [performance.now()];
    let committed = false;
    try {
      const frozen = await device.freeze();
      times.push(performance.now());
      await this.#send(channel, frozen, connections);
      await channel.receive(['prepared'], Patience.prepared);
      times.push(performance.now());
      await channel.send('commit', Patience.state);
      committed = true;
      await channel.receive(['running'], Patience.running);
    } catch (error) {
      if (committed) {
        await makeSureDead(handle);
        // A peer passes over an initiation so soon after one that the dead process may have sent.
        await sleep(2 * INITIATION_FLOOD_INTERVAL);
      }
      await device.thaw(committed);
      server.resume();
      throw error;
    }
    times.push(performance.now());
    // From now on nothing of ours keeps a port.
    device.closeSockets();
    const [all, ...parts] = [times, times.slice(0, 2), times.slice(1, 3), times.slice(2)].map((some) =>
      ((some.at(-1) ?? 0) - (some[0] ?? 0)).toFixed(1),
    );
    const how = `stopping, handing over and starting took ${parts.join(', ')}`;
    log.verbose(`Take-over: process ${handle.pid} runs the interface, after ${all} ms (${how})`);
    await channel.send('bye', Patience.bye).catch(() => undefined);
    return true;
  }

  async #send(channel: TakeoverChannel, frozen: FrozenDevice, connections: readonly number[]): Promise<void> {
    const { state, sockets } = frozen;
    try {
      for (let at = 0; at < connections.length; at += CONNECTIONS_AT_ONCE) {
        const some = connections.slice(at, at + CONNECTIONS_AT_ONCE);
        await channel.send('clients', Patience.state, undefined, some);
      }
      const descriptors = [this.#options.server.listener, this.#listener, sockets.fd4, sockets.fd6];
      const head = new StateWriter();
      head.u32(state.bytes.length);
      for (const fd of [sockets.fd4, sockets.fd6]) head.u8(fd < 0 ? 0 : 1);
      const given = descriptors.filter((fd) => fd >= 0);
      await channel.send('state', Patience.state, head.bytes, given);
      for (let at = 0; at < state.bytes.length; at += PIECE) {
        await channel.send('state', Patience.state, state.bytes.subarray(at, at + PIECE));
      }
    } finally {
      state.wipe();
    }
  }

  /** After `finish`. */
  close(): void {
    libc.close(this.#listener);
  }
}

function offer(): Uint8Array {
  const writer = new StateWriter();
  writer.raw(MAGIC);
  writer.u32(TAKEOVER_VERSION);
  writer.u32(process.pid);
  return writer.bytes;
}

/** Resolves only when it is: while it may live, nothing of ours may move. */
async function makeSureDead(handle: ProcessHandle): Promise<void> {
  while (!handle.hasEnded) {
    handle.kill();
    await readable(handle.descriptor, DEATH);
  }
}
