/**
 * The page as an agent serves it: it shows the mesh and changes nothing, since the agent's account may not. A page that cannot
 * be served is said in the log and keeps no node from the mesh.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { AgentReach } from '../admin/agent-reach.ts';
import { pathOptionsOf } from '../admin/path-settings.ts';
import { sentenceOf } from '../agent/agent-error.ts';
import { isLoopback, localOrigin } from '../agent/listen-address.ts';
import type { Log } from '../agent/log.ts';
import type { AgentOptions, PageOptions } from '../agent/options.ts';
import { clientOf, clientsOf } from './client-json.ts';
import { clientViewRoutes, serverRoutes } from './client-view-routes.ts';
import { FeedOnDemand, waking } from './feed-on-demand.ts';
import { type FeedClient, MeshFeed } from './mesh-feed.ts';
import { meshOf, meshRoutes } from './mesh-routes.ts';
import { openApiRoute } from './openapi.ts';
import { loadPage, type PageFile } from './page-file.ts';
import { readToken } from './token-file.ts';
import { UiServer } from './ui-server.ts';

export interface AgentPageContext {
  readonly page: PageOptions;
  readonly options: AgentOptions;
  /** The agent's own: what it may not, the page may not. */
  readonly client: FeedClient;
  readonly log: Log;
  readonly version: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Default: the one that was built. */
  readonly file?: () => Promise<PageFile>;
}

/** An agent is small. */
const HISTORY_BYTES = 8 << 20;
/** What a page cannot know of the network under the mesh. */
const USUAL_MTU = 1500;

/** Serves it until the function it answers is called. */
export const serveAgentPage = async (context: AgentPageContext): Promise<() => Promise<void>> => {
  const { page, log } = context;
  const complain = (error: unknown): void => log.error(sentenceOf(error), { component: 'ui' });
  const feed = new FeedOnDemand({ make: () => feedOf(context), onError: complain });
  let server: UiServer | undefined;
  try {
    server = new UiServer({
      page: await (context.file ?? loadPage)(),
      guard: guardOf(page),
      routes: routesOf(context, feed),
    });
    const { address, port } = await server.listen(page.listen.port, page.listen.host);
    log.info('serving the page', { address, port });
  } catch (error) {
    complain(error);
    return async () => {};
  }
  return async () => {
    feed.close();
    await server.close();
  };
};

/** With a token all need it; without one nobody can have it, and what this machine may see needs none. */
const guardOf = ({ listen, tokenFile }: PageOptions) => ({
  token: tokenFile === null ? randomBytes(24).toString('hex') : readToken(tokenFile),
  open: tokenFile === null && isLoopback(listen),
});

const feedOf = ({ options, client, environment }: AgentPageContext): MeshFeed =>
  new MeshFeed({
    client,
    topologyLabel: options.topologyLabel,
    granularity: options.granularity,
    history: { budget: HISTORY_BYTES },
    asking: {
      interfaceName: options.interfaceName,
      agent: localOrigin(options.listen),
      reach: new AgentReach(null),
      hostname: options.hostname,
      environment,
    },
  });

const routesOf = ({ options, version }: AgentPageContext, feed: FeedOnDemand) => {
  const settings = pathOptionsOf({
    interfaceName: options.interfaceName,
    encapsulation: options.encapsulation,
    encapsulator: options.encapsulator,
    local: options.local,
    cni: options.cniPath !== null,
    serviceCIDRs: options.serviceCIDRs,
    underlayMtu: USUAL_MTU,
  });
  const clients = {
    list: async () => clientsOf(meshOf(feed).snapshot),
    find: async (name: string) => clientOf(meshOf(feed).snapshot, name),
  };
  const routes = [
    ...waking(feed, [...meshRoutes(feed, settings), ...clientViewRoutes(clients, feed)]),
    ...serverRoutes({ version, readOnly: true }),
  ];
  return [openApiRoute(version, routes), ...routes];
};
