/**
 * Preshared keys between nodes, which nobody has to hand out: each node has a second X25519 key pair and publishes its public half;
 * the preshared key of two nodes comes from the secret that both halves make and from the two WireGuard keys, so it is another
 * after each rotation. A file for a node, as a post-quantum key exchange (Rosenpass) writes it, is mixed in, or stands alone.
 * Nothing secret is in the API.
 * Source: WireGuard paper §5.2 (the preshared key is mixed into every handshake); RFC 7748 §6.1, RFC 5869; the idea of deriving
 * them per rotation is Wormhole's.
 * @module
 */
import { createPrivateKey, createPublicKey, diffieHellman, hkdfSync, type KeyObject } from 'node:crypto';
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { parseBase64Key } from '../noise/base64-key.ts';
import { keyBytes } from '../routing/key-text.ts';
import type { Node } from '../routing/node.ts';
import { compareText } from '../routing/text-order.ts';
import type { SecretWith } from '../routing/wireguard-config.ts';
import { loadPresharedKeyPair, PKCS8_HEAD, publicKeyOf } from './key-file.ts';

/** RFC 8410 §4: what stands before the 32 bytes of an X25519 public key. */
const SPKI_HEAD = Buffer.from('302a300506032b656e032100', 'hex');
const INFO = 'kilowire preshared key 1';

export interface PresharedKeysOptions {
  /** Of the second key pair; a secret. Null: none is derived. */
  readonly privateKey: Uint8Array | null;
  /** A file for each node, named like it: 32 bytes in base64. */
  readonly directory: string | null;
}

export class PresharedKeys {
  readonly #directory: string | null;
  readonly #privateKey: KeyObject | null;
  /** By the other's second key: a Diffie-Hellman exchange for each of a thousand nodes takes longer than a pass may. */
  #shared = new Map<string, Uint8Array>();

  constructor({ privateKey, directory }: PresharedKeysOptions) {
    this.#directory = directory;
    this.#privateKey = privateKey === null ? null : privateKeyObject(privateKey);
  }

  /**
   * The preshared key between a node with `own` as its WireGuard key and another with `key`; undefined where one of both cannot do
   * it. A secret.
   */
  between(
    own: string,
    node: Pick<Node, 'name' | 'abilities' | 'pskKey'>,
    key: string,
  ): Uint8Array | undefined {
    const shared = this.#sharedWith(node);
    const file = this.#fileOf(node);
    if (shared === undefined) return file;
    const secret = Buffer.concat(file === undefined ? [shared] : [shared, file]);
    const salt = Buffer.concat([own, key].toSorted(compareText).map(keyBytes));
    const psk = new Uint8Array(hkdfSync('sha256', secret, salt, INFO, 32));
    secret.fill(0);
    file?.fill(0);
    return psk;
  }

  close(): void {
    for (const shared of this.#shared.values()) shared.fill(0);
    this.#shared.clear();
  }

  #sharedWith({ abilities, pskKey = '' }: Pick<Node, 'abilities' | 'pskKey'>): Uint8Array | undefined {
    if (this.#privateKey === null || abilities?.has('preshared-keys') !== true || pskKey === '')
      return undefined;
    const known = this.#shared.get(pskKey);
    if (known !== undefined) return known;
    try {
      const der = Buffer.concat([SPKI_HEAD, keyBytes(pskKey)]);
      const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' });
      const shared = diffieHellman({ privateKey: this.#privateKey, publicKey });
      this.#shared.set(pskKey, shared);
      return shared;
    } catch {
      return undefined; // a point of small order: it makes no secret
    }
  }

  /** Read anew each time: it is replaced every few minutes. */
  #fileOf({ name, abilities }: Pick<Node, 'name' | 'abilities'>): Uint8Array | undefined {
    if (this.#directory === null || abilities?.has('psk-dir') !== true) return undefined;
    try {
      return parseBase64Key(readFileSync(join(this.#directory, name), 'latin1').trim()) ?? undefined;
    } catch {
      return undefined; // there is none for this node
    }
  }
}

const privateKeyObject = (privateKey: Uint8Array): KeyObject => {
  const der = Buffer.concat([PKCS8_HEAD, privateKey]);
  const object = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  return object;
};

/** What an agent's options ask for; null: nothing. @throws AgentError when the second key pair cannot be kept. */
export const presharedKeysFor = (
  options: {
    readonly presharedKeys: boolean;
    readonly pskDirectory: string | null;
    readonly stateDirectory: string;
  },
  onChange: () => void,
): {
  readonly publicKey: string | undefined;
  readonly secretWith: SecretWith;
  readonly close: () => void;
} | null => {
  const { presharedKeys, pskDirectory: directory, stateDirectory } = options;
  if (!presharedKeys && directory === null) return null;
  const privateKey = presharedKeys ? loadPresharedKeyPair(stateDirectory) : null;
  const keys = new PresharedKeys({ privateKey, directory });
  const publicKey = privateKey === null ? undefined : publicKeyOf(privateKey);
  privateKey?.fill(0);
  const watcher = directory === null ? null : watchFolder(directory, onChange);
  return {
    publicKey,
    secretWith: (own, node, key) => keys.between(own, node, key),
    close: () => {
      watcher?.close();
      keys.close();
    },
  };
};

/** One that is not there yet is looked into at every pass all the same. */
const watchFolder = (directory: string, onChange: () => void): FSWatcher | null => {
  try {
    const watcher = watch(directory, { persistent: false }, onChange);
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return null;
  }
};
