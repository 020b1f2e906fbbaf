/**
 * What `import { Device } from 'kilowire/device'` gives: a WireGuard interface run from code, as kilowire-wg runs one from
 * the command line. Linux, with the right to make interfaces (root, or CAP_NET_ADMIN).
 *
 *     const device = await Device.start({ name: 'wg0', config: { privateKey, peers }, addresses: [cidr('10.0.0.1/24')] });
 *     device.on('handshake', ({ role }) => console.log('a session,', role));
 *     await device.apply({ peers: [{ publicKey, remove: true }] });
 *     await device.close();
 *
 * This is the package's face and nothing else: no source of ours imports it. What is listed here keeps its meaning
 * within a major version; what is not may change any day.
 * @module
 */
import { EventEmitter } from 'node:events';
import { replaceAddress } from '../linux/address.ts';
import * as libc from '../linux/libc.ts';
import { changeLink, linkIndex } from '../linux/link.ts';
import { openRouteSocket } from '../linux/rtnetlink.ts';
import type { DeviceChange, DeviceConfig, DeviceStatus } from '../noise/device-config.ts';
import { type Cidr, formatCidr } from '../noise/ip.ts';
import { UapiConversation } from '../noise/uapi-conversation.ts';
import { formatSet, parseSetReply } from '../noise/uapi-text.ts';
import { openTun, type TunDevice } from '../tun/tun-device.ts';
import { Device as ControlThread } from './device.ts';
import { DeviceError } from './device-error.ts';
import type { DeviceEvent, DropEvent, HandshakeEvent, RoamEvent } from './device-event.ts';
import { Log, type LogLevel } from './log.ts';
import { UapiServer } from './uapi-server.ts';
import { listenUapi, SocketFile, uapiDirectory, uapiPath } from './uapi-socket.ts';

export type {
  DeviceChange,
  DeviceConfig,
  DeviceStatus,
  PeerChange,
  PeerConfig,
  PeerStatus,
} from '../noise/device-config.ts';
export { replaceWith } from '../noise/device-config.ts';
export type { Address, Cidr, Endpoint } from '../noise/ip.ts';
export { TunError } from '../tun/tun-error.ts';
export { DeviceError, type DeviceErrorCode } from './device-error.ts';
export type { DropEvent, HandshakeEvent, RoamEvent } from './device-event.ts';
export type { LogLevel } from './log.ts';

/** How often drops are counted while somebody listens for them, in ms. */
const DROP_INTERVAL = 1000;

const errnoSentences: Readonly<Record<number, string>> = {
  22: 'a value in it is not allowed, or there are too many peers',
  98: 'the port is in use, or marking packets is not allowed',
};

/** What an interface is started with. */
export interface DeviceStart {
  /** Of the interface: at most 15 bytes. `wg%d` takes the next free number. */
  readonly name: string;
  readonly config?: DeviceConfig;
  /** Given to the interface, host bits and all. */
  readonly addresses?: readonly Cidr[];
  /** 1420 without it. */
  readonly mtu?: number;
  /** False: leave the interface down; `ip link set NAME up` then opens the port. */
  readonly up?: boolean;
  /** Serve `wg` on /var/run/wireguard/NAME.sock. True without it. */
  readonly controlSocket?: boolean;
  /** What goes to standard output; `silent` without it. */
  readonly log?: LogLevel;
  /** `noble`: all cryptography on @noble, slowly. */
  readonly crypto?: 'wasm' | 'noble';
  /** The widest instructions the cipher may use; it finds out by itself what the processor can. */
  readonly simd?: 128 | 256;
}

/** Event → what listeners get. */
export interface DeviceEvents {
  /** New keys were agreed with a peer. */
  handshake: [event: HandshakeEvent];
  /** The same, when it took the place of a session still in use: every two minutes under traffic. */
  rekey: [event: HandshakeEvent];
  /** A peer was heard from somewhere else. */
  roam: [event: RoamEvent];
  /** Packets were dropped. Counted once a second while there is a listener, and not at all without one. */
  drop: [event: DropEvent];
  /** The interface was deleted, or its thread failed (then with the error). Call `close`. */
  gone: [error?: Error];
}

/** One WireGuard interface and the thread that moves its packets. */
export class Device extends EventEmitter<DeviceEvents> {
  /** As the kernel has it. */
  readonly name: string;
  readonly #tun: TunDevice;
  readonly #control: ControlThread;
  #server: UapiServer | undefined;
  #socketFile: SocketFile | undefined;
  #stopWatching: (() => void) | undefined;
  #counting: NodeJS.Timeout | undefined;
  #counted: Readonly<Record<string, number>> = {};
  #closing: Promise<void> | undefined;

