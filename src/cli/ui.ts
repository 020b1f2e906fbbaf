/**
 * `kilowire ui`: the page that shows the mesh as it lives, served from this host.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { pathOptions, type SettingFlags, withSettings } from './agent-settings.ts';
import { makeConf } from './client-file.ts';
import { type ConfFlags, withConf } from './client-options.ts';
import { type ClusterFlags, openClient, portOption, withCluster } from './cluster-options.ts';
import { print } from './output.ts';
import { version } from './version.ts';

interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

interface UiFlags extends ClusterFlags, SettingFlags, ConfFlags {
  readonly listen: ListenAddress;
  readonly tokenFile?: string;
  readonly agent: string;
}

const LEAST_TOKEN = 16;

/** "127.0.0.1:8107", "[::1]:8107", ":8107" for all addresses. */
const listenAddress = (text: string): ListenAddress => {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? Number.NaN);
  if (match === null || port > 0xffff)
    throw new InvalidArgumentError(`"${text}" is not an address; write it as 127.0.0.1:8107.`);
  return { host: match[1] ?? (match[2] || '::'), port };
};

const isLoopback = (host: string): boolean => /^(?:127\.\d+\.\d+\.\d+|::1|localhost)$/.test(host);

const readToken = (path: string): string => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw new Error(`The token cannot be read from ${path}: ${(cause as Error).message}.`, { cause });
  }
  if (text.length >= LEAST_TOKEN && /^[\w.~+/-]+=*$/.test(text)) return text;
  throw new Error(
    `${path} must hold a token of ${LEAST_TOKEN} letters and digits at least: openssl rand -hex 24 > ${path}.`,
  );
};

const serve = async (flags: UiFlags): Promise<void> => {
  const { ClientBook } = await import('../ui/client-book.ts');
  const { clientRoutes } = await import('../ui/client-routes.ts');
  const { MeshFeed } = await import('../ui/mesh-feed.ts');
  const { meshRoutes } = await import('../ui/mesh-routes.ts');
  const { openApiRoute } = await import('../ui/openapi.ts');
  const { loadPage } = await import('../ui/page-file.ts');
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
      allAgents: true,
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
  const server = new UiServer({
    page,
    guard: { token, open: isLoopback(flags.listen.host) },
    routes: [
      openApiRoute(version()),
      ...meshRoutes(feed, pathOptions(flags)),
      ...clientRoutes({ book, source: feed, version: version() }),
    ],
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
          .option('--agent <url>', 'where the agent of this host listens', 'http://127.0.0.1:1107'),
      ),
    )
      .addOption(portOption().hideHelp())
      .allowExcessArguments(false),
  )
    .addHelpText(
      'after',
      `
It reads the cluster with your own access. On a node, or on a host that is in the mesh, it asks all agents for their tunnels
too: handshakes, rates, round trips and losses are known there only. On another address than a loopback one, every request
needs the token; put it behind TLS (a reverse proxy, ssh -L) where others could listen. See docs/ui.md.

Examples:
  kilowire ui
  kilowire ui --listen :8107 --token-file ~/.kilowire-token
  ssh -L 8107:127.0.0.1:8107 node-1 sudo kilowire ui`,
    )
    .action((flags: UiFlags) => serve(flags));
