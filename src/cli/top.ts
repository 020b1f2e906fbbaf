/**
 * `kilowire top [IFNAME]`: the mesh, or peers, rates, handshakes and drops of a running interface, live in a terminal; one reading and
 * done where there is none.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import type { InterfaceReader } from '../device/uapi-client.ts';
import { agentNamespaceOption } from './agent-reach.ts';
import { withCluster } from './cluster-options.ts';
import { liveScreen } from './live-screen.ts';
import type { TopMeshFlags } from './top-mesh.ts';
import { type Sample, screen, topView } from './top-view.ts';

type Flags = TopMeshFlags;

/** Half a minute of history, and one more to subtract from. */
const SAMPLES = 31;
/** Lines of the screen that are not peers: heading, table head, drops. */
const OTHER_LINES = 12;

const seconds = (text: string): number => {
  const value = Number(text);
  if (!(value >= 0.1 && value <= 3600)) throw new InvalidArgumentError('It must be 0.1 to 3600 seconds.');
  return value;
};

async function sample(reader: InterfaceReader): Promise<Sample> {
  return { ...(await reader.read()), at: performance.now(), wall: Date.now() };
}

/** Two readings an interval apart, so that there are rates. */
async function once(name: string, reader: InterfaceReader, { interval, json }: Flags): Promise<void> {
  const before = await sample(reader);
  await sleep(interval * 1000);
  const view = topView(name, [before, await sample(reader)]);
  const text = json ? JSON.stringify(view, null, 2) : screen(view, Number.POSITIVE_INFINITY).join('\n');
  process.stdout.write(`${text}\n`);
}

const live = async (name: string, reader: InterfaceReader, interval: number): Promise<void> => {
  const samples: Sample[] = [];
  await liveScreen({
    interval: interval * 1000,
    lines: async (rows) => {
      samples.push(await sample(reader));
      if (samples.length > SAMPLES) samples.shift();
      return screen(topView(name, samples), rows - OTHER_LINES);
    },
  });
};

export const topCommand = (): Command =>
  withCluster(
    new Command('top')
      .description('show the mesh node by node; or the peers, rates, handshakes and drops of an interface')
      .argument('[interface]', 'name of a running interface; without it, the mesh')
      .option('--json', 'one JSON document on standard output, nothing else there')
      .option('--interval <seconds>', 'time between readings', seconds, 1)
      .option('--agent <url>', 'where the agent of this host listens', 'http://127.0.0.1:1107')
      .addOption(agentNamespaceOption()),
  )
    .addHelpText(
      'after',
      `
Live in a terminal, until q; elsewhere two readings an interval apart. Drop reasons: docs/drops.md.
Handshakes and rates are asked of all agents: directly from a host that is in the mesh, elsewhere through the API server.

Examples:
  kilowire top
  kilowire top --json | jq '.nodes[] | select(.faults > 0).name'
  kilowire top wg0
  kilowire top wg0 --json | jq .drops`,
    )
    .action(async (name: string | undefined, flags: Flags) => {
      if (name === undefined) {
        const { topMesh } = await import('./top-mesh.ts');
        return await topMesh(flags);
      }
      const { InterfaceReader } = await import('../device/uapi-client.ts');
      const { uapiDirectory, uapiPath } = await import('../device/uapi-socket.ts');
      const reader = new InterfaceReader(uapiPath(uapiDirectory(process.env), name));
      if (flags.json === true || !process.stdout.isTTY) await once(name, reader, flags);
      else await live(name, reader, flags.interval);
    });
