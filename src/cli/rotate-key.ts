/**
 * `kilowire rotate-key`: gives nodes another WireGuard key while their tunnels go on.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import type { Rotated } from '../admin/rotation.ts';
import { durationMs } from '../agent/options.ts';
import { type ClusterFlags, openClient, openSnapshot, portOption, withCluster } from './cluster-options.ts';
import { type OutputFormat, outputOption, print, printJson, remark } from './output.ts';

interface RotateFlags extends ClusterFlags {
  readonly output: OutputFormat;
  readonly all?: boolean;
  readonly timeout: string;
}

const rotate = async (given: readonly string[], flags: RotateFlags): Promise<void> => {
  const { AdminError } = await import('../admin/admin-error.ts');
  const { rotateKey } = await import('../admin/rotation.ts');
  const patienceMs = durationMs('timeout', flags.timeout);
  const snapshot = await openSnapshot(flags);
  if ((given.length === 0) === (flags.all !== true))
    throw new AdminError('ERR_ADMIN_USAGE', 'Name the nodes, or say --all.');
  const unknown = given.filter((name) => !snapshot.nodes.some(({ node }) => node.name === name));
  if (unknown.length > 0)
    throw new AdminError('ERR_ADMIN_UNKNOWN', `There is no Node "${unknown.join('", "')}" in the cluster.`);
  const nodes =
    flags.all === true
      ? snapshot.nodes.filter(({ node }) => node.abilities !== undefined).map(({ node }) => node.name)
      : given;
  const peers = snapshot.peers.filter(({ invalid }) => invalid === null).map(({ peer }) => peer.name);
  if (peers.length > 0)
    remark(
      `Peers that do not follow the cluster by themselves need a new configuration afterwards (kilowire showconf peer NAME): ${peers.join(', ')}.`,
    );
  const client = await openClient(flags);
  const done: Rotated[] = [];
  try {
    for (const node of nodes) {
      const request = new Date().toISOString();
      const one = await rotateKey(node, {
        client,
        request,
        patienceMs,
        now: () => performance.now(),
        sleep: (ms) => sleep(ms),
      });
      done.push(one);
      if (flags.output === 'text')
        print(`${node}: ${one.before} → ${one.after} in ${one.seconds.toFixed(1)} s`);
    }
  } finally {
    client.close();
    if (flags.output === 'json') printJson(done);
  }
};

export const rotateKeyCommand = (): Command =>
  withCluster(
    new Command('rotate-key')
      .description('give nodes another WireGuard key while their tunnels go on')
      .argument('[node...]', 'nodes, one after the other')
      .addOption(outputOption())
      .option('--all', 'all nodes that run kilowire agent')
      .option('--timeout <duration>', 'how long one node may take', '2m')
      .addOption(portOption().hideHelp()),
  )
    .addHelpText(
      'after',
      `
The agent of the node makes the next key and announces it (kilowire.dev/next-key); when the leaders it has tunnels with know
it, or after a minute, it turns to it, and they move the node's ranges when they hear from it: some tens of milliseconds in
which packets from the node are lost. Agents of Kilo (kg) learn of the new key from its annotation: their tunnels with the
node pause until they have read it. The file of the old key is overwritten. Peers outside keep what they were configured
with: give them the new key. The account needs the right to get and patch Nodes.

Examples:
  kilowire rotate-key aws-1
  kilowire rotate-key --all
  kilowire rotate-key aws-1 gcp-1 -o json | jq -r '.[].after'`,
    )
    .action((nodes: string[], flags: RotateFlags) => rotate(nodes, flags));
