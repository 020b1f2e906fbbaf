/**
 * The `proxy` of a Pod or a Node: a request goes on to a port of it, and its answer comes back.
 * Source: Kubernetes API, `/api/v1/nodes/NAME:PORT/proxy/PATH`, `/api/v1/namespaces/NS/pods/[http:]NAME:PORT/proxy/PATH`; what a
 * kube-apiserver 1.35 answers when nobody listens there.
 * @module
 */
import {
  request as ask,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { connect as connectHere } from 'node:net';
import type { Duplex } from 'node:stream';
import type { NodeResource, PodResource } from '../kubernetes/resources.ts';
import type { ObjectStore } from './object-store.ts';
import { ApiStatus, badRequest, notFound } from './status.ts';

/** How the server reaches Nodes and Pods. */
export type Connect = (host: string, port: number) => Duplex;

export interface ProxyRequest {
  readonly plural: 'nodes' | 'pods';
  readonly namespace: string | undefined;
  readonly name: string;
  readonly port: number;
  /** Of the program there, with its query. */
  readonly path: string;
}

const PATH = /^\/api\/v1(?:\/namespaces\/([^/]+)\/(pods)|\/(nodes))\/([^/]+)\/proxy(\/.*)?$/;
/** A hop's own, or nothing that a program there should learn (RFC 9110 §7.6.1). */
const KEPT_BACK = ['authorization', 'connection', 'host', 'keep-alive', 'transfer-encoding', 'upgrade'];

/** Null when the address is no proxy's. */
export const proxyRequestOf = ({ pathname, search }: URL): ProxyRequest | null => {
  const match = PATH.exec(pathname);
  if (match === null) return null;
  const [, namespace, pods, , id = '', path = '/'] = match;
  const [, name, port] = /^(?:http:)?([^:]+):(\d{1,5})$/.exec(decodeURIComponent(id)) ?? [];
  if (name === undefined)
    throw badRequest(
      'this server knows no kubelet and speaks no TLS to others: name a port, as in NAME:PORT',
    );
  const plural = pods === undefined ? 'nodes' : 'pods';
  return { plural, namespace, name, port: Number(port), path: `${path}${search}` };
};

export const serveProxy = async (
  store: ObjectStore,
  target: ProxyRequest,
  incoming: IncomingMessage,
  response: ServerResponse,
  connect: Connect = (host, port) => connectHere({ host, port }),
): Promise<void> => {
  const { port, path } = target;
  const host = addressOf(store, target);
  const headers = passedOn(incoming.headers);
  await new Promise<void>((resolve, reject) => {
    const outgoing = ask(
      { method: incoming.method, path, headers, host, port, createConnection: () => connect(host, port) },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, passedOn(answer.headers));
        answer.pipe(response);
        answer.on('end', resolve).on('error', reject);
      },
    );
    outgoing.on('error', (cause) =>
      reject(new ApiStatus(503, 'ServiceUnavailable', `error trying to reach service: ${cause.message}`)),
    );
    response.on('close', () => outgoing.destroy());
    incoming.pipe(outgoing);
  });
};

const passedOn = (headers: IncomingHttpHeaders): IncomingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !KEPT_BACK.includes(name)));

const addressOf = (store: ObjectStore, { plural, namespace, name }: ProxyRequest): string => {
  const found = store.get(plural, namespace === undefined ? name : `${namespace}/${name}`);
  if (found === undefined) throw notFound(plural, name);
  const address =
    plural === 'pods'
      ? (found as PodResource).status?.podIP
      : (found as NodeResource).status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
  if (address !== undefined) return address;
  throw new ApiStatus(503, 'ServiceUnavailable', `no address of ${plural} "${name}" is known`);
};
