/**
 * A mesh by a file, kept on one machine: an agent like any other, whose API server is the file. It ends when it is told to, or
 * when an agent of a cluster takes its place, and leaves everything as it is.
 * @module
 */
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { listAddresses, newAddress } from '../../linux/address.ts';
import { getLink } from '../../linux/link.ts';
import { openRouteSocket } from '../../linux/rtnetlink.ts';
import { formatCidr } from '../../noise/ip.ts';
import { Agent } from '../agent.ts';
import { AgentError, sentenceOf } from '../agent-error.ts';
import { loadNodeKey } from '../key-file.ts';
import type { Log } from '../log.ts';
import { type AgentFlags, agentOptions, DEFAULT_FLAGS } from '../options.ts';
import { realSurroundings } from '../surroundings.ts';
import { FileClient } from './file-client.ts';
import { fileNodes } from './file-nodes.ts';
import { holdMesh } from './handover.ts';
import { type MeshFile, parseMeshFile } from './mesh-file.ts';

export interface MeshKeeperOptions {
  readonly path: string;
  readonly hostname: string;
  readonly stateDirectory: string;
  readonly device: string;
  readonly createInterface: boolean;
  readonly log: Log;
  readonly version: string;
  readonly environment: NodeJS.ProcessEnv;
}

const LOOK_MS = 2000;

/** @throws AgentError */
export const readMeshFile = async (path: string): Promise<MeshFile> => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new AgentError('ERR_AGENT_MESH_FILE', `${path} cannot be read: ${(cause as Error).message}.`, {
      cause,
    });
  }
  return await parseMeshFile(text, path);
};

const agentFor = (
  options: MeshKeeperOptions,
  file: MeshFile,
  client: FileClient,
  more: Partial<AgentFlags>,
) => {
  const { hostname, stateDirectory, device, createInterface, log, version, environment } = options;
  const flags = agentOptions({
    ...DEFAULT_FLAGS,
    cleanUp: false,
    cni: false,
    createInterface,
    device,
    encapsulate: 'crosssubnet',
    hostname,
    interface: file.interfaceName,
    meshGranularity: file.granularity,
    port: String(file.port),
    stateDirectory,
    subnet: formatCidr(file.subnet),
    ...more,
  });
  const context = { options: flags, log, version };
  const access = { server: new URL('http://127.0.0.1:9'), credentials: async () => ({}) };
  const real = realSurroundings({ ...context, access, environment });
  return new Agent(context, (hooks) => {
    const around = real(hooks);
    // Nobody asks it anything: the port is the agent's that comes after it.
    return { ...around, client, serve: async () => async () => {} };
  });
};

const ownNode = (file: MeshFile, { path, hostname }: MeshKeeperOptions) => {
  const own = file.nodes.find(({ name }) => name === hostname);
  if (own !== undefined) return own;
  throw new AgentError(
    'ERR_AGENT_HOSTNAME',
    `${path} has no node "${hostname}": give --hostname one of ${file.nodes.map(({ name }) => name).join(', ')}.`,
  );
};

/** Addresses of the machine itself lie on its loopback link: they are there whatever becomes of any other link. */
const keepAddresses = (file: MeshFile, options: MeshKeeperOptions): void => {
  const socket = openRouteSocket();
  try {
    const loopback = getLink(socket, 'lo');
    if (loopback === undefined) return;
    const there = new Set(listAddresses(socket).map(({ address }) => address));
    for (const address of ownNode(file, options).addresses.map(formatCidr))
      if (!there.has(address)) socket.request(newAddress({ link: loopback.index, address }));
  } finally {
    socket.close();
  }
};

/** The others know this machine by the file's word. */
const checkKey = (file: MeshFile, options: MeshKeeperOptions): void => {
  const { privateKey, publicKey } = loadNodeKey(options.stateDirectory);
  privateKey.fill(0);
  if (ownNode(file, options).key !== publicKey)
    options.log.warn(
      `The file has another key of this machine, or none: the others will not answer before it says key: ${publicKey}`,
    );
};

/** Until the signal, or until an agent takes the mesh; true: one did. */
export const keepMesh = async (options: MeshKeeperOptions, signal: AbortSignal): Promise<boolean> => {
  const { path, stateDirectory, log } = options;
  const file = await readMeshFile(path);
  ownNode(file, options);
  const end = new AbortController();
  let taken = false;
  const letGo = await holdMesh(stateDirectory, file.interfaceName, () => {
    taken = true;
    end.abort();
  });
  const stop = (): void => end.abort();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const client = new FileClient(fileNodes(file));
  const changed = (): void => void follow(options, file, client);
  watchFile(path, { interval: LOOK_MS, persistent: false }, changed);
  try {
    checkKey(file, options);
    keepAddresses(file, options);
    await agentFor(options, file, client, {}).run(end.signal);
  } finally {
    unwatchFile(path, changed);
    letGo();
  }
  if (taken) log.info('an agent keeps the mesh from now on; everything stays as it is');
  return taken;
};

/** What cannot be read changes nothing; what only a new start can change is said. */
const follow = async (options: MeshKeeperOptions, first: MeshFile, client: FileClient): Promise<void> => {
  const { path, log } = options;
  try {
    const file = await readMeshFile(path);
    ownNode(file, options);
    const frame = ({ granularity, subnet, port, interfaceName }: MeshFile): string =>
      [granularity, formatCidr(subnet), port, interfaceName].join(' ');
    if (frame(file) !== frame(first))
      log.warn('granularity, subnet, port and interface of the file count at the next start only');
    keepAddresses(file, options);
    client.update(fileNodes(file));
    log.info('the file has changed', { path, nodes: file.nodes.length });
  } catch (error) {
    log.error(`${sentenceOf(error)} The mesh stays as it was.`);
  }
};

/** Takes the mesh off this machine. Its own addresses stay: somebody may serve there. */
export const dropMesh = async (options: MeshKeeperOptions): Promise<void> => {
  const file = await readMeshFile(options.path);
  ownNode(file, options);
  const letGo = await holdMesh(options.stateDirectory, file.interfaceName, () => {});
  try {
    const more = { cleanUp: true, cleanUpInterface: true };
    await agentFor(options, file, new FileClient(fileNodes(file)), more).run(AbortSignal.abort());
  } finally {
    letGo();
  }
};
