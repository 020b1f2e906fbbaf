/**
 * `kilowire ui`: the page that shows the mesh as it lives, served from this host.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { isLoopback, type ListenAddress, parseListenAddress } from '../agent/listen-address.ts';
import { agentNamespaceOption, agentReach, type ReachFlags } from './agent-reach.ts';
import { pathOptions, type SettingFlags, withSettings } from './agent-settings.ts';
import { makeConf } from './client-file.ts';
import { type ConfFlags, withConf } from './client-options.ts';
import { type ClusterFlags, openClient, portOption, withCluster } from './cluster-options.ts';
import { print } from './output.ts';
import { version } from './version.ts';

interface UiFlags extends ClusterFlags, ReachFlags, SettingFlags, ConfFlags {
  readonly listen: ListenAddress;
  readonly tokenFile?: string;
  readonly agent: string;
}

const listenAddress = (text: string): ListenAddress => {
  const address = parseListenAddress(text);
  if (address !== null) return address;
  throw new InvalidArgumentError(`"${text}" is not an address; write it as 127.0.0.1:8107.`);
};

const serve = async (flags: UiFlags): Promise<void> => {
  const { ClientBook } = await import('../ui/client-book.ts');
  const { clientRoutes } = await import('../ui/client-routes.ts');
  const { clientViewRoutes, serverRoutes } = await import('../ui/client-view-routes.ts');
  const { MeshFeed } = await import('../ui/mesh-feed.ts');
  const { meshRoutes } = await import('../ui/mesh-routes.ts');
  const { openApiRoute } = await import('../ui/openapi.ts');
  const { loadPage } = await import('../ui/page-file.ts');
  const { readToken } = await import('../ui/token-file.ts');
  const { UiServer } = await import('../ui/ui-server.ts');
  const token = flags.tokenFile === undefined ? randomBytes(24).toString('hex') : readToken(flags.tokenFile);
  const page = await loadPage();
  const client = await openClient(flags);
  const feed = new MeshFeed({
    client,
    topologyLabel: flags.topologyLabel,
    granularity: flags.meshGranularity,
    asking: {
      interfaceName: flags.interface,
      agent: flags.agent,
      reach: await agentReach(client, flags),
      hostname: hostname(),
      environment: process.env,
    },
  });
  const { topologyLabel, meshGranularity: granularity } = flags;
  const book = new ClientBook({
    client,
    topologyLabel,
    granularity,
    file: (snapshot, name) => makeConf(client, snapshot, name, flags, null),
  });
  const routes = [
    ...meshRoutes(feed, pathOptions(flags)),
    ...clientViewRoutes(book, feed),
    ...clientRoutes(book),
    ...serverRoutes({ version: version(), readOnly: false }),
  ];
  const server = new UiServer({
    page,
    guard: { token, open: isLoopback(flags.listen) },
    routes: [openApiRoute(version(), routes), ...routes],
  });
  const end = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => end.abort());
  try {
    const { address, port } = await server.listen(flags.listen.port, flags.listen.host);
    const host = address === '::' || address === '0.0.0.0' ? hostname() : address;
    const shown = flags.tokenFile === undefined ? token : '…';
    print(`Open http://${isIPv6(host) ? `[${host}]` : host}:${port}/ui/#token=${shown}`);
    await feed.run(end.signal);
  } finally {
    await server.close();
    client.close();
  }
};

export const uiCommand = (): Command =>
  withCluster(
    withSettings(
      withConf(
        new Command('ui')
          .description('serve a page that shows the mesh as it lives, and its clients')
          .addOption(
            new Option('--listen <address>', 'where to serve it')
              .argParser(listenAddress)
              .default(listenAddress('127.0.0.1:8107'), '127.0.0.1:8107'),
          )
          .option('--token-file <file>', 'the token that changes need; without it one is made and printed')
          .option('--agent <url>', 'where the agent of this host listens', 'http://127.0.0.1:1107')
          .addOption(agentNamespaceOption()),
      ),
    )
      .addOption(portOption().hideHelp())
      .allowExcessArguments(false),
  )
    .addHelpText(
      'after',
      `
It reads the cluster with your own access, and asks all agents for their tunnels: handshakes, rates, round trips and losses are
known there only. From outside the mesh it asks them through the API server, for which you need list on pods and get on
pods/proxy in their namespace. On another address than a loopback one, every request
needs the token; put it behind TLS (a reverse proxy, ssh -L) where others could listen. See docs/ui.md.

Examples:
  kilowire ui
  kilowire ui --listen :8107 --token-file ~/.kilowire-token
  kilowire ui --namespace kilowire            the agents are not in kube-system`,
    )
    .action((flags: UiFlags) => serve(flags));
