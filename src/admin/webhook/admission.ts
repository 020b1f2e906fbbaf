/**
 * Judges a Peer before the API stores it. Pure: request in, answer out.
 * Source: admission.k8s.io/v1 AdmissionReview; the sentences and answers of `kg webhook`. It let through Peers without
 * allowed IPs and with a preshared key that is none; this one does not.
 * @module
 */
import { array, looseObject, nullish, number, optional, safeParse, string } from 'valibot';
import type { PeerResource } from '../../agent/kubernetes/resources.ts';
import { whyPeerInvalid } from '../../agent/peer-resource.ts';
import { isKey } from '../../routing/key-text.ts';

export interface AdmissionAnswer {
  readonly status: 200 | 400;
  readonly contentType: 'application/json' | 'text/plain; charset=utf-8';
  readonly body: string;
  /** CREATE, UPDATE …; '' where the request could not be read. */
  readonly operation: string;
  /** Null where the request could not be read. */
  readonly allowed: boolean | null;
}

const Review = looseObject({
  apiVersion: optional(string()),
  kind: optional(string()),
  request: optional(
    looseObject({ uid: string(), operation: optional(string()), object: nullish(looseObject({})) }),
  ),
});

const PeerObject = looseObject({
  metadata: optional(looseObject({ name: optional(string()) })),
  spec: optional(
    looseObject({
      allowedIPs: nullish(array(string())),
      endpoint: nullish(
        looseObject({
          dnsOrIP: nullish(looseObject({ dns: optional(string()), ip: optional(string()) })),
          port: optional(number()),
        }),
      ),
      persistentKeepalive: nullish(number()),
      presharedKey: nullish(string()),
      publicKey: nullish(string()),
    }),
  ),
});

export const judge = (contentType: string, body: string): AdmissionAnswer => {
  if (contentType !== 'application/json')
    return refused(`received Content-Type=${contentType}, expected application/json`);
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch (error) {
    return refused(`Request could not be decoded: ${(error as Error).message}`);
  }
  const review = safeParse(Review, document);
  if (!review.success) return refused(`Request could not be decoded: ${issueOf(review.issues)}`);
  const { apiVersion, kind, request } = review.output;
  if (apiVersion !== 'admission.k8s.io/v1' || kind !== 'AdmissionReview')
    return refused('only API v1 is supported');
  if (request === undefined) return refused('Request could not be decoded: it has no request');
  const { uid, operation = '', object } = request;
  // What is deleted need not be right.
  if (object === null || object === undefined) return answer(uid, operation, null);
  const peer = safeParse(PeerObject, object);
  if (!peer.success)
    return { ...refused(`could not unmarshal extension to peer spec: ${issueOf(peer.issues)}`), operation };
  return answer(uid, operation, whyRefused(withoutNulls(peer.output) as unknown as PeerResource));
};

/** Null: let in. */
const whyRefused = (peer: PeerResource): string | null => {
  const invalid = whyPeerInvalid(peer);
  if (invalid !== null) return invalid;
  const { allowedIPs, presharedKey = '' } = peer.spec ?? {};
  if ((allowedIPs ?? []).length === 0) return 'at least one allowed IP must be given';
  if (presharedKey !== '' && !isKey(presharedKey)) return 'WireGuard preshared key is not 32 bytes in base64';
  return null;
};

const answer = (uid: string, operation: string, reason: string | null): AdmissionAnswer => {
  const response =
    reason === null
      ? { uid, allowed: true }
      : { uid, allowed: false, status: { metadata: {}, message: reason } };
  return {
    status: 200,
    contentType: 'application/json',
    body: JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', response }),
    operation,
    allowed: reason === null,
  };
};

const refused = (sentence: string): AdmissionAnswer => ({
  status: 400,
  contentType: 'text/plain; charset=utf-8',
  body: `${sentence}\n`,
  operation: '',
  allowed: null,
});

const issueOf = (
  issues: readonly {
    readonly message: string;
    readonly path?: readonly { readonly key: unknown }[] | undefined;
  }[],
): string => {
  const [issue] = issues;
  const at = issue?.path?.map(({ key }) => String(key)).join('.') ?? '';
  return `${at === '' ? '' : `${at}: `}${issue?.message ?? ''}`;
};

/** A field that is null is one that is not there. */
const withoutNulls = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, each]) => each !== null)
      .map(([name, each]) => [name, withoutNulls(each)]),
  );
};
