/**
 * Where boringtun's control socket differs: it cannot change a peer it has (it stops, or refuses `update_only`), tells its public
 * key in place of the private one, and says how long ago a handshake was in place of when.
 * Source: boringtun 0.7 (device/api.rs, device/mod.rs); wireguard.com/xplatform for what it should be.
 * @module
 */
import type { DeviceConfig, DeviceStatus, PeerChange } from '../../noise/device-config.ts';
import { keyText } from '../../routing/key-text.ts';
import { publicKeyOf } from '../key-file.ts';

const OWN_KEY = /^own_public_key=([0-9a-f]{64})$/m;
/** It stands before the peers. */
const HEAD = 512;

/** Base64 of the public key it tells; undefined where the answer is anybody else's. */
export const boringtunKey = (answer: Buffer): string | undefined => {
  const hex = OWN_KEY.exec(answer.toString('latin1', 0, HEAD))?.[1];
  return hex === undefined ? undefined : Buffer.from(hex, 'hex').toString('base64');
};

/** @param now Unix ms */
export const inOurTime = (status: DeviceStatus, now: number): DeviceStatus => ({
  ...status,
  peers: status.peers.map((peer) => {
    const { seconds, nanoseconds } = peer.lastHandshake;
    if (seconds === 0 && nanoseconds === 0) return peer;
    return { ...peer, lastHandshake: { seconds: Math.floor(now / 1000) - seconds, nanoseconds: 0 } };
  }),
});

/** What it has, with the private key it would not tell where that is the wanted one. */
export const withOwnKey = (have: DeviceStatus, want: DeviceConfig, key: string): DeviceStatus =>
  want.privateKey !== undefined && publicKeyOf(want.privateKey) === key
    ? { ...have, privateKey: want.privateKey }
    : have;

/** A peer that is to be changed is taken away and comes again; its session with it. */
export const madeAnew = (change: PeerChange, want: DeviceConfig): readonly PeerChange[] => {
  if (change.updateOnly !== true) return [change];
  const key = keyText(change.publicKey);
  const wanted = want.peers.find(({ publicKey }) => keyText(publicKey) === key);
  const gone = { publicKey: change.publicKey, remove: true };
  return wanted === undefined ? [gone] : [gone, wanted];
};