  private constructor(tun: TunDevice, options: DeviceStart) {
    super();
    this.name = tun.name;
    this.#tun = tun;
    this.#control = new ControlThread({
      tun,
      log: new Log(tun.name, options.log ?? 'silent'),
      crypto: options.crypto ?? 'wasm',
      simd: options.simd ?? 256,
      onGone: (error) => this.#gone(error),
      onEvent: (event) => this.#tell(event),
    });
    this.#watchListeners(this);
  }

  #watchListeners(emitter: EventEmitter): void {
    emitter.on('newListener', (name) => {
      if (name === 'drop') this.#countDrops();
    });
    emitter.on('removeListener', () => {
      if (emitter.listenerCount('drop') === 0) this.#stopCounting();
    });
  }

  /**
   * Makes the interface, configures it and brings it up. When something fails nothing is left behind.
   * @throws TunError when the interface cannot be made, DeviceError when it cannot be configured or is served already.
   */
  static async start(options: DeviceStart): Promise<Device> {
    const tun = openTun(options.name);
    let device: Device;
    try {
      device = new Device(tun, options);
    } catch (error) {
      libc.close(tun.fd);
      throw error;
    }
    try {
      if (options.config !== undefined) await device.apply(options.config);
      if (options.controlSocket !== false) await device.#serve();
      device.#setLink(options);
      return device;
    } catch (error) {
      await device.close();
      throw error;
    }
  }

  /** What is configured, and every peer's endpoint, counters and last handshake. Copies: wipe the keys in it after use. */
  async status(): Promise<DeviceStatus> {
    this.#assertOpen();
    return structuredClone(await this.#control.status(true));
  }

  /** How many packets and messages were dropped, by reason, since the start. */
  async drops(): Promise<Record<string, number>> {
    this.#assertOpen();
    return this.#control.drops();
  }

  /**
   * Changes what is named and leaves the rest; `replaceWith(config)` makes it exactly that.
   * @throws DeviceError when a part is refused; what came before that part stays applied.
   */
  async apply(change: DeviceChange): Promise<void> {
    this.#assertOpen();
    let answer = '';
    // The way wg(8) takes, with its checks.
    const conversation = new UapiConversation({
      get: () => undefined,
      set: () => this.#control.configure(),
      reply: (text) => {
        answer = text;
      },
    });
    for (const chunk of formatSet(change)) conversation.push(chunk);
    const errno = parseSetReply(answer);
    if (errno === 0) return;
    const why = errnoSentences[errno] ?? `errno ${errno}`;
    throw new DeviceError('ERR_DEVICE_CONFIGURATION', `${this.name} refused its configuration: ${why}.`);
  }

  /** Deletes the interface, wipes the keys and ends the thread. Resolves when all of it is done. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #end(): Promise<void> {
    this.#stopCounting();
    this.#stopWatching?.();
    this.#server?.close();
    this.#socketFile?.remove();
    await this.#control.close();
    libc.close(this.#tun.fd);
  }

  async #serve(): Promise<void> {
    const path = uapiPath(uapiDirectory(process.env), this.name);
    const listener = await listenUapi(path);
    this.#socketFile = new SocketFile(path);
    this.#server = new UapiServer(this.#control, listener, (error) => this.#gone(error));
    this.#stopWatching = this.#socketFile.onGone(() => this.#gone());
  }

  #assertOpen(): void {
    if (this.#closing === undefined) return;
    throw new DeviceError('ERR_DEVICE_GONE', `${this.name} is closed: start it anew.`);
  }

  #setLink({ addresses = [], mtu, up = true }: DeviceStart): void {
    const socket = openRouteSocket();
    try {
      const link = linkIndex(socket, this.name);
      socket.batch([
        ...addresses.map((address) => replaceAddress({ link, address: formatCidr(address) })),
        changeLink(link, { ...(mtu === undefined ? {} : { mtu }), ...(up ? { up } : {}) }),
      ]);
    } finally {
      socket.close();
    }
  }

  #gone(error?: Error): void {
    if (this.#closing !== undefined) return;
    if (error === undefined) this.emit('gone');
    else this.emit('gone', error);
  }

  #tell(event: DeviceEvent): void {
    if (event.kind === 'roam') {
      const { publicKey, endpoint } = event;
      this.emit('roam', { publicKey, endpoint });
      return;
    }
    const { publicKey, role, roundTrip } = event;
    this.emit('handshake', { publicKey, role, roundTrip });
    if (event.replacesSession) this.emit('rekey', { publicKey, role, roundTrip });
  }

  #countDrops(): void {
    if (this.#counting !== undefined || this.#closing !== undefined) return;
    const count = async (): Promise<void> => {
      const now = await this.#control.drops();
      for (const [reason, total] of Object.entries(now)) {
        const more = total - (this.#counted[reason] ?? 0);
        if (more > 0) this.emit('drop', { reason, count: more });
      }
      this.#counted = now;
    };
    this.#counting = setInterval(() => void count(), DROP_INTERVAL);
    this.#counting.unref();
  }

  #stopCounting(): void {
    clearInterval(this.#counting);
    this.#counting = undefined;
  }
}
