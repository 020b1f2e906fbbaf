/**
 * `kilowire agent`: the node agent, with the flags of `kg`.
 * @module
 */
import { existsSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { AgentContext } from '../agent/agent.ts';
import { sentenceOf } from '../agent/agent-error.ts';
import type { Log } from '../agent/log.ts';
import type { AgentFlags, AgentOptions, PageOptions } from '../agent/options.ts';
import type { Surroundings, SurroundingsHooks } from '../agent/surroundings.ts';
import type { Step } from '../cni/admin/installation.ts';
import { version } from './version.ts';

/** Go's way with booleans: --flag, --flag=true, --flag=false. */
const truth = (text: string): boolean => {
  if (/^(?:1|t|true)$/i.test(text)) return true;
  if (/^(?:0|f|false)$/i.test(text)) return false;
  throw new InvalidArgumentError(`"${text}" is neither true nor false.`);
};

const words = (text: string, before: readonly string[] = []): string[] => [
  ...before,
  ...text.split(',').filter((word) => word !== ''),
];

export const agentCommand = (): Command =>
  new Command('agent')
    .description("run the node agent, in the place of Kilo's kg")
    .version(version(), '--version', 'print the version')
    .option('--backend <name>', 'where nodes and peers are kept: kubernetes', 'kubernetes')
    .option('--check-in [bool]', 'say every 30 s that this node lives', truth, true)
    .option('--clean-up [bool]', 'on SIGTERM take away what was put on the host and the Node', truth, true)
    .option('--clean-up-interface [bool]', 'then delete the WireGuard interface too', truth, false)
    .option('--cni [bool]', "care for the CNI configuration and the pods' NAT", truth, true)
    .option(
      '--cni-bin-dir <dir>',
      'put our CNI executable there, and write the conflist if there is none',
      '',
    )
    .option('--cni-path <file>', 'the CNI configuration', '/etc/cni/net.d/10-kilo.conflist')
    .option('--compatibility <plugin>', 'run beside another network plugin: flannel or cilium', '')
    .option('--create-interface [bool]', 'make the WireGuard interface when it is missing', truth, true)
    .option('--device <who>', 'makes the missing interface: userspace, kernel, auto', 'userspace')
    .option('--drop-other-ipip-traffic [bool]', 'drop IPIP packets of anybody else', truth, true)
    .option('--encapsulate <when>', 'wrap packets inside a location: never, crosssubnet, always', 'always')
    .option('--fail-closed [bool]', "without a device drop packets for others' pods", truth, true)
    .option('--heartbeat <how>', 'say it by annotation, or by lease where all agents do', 'annotation')
    .option('--hostname <name>', 'name of this Node', '')
    .option('--interface <name>', 'name of the WireGuard interface', 'kilo0')
    .option('--internal-cidr <ranges>', 'take the private address from these ranges', words, [])
    .option('--iptables-forward-rules [bool]', "accept the mesh's packets in FORWARD", truth, false)
    .option('--kubeconfig <file>', "how to reach the API; without it the pod's own account", '')
    .option('--leader-failover [bool]', "replace a location's leader that fails", truth, true)
    .option('--listen <address>', 'health, metrics and graph', ':1107')
    .option('--local [bool]', 'route inside a location too', truth, true)
    .option('--log-level <level>', 'all, debug, info, warn, error, none', 'info')
    .option('--master <url>', 'the API server, in place of the one in the kubeconfig', '')
    .option('--mesh-granularity <how>', 'location, full, cross', 'location')
    .option('--mesh-file <file>', 'nodes that are in the mesh before they are in the API', '')
    .option('--mtu <mtu>', 'of the WireGuard interface: auto or a number', 'auto')
    .option('--port <port>', 'UDP port of the endpoint', '51820')
    .option('--preshared-keys [bool]', 'derive a preshared key with each node that does so', truth, false)
    .option('--prioritise-private-addresses [bool]', 'dial this node at its private address', truth, false)
    .option('--psk-dir <dir>', 'preshared keys by node name, as a post-quantum exchange writes them', '')
    .option('--relay [bool]', 'pass on packets of segments that do not reach each other', truth, true)
    .option('--resync-period <duration>', 'look at everything again this often', '30s')
    .option('--route-internal-ip [bool]', 'route to private addresses of other locations', truth, true)
    .option('--service-cidr <ranges>', 'destinations that are not masqueraded', words, [])
    .option(
      '--stable-addresses [bool]',
      'keep mesh addresses when segments come and go (once all agents do)',
      truth,
      false,
    )
    .option('--state-directory <directory>', "where the node's key is", '/var/lib/kilo')
    .option('--subnet <range>', 'pool of mesh addresses, the same on every node', '10.4.0.0/16')
    .option('--topology-label <label>', 'Node label that is the location', 'topology.kubernetes.io/region')
    .option('--ui-listen <address>', 'serve the page that shows the mesh there: 127.0.0.1:8107', '')
    .option('--ui-token-file <file>', 'the token that the page then asks for', '')
    .addHelpText(
      'after',
      `
Examples:
  kilowire agent --hostname=$(NODE_NAME)                          in a pod
  kilowire agent --hostname n1 --kubeconfig ~/.kube/config --mesh-granularity full
  kilowire agent --cni=false --compatibility=flannel --local=false   beside flannel
  kilowire agent --ui-listen=127.0.0.1:8107                       with the page, for who is on the node

--heartbeat=lease renews a Lease in kube-node-lease every 30 s, in place of an annotation of the Node. Agents of Kilo, older ones
and those without the flag do not read Leases and would count the node as gone after a minute: while one of them is in the
mesh, annotations go on. The account needs the right to list, watch, create and patch Leases there.`,
    )
    .action(async (given: Record<string, unknown>) => {
      const flags = { ...given } as unknown as Record<keyof AgentFlags, unknown>;
      // A boolean flag without a value.
      for (const [name, value] of Object.entries(flags))
        if (value === null) flags[name as keyof AgentFlags] = true;
      await runAgent(flags as AgentFlags);
    });

/** What is done to the files of the CNI plugin, told; a node whose pods cannot be served is still a member of the mesh. */
const tellSteps = async (
  what: string,
  log: Log,
  take: (verbs: typeof import('./cni-verbs.ts')) => Promise<readonly Step[]>,
): Promise<void> => {
  try {
    for (const { action, path, why } of await take(await import('./cni-verbs.ts')))
      log.info(what, { action, path, why });
  } catch (error) {
    log.error(sentenceOf(error), { component: 'cni' });
  }
};

const installPlugin = (binDir: string, log: Log): Promise<void> =>
  tellSteps('CNI executable', log, async ({ installExecutables }) => installExecutables(binDir));

/** The runtime would go on with a configuration nobody cares for. Somebody else's files stay. */
const removePlugin = (binDir: string, confDir: string, log: Log): Promise<void> =>
  tellSteps('CNI files', log, async ({ removeExecutables }) => {
    const { BRIDGE } = await import('../agent/host/cni-conflist.ts');
    const ports = `/sys/class/net/${BRIDGE}/brif`;
    const attached = existsSync(ports) ? readdirSync(ports).length : 0;
    return removeExecutables(binDir, confDir, attached);
  });

type Around = (hooks: SurroundingsHooks) => Surroundings;

/** A mesh that was kept by a file goes over to this agent, and keeps its nodes until they are in the API. */
const withMeshFile = async (
  path: string,
  { stateDirectory, interfaceName }: AgentOptions,
  log: Log,
  around: Around,
): Promise<Around> => {
  const { takeMesh } = await import('../agent/mesh-file/handover.ts');
  const { readMeshFile } = await import('../agent/mesh-file/mesh-keeper.ts');
  const { fileNodes } = await import('../agent/mesh-file/file-nodes.ts');
  const { OverlayClient } = await import('../agent/mesh-file/overlay-client.ts');
  const nodes = path === '' ? [] : fileNodes(await readMeshFile(path));
  if (await takeMesh(stateDirectory, interfaceName))
    log.info('took the mesh from kilowire mesh', { interface: interfaceName, nodes: nodes.length });
  if (nodes.length === 0) return around;
  return (hooks) => {
    const real = around(hooks);
    return { ...real, client: new OverlayClient(real.client, nodes) };
  };
};

/** Loaded only where the page is served: it needs as much as the rest of an administrator's commands. */
const withPage = (page: PageOptions, { options, log, version }: AgentContext, around: Around): Around => {
  return (hooks) => {
    const real = around(hooks);
    const serve: Surroundings['serve'] = async (state) => {
      const endServing = await real.serve(state);
      const { serveAgentPage } = await import('../ui/agent-page.ts');
      const { client } = real;
      const endPage = await serveAgentPage({ page, options, client, log, version, environment: process.env });
      return async () => {
        await endPage();
        await endServing();
      };
    };
    return { ...real, serve };
  };
};

/** What starting took is not needed again, and what something rare takes not for long. */
const SETTLED_MS = 15_000;
const RARELY_MS = 10 * 60_000;

const keepSmall = async (): Promise<void> => {
  const { releaseCode } = await import('../linux/resident-code.ts');
  setTimeout(releaseCode, SETTLED_MS).unref();
  setInterval(releaseCode, RARELY_MS).unref();
};

const runAgent = async (flags: AgentFlags): Promise<void> => {
  const { agentOptions } = await import('../agent/options.ts');
  const { clusterAccess } = await import('../agent/kubernetes/kubeconfig.ts');
  const { Log: AgentLog } = await import('../agent/log.ts');
  const { Agent } = await import('../agent/agent.ts');
  const { realSurroundings } = await import('../agent/surroundings.ts');
  const options = agentOptions(flags);
  const log = new AgentLog(options.logLevel, (line) => process.stdout.write(line));
  if (options.cniBinDir !== null) await installPlugin(options.cniBinDir, log);
  const access = await clusterAccess({
    kubeconfig: options.kubeconfig,
    master: options.master,
    environment: process.env,
    warn: (message) => log.warn(message),
  });
  const end = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => end.abort());
  process.stdout.on('error', () => {}); // nobody reads the log any more
  await keepSmall();
  const context = { options, log, version: version() };
  const around = await withMeshFile(
    flags.meshFile,
    options,
    log,
    realSurroundings({ ...context, access, environment: process.env }),
  );
  const whole = options.ui === null ? around : withPage(options.ui, context, around);
  const departed = await new Agent(context, whole).run(end.signal);
  if (departed && options.cniBinDir !== null && options.cniPath !== null)
    await removePlugin(options.cniBinDir, dirname(options.cniPath), log);
};
