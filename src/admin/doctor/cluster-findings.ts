/**
 * A doctor's judgement of what this host has to do with its cluster. Pure.
 * @module
 */
import type { Facts, Finding } from './facts.ts';

/** Half of what a heart-beat may be late. */
const CLOCK_TOLERANCE = 30;

export const clusterFindings = ({ cluster, hostname }: Facts): Finding[] => {
  const finding = (state: Finding['state'], check: string, what: string, remedy = ''): Finding => ({
    check,
    state,
    what,
    remedy,
  });
  if (cluster === null)
    return [
      finding(
        'notice',
        'api',
        'the API was not asked: nothing says where it is',
        'Give --kubeconfig; on a k3s agent, that of the kubelet.',
      ),
    ];
  if (cluster.error !== null)
    return [
      finding(
        'fault',
        'api',
        cluster.error.replace(/\.$/, ''),
        'The mesh keeps going without the API, but takes up no change.',
      ),
    ];
  const findings = [finding('ok', 'api', `${cluster.server} answers`)];
  const ahead = Math.round(cluster.clockAhead);
  findings.push(
    Math.abs(ahead) > CLOCK_TOLERANCE
      ? finding(
          'fault',
          'clock',
          `the clock is ${Math.abs(ahead)} s ${ahead > 0 ? 'ahead of' : 'behind'} the API's`,
          'Let NTP set it: beyond a minute this node counts as gone.',
        )
      : finding('ok', 'clock', "the clock agrees with the API's"),
  );
  if (!cluster.definesPeers)
    findings.push(finding('notice', 'peers', 'the cluster does not know the kind Peer', 'Apply its CRD.'));
  const { node } = cluster;
  if (node === null)
    return [
      ...findings,
      finding(
        'notice',
        'node',
        `there is no Node "${hostname}"`,
        'Give --hostname the name of the Node, as the agent must have it too.',
      ),
    ];
  if (node.podCIDRs.length === 0)
    findings.push(
      finding(
        'fault',
        'node',
        `Node "${node.name}" has no pod CIDR`,
        'The controller manager gives it one with --allocate-node-cidrs; k3s does unless told otherwise.',
      ),
    );
  findings.push(
    node.out === null
      ? finding('ok', 'node', `Node "${node.name}" takes part with ${node.podCIDRs.join(', ')}`)
      : finding(
          'fault',
          'node',
          `Node "${node.name}" takes no part: ${node.out}`,
          'See the log of its agent.',
        ),
  );
  for (const what of node.faults)
    findings.push(
      finding(
        'fault',
        'node',
        what.replace(/\.$/, ''),
        'Correct or remove the annotation: kubectl annotate node NODE KEY-',
      ),
    );
  return findings;
};
