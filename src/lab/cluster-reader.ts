/**
 * What the lab's API server says, asked from outside the lab's networks: the connection is made inside the wan, as the agents'
 * own are made inside their nodes.
 * @module
 */
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { connect } from 'node:tls';
import type { ClusterAccess } from '../agent/kubernetes/cluster-access.ts';
import { clusterAccess } from '../agent/kubernetes/kubeconfig.ts';
import type { NodeResource } from '../agent/kubernetes/resources.ts';
import { kubeconfigPath, SERVER_NAME } from './cluster-api.ts';
import { LabError } from './lab-error.ts';
import { connectStream } from './namespace-sockets.ts';
import { API, WAN_NETNS } from './plan.ts';

const ANSWER_TIMEOUT_MS = 3000;

const textOf = async (response: IncomingMessage): Promise<string> => {
  const pieces: Buffer[] = [];
  for await (const piece of response as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
};

export class ClusterReader {
  readonly #access: ClusterAccess;

  private constructor(access: ClusterAccess) {
    this.#access = access;
  }

  static async open(runDirectory: string): Promise<ClusterReader> {
    const kubeconfig = kubeconfigPath(runDirectory);
    return new ClusterReader(await clusterAccess({ kubeconfig, environment: process.env }));
  }

  /** By name. */
  async nodes(): Promise<ReadonlyMap<string, NodeResource>> {
    const { items } = (await this.#read('/api/v1/nodes')) as { items: readonly NodeResource[] };
    return new Map(items.map((node) => [node.metadata.name, node]));
  }

  async #read(path: string): Promise<unknown> {
    const { authority: ca, credentials } = this.#access;
    const { authorization = '' } = await credentials(false);
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const asked = request(
          {
            path,
            host: API.ip,
            headers: { authorization },
            createConnection: () =>
              connect({
                socket: connectStream(WAN_NETNS, API.ip, API.port),
                servername: SERVER_NAME,
                ...(ca === undefined ? {} : { ca }),
              }),
          },
          resolve,
        );
        asked.setTimeout(ANSWER_TIMEOUT_MS, () => asked.destroy(new Error('it takes too long')));
        asked.on('error', reject);
        asked.end();
      });
      const text = await textOf(response);
      if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
      return JSON.parse(text);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new LabError('ERR_LAB_API', `The lab's API server does not answer: ${why}.`, { cause });
    }
  }
}
