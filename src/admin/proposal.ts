/**
 * What somebody thinks of doing to a cluster (a manifest, an annotation, a label, a deletion), done to a copy of it.
 * Source: kubectl's apply (objects are merged, lists replaced), annotate and label (`key=value`, `key-`), delete.
 * @module
 */
import type { NodeResource, PeerResource } from '../agent/kubernetes/resources.ts';
import { AdminError } from './admin-error.ts';
import { type ClusterSnapshot, snapshotOf } from './cluster-snapshot.ts';

type Kind = 'Node' | 'Peer';
type Json = { readonly [name: string]: unknown };

export type Proposal =
  | { readonly verb: 'apply'; readonly kind: Kind; readonly name: string; readonly object: Json }
  | {
      readonly verb: 'annotations' | 'labels';
      readonly kind: Kind;
      readonly name: string;
      /** Null takes it away. */
      readonly changes: Readonly<Record<string, string | null>>;
    }
  | { readonly verb: 'delete'; readonly kind: Kind; readonly name: string };

/** `node`, `nodes`, `no`, `peer`, `peers`, in any case. */
export const kindOf = (text: string): Kind => {
  if (/^(?:node|nodes|no)$/i.test(text)) return 'Node';
  if (/^(?:peer|peers|peers\.kilo\.squat\.ai)$/i.test(text)) return 'Peer';
  throw new AdminError('ERR_ADMIN_USAGE', `"${text}" means nothing to the mesh: only nodes and peers do.`);
};

/** `key=value` sets, `key-` takes away. */
export const wordChanges = (words: readonly string[]): Record<string, string | null> => {
  const changes: Record<string, string | null> = {};
  for (const word of words) {
    const at = word.indexOf('=');
    if (at > 0) changes[word.slice(0, at)] = word.slice(at + 1);
    else if (/^[^=]+-$/.test(word)) changes[word.slice(0, -1)] = null;
    else
      throw new AdminError(
        'ERR_ADMIN_USAGE',
        `"${word}" is no change: write key=value, or key- to take it away.`,
      );
  }
  return changes;
};

/** The Nodes and Peers of a manifest, lists unfolded; other kinds are named in `ignored`. */
export const proposalsOf = async (
  text: string,
  where: string,
): Promise<{ readonly proposals: readonly Proposal[]; readonly ignored: readonly string[] }> => {
  const { parseAllDocuments } = await import('yaml');
  const documents = parseAllDocuments(text);
  const proposals: Proposal[] = [];
  const ignored: string[] = [];
  const take = (value: unknown): void => {
    if (value === null || value === undefined) return;
    if (!isObject(value)) throw wrong(where, 'it holds something that is no object');
    const { kind, items, metadata } = value;
    if (typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)) {
      for (const item of items) take(item);
      return;
    }
    const name = isObject(metadata) ? metadata.name : undefined;
    if (typeof kind !== 'string' || typeof name !== 'string' || name === '')
      throw wrong(where, 'an object lacks its kind or metadata.name');
    if (kind === 'Node' || kind === 'Peer') proposals.push({ verb: 'apply', kind, name, object: value });
    else ignored.push(`${kind} ${name}`);
  };
  for (const document of Array.isArray(documents) ? documents : []) {
    const [error] = document.errors;
    if (error !== undefined) throw wrong(where, error.message.split('\n')[0] ?? 'it is not YAML');
    take(document.toJS());
  }
  return { proposals, ignored };
};

const wrong = (where: string, why: string): AdminError =>
  new AdminError('ERR_ADMIN_MANIFEST', `The manifest ${where} cannot be read: ${why.replace(/[.:]$/, '')}.`);

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The cluster as it would be. @throws AdminError for an annotation of what is not there. */
export const withProposals = (
  snapshot: ClusterSnapshot,
  proposals: readonly Proposal[],
  topologyLabel: string,
): ClusterSnapshot => {
  const objects: Record<Kind, Map<string, Json>> = {
    Node: new Map(
      snapshot.nodes.map(({ resource }) => [resource.metadata.name, resource as unknown as Json]),
    ),
    Peer: new Map(
      snapshot.peers.map(({ resource }) => [resource.metadata.name, resource as unknown as Json]),
    ),
  };
  for (const proposal of proposals) {
    const { kind, name } = proposal;
    const present = objects[kind].get(name);
    if (proposal.verb === 'apply') {
      objects[kind].set(name, merged(present ?? {}, proposal.object));
      continue;
    }
    if (present === undefined)
      throw new AdminError('ERR_ADMIN_UNKNOWN', `There is no ${kind} "${name}" in the cluster.`);
    if (proposal.verb === 'delete') objects[kind].delete(name);
    else objects[kind].set(name, merged(present, { metadata: { [proposal.verb]: proposal.changes } }));
  }
  return snapshotOf({
    nodes: [...objects.Node.values()] as unknown as NodeResource[],
    peers: [...objects.Peer.values()] as unknown as PeerResource[],
    now: snapshot.now,
    topologyLabel,
    ...(snapshot.leases === undefined ? {} : { leases: snapshot.leases }),
  });
};

/** RFC 7386. */
const merged = (target: Json, patch: Json): Json => {
  const result: Record<string, unknown> = { ...target };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else if (isObject(value)) result[name] = merged(isObject(result[name]) ? result[name] : {}, value);
    else result[name] = value;
  }
  return result;
};
