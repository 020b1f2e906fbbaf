/**
 * A cluster from a file instead of from its API: what `kubectl get nodes,peers -o yaml` printed, at whatever time.
 * @module
 */
import type { NodeResource, PeerResource } from '../agent/kubernetes/resources.ts';
import { AdminError } from './admin-error.ts';
import { type ClusterSnapshot, snapshotOf } from './cluster-snapshot.ts';
import { proposalsOf } from './proposal.ts';

/** Heart-beats are judged as of the latest of them. @throws AdminError for what is no cluster. */
export const snapshotFromText = async (
  text: string,
  where: string,
  topologyLabel: string,
): Promise<ClusterSnapshot> => {
  const { proposals } = await proposalsOf(text, where);
  const objects = <Item>(wanted: string): Item[] =>
    proposals.flatMap((each) =>
      each.verb === 'apply' && each.kind === wanted ? [each.object as unknown as Item] : [],
    );
  const nodes = objects<NodeResource>('Node');
  if (nodes.length === 0) {
    throw new AdminError(
      'ERR_ADMIN_MANIFEST',
      `There is no Node in ${where}: write it with kubectl get nodes,peers.kilo.squat.ai -o yaml.`,
    );
  }
  const parts = { nodes, peers: objects<PeerResource>('Peer'), topologyLabel };
  const now = Math.max(...snapshotOf({ ...parts, now: 0 }).nodes.map(({ node }) => node.lastSeen));
  return snapshotOf({ ...parts, now });
};
