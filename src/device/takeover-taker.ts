/**
 * The side of a take-over that is new: gets ready, takes everything in, and runs once it has been told to. Until then it
 * touches nothing, and whenever something goes wrong it ends: the running process notices. The order of things, and why:
 * takeover.ts.
 * @module
 */
import { fstatSync, statSync } from 'node:fs';
import { sys } from '#sys';
import * as libc from '../linux/libc.ts';
import { CLONE_NEWNET, SystemError } from '../linux/sys.ts';
import { connectSeqpacket, peerCredentials } from '../linux/unix-socket.ts';
import { secretBytes } from '../noise/primitives.ts';
import { StateReader, StateWriter } from '../noise/state-bytes.ts';
import { adoptTun, type TunDevice } from '../tun/tun-device.ts';
import type { Device } from './device.ts';
import { MAGIC, Patience, READABLE_VERSIONS, TAKEOVER_VERSION } from './takeover.ts';
import { TakeoverChannel, takeoverError } from './takeover-channel.ts';
import { socketAddress } from './uapi-socket.ts';

/** More than 65,536 peers in full use come to. */
const LARGEST_STATE = 1 << 30;

export interface TakerOptions {
  readonly interfaceName: string;
  /** Of the socket that the running process listens on. */
  readonly path: string;
  /** The control socket is there: so somebody runs the interface, who knows of no take-over. */
  readonly isServed: () => boolean;
  /** Resolves when the device has failed. */
  readonly over: Promise<void>;
  /** A device that does nothing yet. */
  readonly makeDevice: (tun: TunDevice) => Device;
}

/** It runs here now; the other process waits to hear it. */
export interface Taken {
  readonly tun: TunDevice;
  readonly device: Device;
  readonly listener: number;
  readonly takeoverListener: number;
  /** To the control socket. */
  readonly connections: readonly number[];
  readonly formerPid: number;
  /** The last word: everything is served. Resolves when the other process has let go. */
  confirm(): Promise<void>;
}

/** @throws DeviceError ERR_DEVICE_TAKEOVER when there is nothing to take over, or the other side goes on. */
export async function takeOver(options: TakerOptions): Promise<Taken> {
  const channel = new TakeoverChannel(connectTo(options));
  try {
    return await converse(channel, options);
  } catch (error) {
    channel.close();
    throw error;
  }
}

function connectTo({ interfaceName, path, isServed }: TakerOptions): number {
  let fd: number;
  try {
    fd = connectSeqpacket(socketAddress(path));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.errno === libc.Errno.EACCES || error.errno === libc.Errno.EPERM) {
      throw takeoverError(`Another user runs ${interfaceName}: only that user may take it over.`, error);
    }
    if (isServed()) {
      throw takeoverError(`What runs ${interfaceName} cannot hand it over: restart it instead.`, error);
    }
    const start = `start it with 'kilowire device ${interfaceName}'`;
    throw takeoverError(
      `${interfaceName} does not run here, so there is nothing to take over: ${start}.`,
      error,
    );
  }
  const { uid } = peerCredentials(fd);
  if (uid === process.geteuid?.()) return fd;
  libc.close(fd);
  throw takeoverError(`User ${uid} runs ${interfaceName}: only that user may take it over.`);
}

async function converse(channel: TakeoverChannel, options: TakerOptions): Promise<Taken> {
  const hello = new StateWriter();
  hello.raw(MAGIC);
  hello.u32(TAKEOVER_VERSION);
  await channel.send('hello', Patience.state, hello.bytes);
  const offer = await channel.receive(['offer'], Patience.offer);
  const [tunFd, namespace] = offer.descriptors;
  const reader = new StateReader(offer.body);
  const isOurs = reader.raw(MAGIC.length).every((byte, index) => byte === MAGIC[index]);
  const version = reader.u32();
  const formerPid = reader.u32();
  if (!isOurs || tunFd === undefined || namespace === undefined) {
    throw takeoverError(`What runs ${options.interfaceName} offers nothing that can be taken over.`);
  }
  if (!READABLE_VERSIONS.includes(version)) {
    const known = READABLE_VERSIONS.join(', ');
    throw takeoverError(`The running release hands over in version ${version}; this one reads ${known}.`);
  }
  // Where the sockets of a later port will have to be.
  enter(namespace);
  libc.close(namespace);
  const tun = adoptTun(tunFd);
  const device = options.makeDevice(tun);
  const connections: number[] = [];
  const failed = options.over.then(() => {
    throw takeoverError(`${options.interfaceName} was deleted, or failed here.`);
  });
  failed.catch(() => undefined);
  try {
    await Promise.race([device.plane.answer('ready'), failed]);
    await channel.send('ready', Patience.state);
    const { state, descriptors, families } = await receiveState(channel, connections);
    const [listener, takeoverListener, ...sockets] = descriptors;
    if (listener === undefined || takeoverListener === undefined || sockets.length !== families.length) {
      throw takeoverError('The running process did not hand over all its sockets.');
    }
    try {
      const socketOf = (family: 4 | 6): number => sockets[families.indexOf(family)] ?? -1;
      await Promise.race([device.adopt(state, socketOf), failed]);
    } finally {
      state.fill(0);
    }
    await channel.send('prepared', Patience.state);
    await channel.receive(['commit'], Patience.commit);
    // From here on it is ours.
    await Promise.race([device.thaw(false), failed]);
    const confirm = async (): Promise<void> => {
      await channel.send('running', Patience.state).catch(() => undefined);
      await channel.receive(['bye'], Patience.bye).catch(() => undefined);
      channel.close();
    };
    return { tun, device, listener, takeoverListener, connections, formerPid, confirm };
  } catch (error) {
    await device.close();
    libc.close(tun.fd);
    throw error;
  }
}

function enter(namespace: number): void {
  const there = fstatSync(namespace, { bigint: true });
  const here = statSync('/proc/thread-self/ns/net', { bigint: true });
  if (there.ino !== here.ino || there.dev !== here.dev) sys.setns(namespace, CLONE_NEWNET);
}

interface ReceivedState {
  readonly state: Uint8Array;
  readonly descriptors: readonly number[];
  /** Of the descriptors after the two listeners. */
  readonly families: readonly (4 | 6)[];
}

async function receiveState(channel: TakeoverChannel, connections: number[]): Promise<ReceivedState> {
  let first = await channel.receive(['state', 'clients'], Patience.clients + Patience.state);
  while (first.kind === 'clients') {
    connections.push(...first.descriptors);
    first = await channel.receive(['state', 'clients'], Patience.state);
  }
  const reader = new StateReader(first.body);
  const length = reader.u32();
  const families = ([4, 6] as const).filter(() => reader.u8() === 1);
  const { descriptors } = first;
  if (length > LARGEST_STATE) throw takeoverError(`A state of ${length} bytes is more than there can be.`);
  const state = secretBytes(length);
  for (let at = 0; at < length; ) {
    const { body } = await channel.receive(['state'], Patience.state);
    if (body.length === 0 || at + body.length > length) throw takeoverError('The state is cut wrongly.');
    state.set(body, at);
    at += body.length;
  }
  channel.wipe();
  return { state, descriptors, families };
}
