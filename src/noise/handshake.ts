/**
 * The two handshake messages of Noise_IKpsk2, made and read.
 * Source: WireGuard paper §5.4.2 (initiation), §5.4.3 (response), §5.4.5 (transport keys). The paper's pseudo-code stands
 * as a comment over the code that does it. Nothing here changes a peer: results are values, and the caller commits them.
 * mac1 and mac2 are cookie.ts's; the messages made here still lack them.
 * @module
 */
import {
  INITIATION_EPHEMERAL,
  INITIATION_SIZE,
  INITIATION_STATIC,
  INITIATION_TIMESTAMP,
  type Initiation,
  RESPONSE_EMPTY,
  RESPONSE_EPHEMERAL,
  RESPONSE_SIZE,
  type Response,
  TYPE_INITIATION,
  TYPE_RESPONSE,
  writeHead,
  writeReceiver,
} from './messages.ts';
import { type KeyPair, type Primitives, wipe } from './primitives.ts';
import { SymmetricState } from './symmetric-state.ts';
import type { Tai64n } from './tai64n.ts';

/** What a handshake needs to know of the other side. */
export interface Remote {
  readonly publicKey: Uint8Array;
  /** Zeros when none is set. */
  readonly presharedKey: Uint8Array;
  /** DH(our static, their static), computed once; null when it is all zero. */
  readonly staticStatic: Uint8Array | null;
}

/** A state carries what the next message needs, and no more. */
export type HandshakeState =
  | { readonly step: 'idle' }
  | {
      readonly step: 'initiation-created';
      readonly localIndex: number;
      readonly ephemeral: KeyPair;
      readonly symmetric: SymmetricState;
    };

export type InitiationCreated = Extract<HandshakeState, { step: 'initiation-created' }>;

/** Lives only between reading an initiation and writing its response. */
export interface InitiationConsumed<R extends Remote> {
  readonly remote: R;
  readonly remoteIndex: number;
  readonly remoteEphemeral: Uint8Array;
  readonly timestamp: Tai64n;
  readonly symmetric: SymmetricState;
}

export interface TransportKeys {
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
}

export type HandshakeFault = 'zero-secret' | 'bad-static' | 'unknown-peer' | 'bad-timestamp' | 'bad-tag';

const EMPTY = new Uint8Array(0);

export function idle(): HandshakeState {
  return { step: 'idle' };
}

/** Leaves a state: whatever secret it held is gone. */
export function wipeHandshake(state: HandshakeState): void {
  if (state.step === 'idle') return;
  wipe(state.ephemeral.privateKey);
  state.symmetric.wipe();
}

// → e, es, s, ss
export function createInitiation(
  p: Primitives,
  local: KeyPair,
  remote: Remote,
  localIndex: number,
  timestamp: Tai64n,
): { message: Uint8Array; state: InitiationCreated } | 'zero-secret' {
  if (remote.staticStatic === null) return 'zero-secret';
  const message = new Uint8Array(INITIATION_SIZE);
  writeHead(message, TYPE_INITIATION, localIndex);
  // C_i := Hash(Construction); H_i := Hash(C_i ‖ Identifier); H_i := Hash(H_i ‖ Spub_r)
  const symmetric = SymmetricState.start(p, remote.publicKey);
  // (Epriv_i, Epub_i) := Dh-Generate()
  const ephemeral = p.generateKeypair();
  // C_i := Kdf1(C_i, Epub_i)
  symmetric.mixKey(ephemeral.publicKey);
  // msg.ephemeral := Epub_i; H_i := Hash(H_i ‖ msg.ephemeral)
  message.set(ephemeral.publicKey, INITIATION_EPHEMERAL);
  symmetric.mixHash(ephemeral.publicKey);
  // (C_i, κ) := Kdf2(C_i, Dh(Epriv_i, Spub_r))
  const ephemeralStatic = p.dh(ephemeral.privateKey, remote.publicKey);
  if (ephemeralStatic === null) {
    wipe(ephemeral.privateKey);
    symmetric.wipe();
    return 'zero-secret';
  }
  const staticKey = symmetric.mixKeyAndDerive(ephemeralStatic);
  wipe(ephemeralStatic);
  // msg.static := Aead(κ, 0, Spub_i, H_i); H_i := Hash(H_i ‖ msg.static)
  message.set(symmetric.seal(staticKey, local.publicKey), INITIATION_STATIC);
  // (C_i, κ) := Kdf2(C_i, Dh(Spriv_i, Spub_r))
  const timestampKey = symmetric.mixKeyAndDerive(remote.staticStatic);
  // msg.timestamp := Aead(κ, 0, Timestamp(), H_i); H_i := Hash(H_i ‖ msg.timestamp)
  message.set(symmetric.seal(timestampKey, timestamp), INITIATION_TIMESTAMP);
  return { message, state: { step: 'initiation-created', localIndex, ephemeral, symmetric } };
}

