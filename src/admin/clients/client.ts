/**
 * A client (a laptop, a phone, a router) as a Peer resource: composed, and changed. Pure: keys come in, never a private one.
 * Source: Kilo's Peer CRD; annotations of our own for what it has no fields for (agent/peer-terms.ts); the data of a client
 * in wg-gen-web (name, e-mail, tags, enabled, addresses).
 * @module
 */
import type { ObjectMeta, PeerResource, PeerSpec } from '../../agent/kubernetes/resources.ts';
import { ALLOW, ENABLED, EXPIRES, formatAllowed, formatTime, parseAllowed } from '../../agent/peer-terms.ts';
import { type Address, type Cidr, contains, formatAddress, formatCidr, hostCidr } from '../../noise/ip.ts';
import { isKey } from '../../routing/key-text.ts';
import { AdminError } from '../admin-error.ts';
import type { ClusterSnapshot } from '../cluster-snapshot.ts';
import { freeAddress } from './address-pool.ts';

/** For people only. */
export const EMAIL = 'kilowire.dev/email';
export const TAGS = 'kilowire.dev/tags';
/** Who has addresses from the pool was made here; other Peers may be routers, clusters, anything. */
export const KEEPALIVE_SECONDS = 25;

export interface ClientTerms {
  /** Unix seconds; null: without end. */
  readonly expires?: number | null;
  /** Ranges, addresses, namespace/name; null: no bound. */
  readonly allow?: readonly string[] | null;
  readonly enabled?: boolean;
  readonly email?: string | null;
  readonly tags?: readonly string[] | null;
}

export interface ClientRequest extends ClientTerms {
  readonly name: string;
  /** Base64. */
  readonly publicKey: string;
  /** Base64; a secret between the client and the nodes, which read it from the Peer. */
  readonly presharedKey?: string;
  /** Where its addresses come from, one of each; unused when `addresses` are given. */
  readonly pools: readonly Cidr[];
  readonly addresses?: readonly Address[];
  /** Seconds; default 25, 0 is off. */
  readonly persistentKeepalive?: number;
}

const NAME = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;

const refuse = (message: string): AdminError => new AdminError('ERR_ADMIN_CLIENT', message);

/** The Peer to create. @throws AdminError when the name, the key or an address is taken, or something cannot be read. */
export const composeClient = (request: ClientRequest, { peers, nodes }: ClusterSnapshot): PeerResource => {
  const { name, publicKey, presharedKey } = request;
  if (name.length > 253 || !NAME.test(name))
    throw refuse(`"${name}" cannot name a client: lower-case letters, digits, "-" and "." only.`);
  if (peers.some(({ peer }) => peer.name === name))
    throw refuse(`There is a client "${name}" already: choose another name, or rotate its key.`);
  if (!isKey(publicKey))
    throw refuse('The public key is none: 44 characters of base64, as "wg pubkey" prints.');
  if (presharedKey !== undefined && !isKey(presharedKey)) throw refuse('The preshared key is none.');
  const rival =
    peers.find(({ peer }) => peer.key === publicKey)?.peer.name ??
    nodes.find(({ node }) => node.key === publicKey)?.node.name;
  if (rival !== undefined)
    throw refuse(`"${rival}" has this public key already: every client needs its own.`);
  const spec: PeerSpec = {
    allowedIPs: addressesOf(
      request,
      peers.flatMap(({ peer }) => peer.allowedIPs),
    ).map((address) => formatCidr(hostCidr(address))),
    persistentKeepalive: request.persistentKeepalive ?? KEEPALIVE_SECONDS,
    ...(presharedKey === undefined ? {} : { presharedKey }),
    publicKey,
  };
  const annotations = Object.fromEntries(
    Object.entries(annotationsOf(request)).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    ),
  );
  const metadata: ObjectMeta = {
    name,
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
  return { apiVersion: 'kilo.squat.ai/v1alpha1', kind: 'Peer', metadata, spec };
};

const addressesOf = ({ addresses, pools }: ClientRequest, taken: readonly Cidr[]): readonly Address[] => {
  if (addresses === undefined)
    return pools.map((pool) => {
      const address = freeAddress(pool, taken);
      if (address !== null) return address;
      throw refuse(
        `The pool ${formatCidr(pool)} has no free address: remove clients, or give another --pool.`,
      );
    });
  // A Peer for everything, such as an exit, takes no address away.
  for (const address of addresses)
    if (taken.some((range) => range.prefix > 0 && contains(range, address)))
      throw refuse(`Another Peer has the address ${formatAddress(address)}: choose another.`);
  return addresses;
};

/** Null takes an annotation away. @throws AdminError for an entry of `allow` that is none. */
const annotationsOf = ({
  expires,
  allow,
  enabled,
  email,
  tags,
}: ClientTerms): Record<string, string | null> => ({
  ...(expires === undefined ? {} : { [EXPIRES]: expires === null ? null : formatTime(expires) }),
  ...(allow === undefined ? {} : { [ALLOW]: allow === null ? null : allow.map(allowedText).join(',') }),
  ...(enabled === undefined ? {} : { [ENABLED]: enabled ? null : 'false' }),
  ...(email === undefined ? {} : { [EMAIL]: email === '' ? null : email }),
  ...(tags === undefined ? {} : { [TAGS]: tags === null || tags.length === 0 ? null : tags.join(',') }),
});

const allowedText = (text: string): string => {
  const allowed = parseAllowed(text.trim());
  if (allowed !== null) return formatAllowed(allowed);
  throw refuse(
    `"${text}" cannot be allowed: write a range (10.42.0.0/16), an address, or a service (namespace/name).`,
  );
};

export interface ClientChange extends ClientTerms {
  readonly publicKey?: string;
  /** Null takes it away. */
  readonly presharedKey?: string | null;
  readonly persistentKeepalive?: number;
}

/** An RFC 7386 merge patch for the Peer: what is not named stays. @throws AdminError */
export const clientPatch = (change: ClientChange): Readonly<Record<string, unknown>> => {
  const { publicKey, presharedKey, persistentKeepalive } = change;
  if (publicKey !== undefined && !isKey(publicKey)) throw refuse('The public key is none.');
  if (typeof presharedKey === 'string' && !isKey(presharedKey)) throw refuse('The preshared key is none.');
  const annotations = annotationsOf(change);
  const spec = {
    ...(publicKey === undefined ? {} : { publicKey }),
    ...(presharedKey === undefined ? {} : { presharedKey }),
    ...(persistentKeepalive === undefined ? {} : { persistentKeepalive }),
  };
  return {
    ...(Object.keys(annotations).length === 0 ? {} : { metadata: { annotations } }),
    ...(Object.keys(spec).length === 0 ? {} : { spec }),
  };
};