/** The responder's mirror. `findRemote` is asked for the peer once its public key is known to be genuine. */
export function consumeInitiation<R extends Remote>(
  p: Primitives,
  local: KeyPair,
  message: Initiation,
  findRemote: (publicKey: Uint8Array) => R | undefined,
): InitiationConsumed<R> | HandshakeFault {
  // C_r := Hash(Construction); H_r := Hash(C_r ‖ Identifier); H_r := Hash(H_r ‖ Spub_r)
  const symmetric = SymmetricState.start(p, local.publicKey);
  const fail = (fault: HandshakeFault): HandshakeFault => {
    symmetric.wipe();
    return fault;
  };
  const remoteEphemeral = Uint8Array.from(message.ephemeral);
  // C_r := Kdf1(C_r, Epub_i); H_r := Hash(H_r ‖ msg.ephemeral)
  symmetric.mixKey(remoteEphemeral);
  symmetric.mixHash(remoteEphemeral);
  // (C_r, κ) := Kdf2(C_r, Dh(Spriv_r, Epub_i))
  const ephemeralStatic = p.dh(local.privateKey, remoteEphemeral);
  if (ephemeralStatic === null) return fail('zero-secret');
  const staticKey = symmetric.mixKeyAndDerive(ephemeralStatic);
  wipe(ephemeralStatic);
  // Spub_i := Aead⁻¹(κ, 0, msg.static, H_r); H_r := Hash(H_r ‖ msg.static)
  const remoteStatic = symmetric.open(staticKey, message.encryptedStatic);
  if (remoteStatic === null) return fail('bad-static');
  const remote = findRemote(remoteStatic);
  if (remote === undefined) return fail('unknown-peer');
  if (remote.staticStatic === null) return fail('zero-secret');
  // (C_r, κ) := Kdf2(C_r, Dh(Spriv_r, Spub_i))
  const timestampKey = symmetric.mixKeyAndDerive(remote.staticStatic);
  // timestamp := Aead⁻¹(κ, 0, msg.timestamp, H_r); H_r := Hash(H_r ‖ msg.timestamp)
  const timestamp = symmetric.open(timestampKey, message.encryptedTimestamp);
  if (timestamp === null) return fail('bad-timestamp');
  return { remote, remoteIndex: message.sender, remoteEphemeral, timestamp, symmetric };
}

// ← e, ee, se, psk
export function createResponse(
  p: Primitives,
  { remote, remoteIndex, remoteEphemeral, symmetric }: InitiationConsumed<Remote>,
  localIndex: number,
): { message: Uint8Array; keys: TransportKeys } | 'zero-secret' {
  const message = new Uint8Array(RESPONSE_SIZE);
  writeHead(message, TYPE_RESPONSE, localIndex);
  writeReceiver(message, remoteIndex);
  // (Epriv_r, Epub_r) := Dh-Generate()
  const ephemeral = p.generateKeypair();
  // C_r := Kdf1(C_r, Epub_r)
  symmetric.mixKey(ephemeral.publicKey);
  // msg.ephemeral := Epub_r; H_r := Hash(H_r ‖ msg.ephemeral)
  message.set(ephemeral.publicKey, RESPONSE_EPHEMERAL);
  symmetric.mixHash(ephemeral.publicKey);
  const ephemeralEphemeral = p.dh(ephemeral.privateKey, remoteEphemeral);
  const ephemeralStatic = p.dh(ephemeral.privateKey, remote.publicKey);
  wipe(ephemeral.privateKey);
  if (ephemeralEphemeral === null || ephemeralStatic === null) {
    wipe(ephemeralEphemeral, ephemeralStatic);
    symmetric.wipe();
    return 'zero-secret';
  }
  // C_r := Kdf1(C_r, Dh(Epriv_r, Epub_i))
  symmetric.mixKey(ephemeralEphemeral);
  // C_r := Kdf1(C_r, Dh(Epriv_r, Spub_i))
  symmetric.mixKey(ephemeralStatic);
  wipe(ephemeralEphemeral, ephemeralStatic);
  // (C_r, τ, κ) := Kdf3(C_r, Q); H_r := Hash(H_r ‖ τ)
  const emptyKey = symmetric.mixPresharedKey(remote.presharedKey);
  // msg.empty := Aead(κ, 0, ε, H_r); H_r := Hash(H_r ‖ msg.empty)
  message.set(symmetric.seal(emptyKey, EMPTY), RESPONSE_EMPTY);
  // (T_r recv, T_r send) := Kdf2(C_r, ε)
  const [receiveKey, sendKey] = symmetric.split();
  symmetric.wipe();
  return { message, keys: { sendKey, receiveKey } };
}

/** The initiator's mirror. Works on a copy: after a fault the state still awaits the true response. */
export function consumeResponse(
  p: Primitives,
  local: KeyPair,
  remote: Remote,
  state: InitiationCreated,
  message: Response,
): TransportKeys | HandshakeFault {
  const symmetric = state.symmetric.copy();
  const remoteEphemeral = Uint8Array.from(message.ephemeral);
  // C_i := Kdf1(C_i, Epub_r); H_i := Hash(H_i ‖ msg.ephemeral)
  symmetric.mixKey(remoteEphemeral);
  symmetric.mixHash(remoteEphemeral);
  const ephemeralEphemeral = p.dh(state.ephemeral.privateKey, remoteEphemeral);
  const staticEphemeral = p.dh(local.privateKey, remoteEphemeral);
  if (ephemeralEphemeral === null || staticEphemeral === null) {
    wipe(ephemeralEphemeral, staticEphemeral);
    symmetric.wipe();
    return 'zero-secret';
  }
  // C_i := Kdf1(C_i, Dh(Epriv_i, Epub_r))
  symmetric.mixKey(ephemeralEphemeral);
  // C_i := Kdf1(C_i, Dh(Spriv_i, Epub_r))
  symmetric.mixKey(staticEphemeral);
  wipe(ephemeralEphemeral, staticEphemeral);
  // (C_i, τ, κ) := Kdf3(C_i, Q); H_i := Hash(H_i ‖ τ)
  const emptyKey = symmetric.mixPresharedKey(remote.presharedKey);
  // ε := Aead⁻¹(κ, 0, msg.empty, H_i)
  if (symmetric.open(emptyKey, message.encryptedEmpty) === null) {
    symmetric.wipe();
    return 'bad-tag';
  }
  // (T_i send, T_i recv) := Kdf2(C_i, ε)
  const [sendKey, receiveKey] = symmetric.split();
  symmetric.wipe();
  return { sendKey, receiveKey };
}
