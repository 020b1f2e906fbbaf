/**
 * The nodes of a mesh file as Node resources, with the annotations that a user and an agent would have written: everything
 * behind them goes the way it goes with an API server.
 * @module
 */
import { formatCidr } from '../../noise/ip.ts';
import { formatMeshEndpoint, type Granularity } from '../../routing/node.ts';
import {
  ALLOWED_LOCATION_IPS,
  ENDPOINT,
  FORCE_ENDPOINT,
  FORCE_INTERNAL_IP,
  GRANULARITY,
  INTERNAL_IP,
  KEY,
  LAST_SEEN,
  LEADER,
  LOCATION,
  PERSISTENT_KEEPALIVE,
} from '../annotations.ts';
import type { NodeResource } from '../kubernetes/resources.ts';
import type { MeshFile, MeshFileNode } from './mesh-file.ts';

/** Nobody hears heart-beats of a file: its nodes are there for as long as they stand in it. Year 2286. */
const ALWAYS = '9999999999';

export const fileNodes = (file: MeshFile): readonly NodeResource[] =>
  file.nodes.map((node) => resourceOf(node, file.granularity));

const resourceOf = (node: MeshFileNode, granularity: Granularity): NodeResource => {
  const [first] = reachedAt(node);
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: node.name,
      uid: `file-${node.name}`,
      annotations: {
        ...userAnnotations(node, granularity),
        ...(node.key === null
          ? {}
          : {
              [KEY]: node.key,
              [LAST_SEEN]: ALWAYS,
              [GRANULARITY]: granularity,
              [ENDPOINT]: endpointText(node),
            }),
        [INTERNAL_IP]: privateText(node, granularity),
      },
    },
    // Before there are pods its own address stands in their place.
    spec: first === undefined ? {} : { podCIDR: formatCidr(first) },
  };
};

const reachedAt = ({ addresses, privateIP, subnets }: MeshFileNode) => [
  ...addresses,
  ...(privateIP === null ? [] : [{ address: privateIP.address, prefix: privateIP.address.length * 8 }]),
  ...subnets,
];

const endpointText = ({ endpoint }: MeshFileNode): string => formatMeshEndpoint(endpoint);

/** In a full mesh nobody shares a network: a node's own address is its private one. */
const privateText = ({ privateIP, addresses: [own] }: MeshFileNode, granularity: Granularity): string =>
  privateIP !== null
    ? formatCidr(privateIP)
    : granularity === 'full' && own !== undefined
      ? formatCidr(own)
      : '';

/** What a user would annotate. */
const userAnnotations = (node: MeshFileNode, granularity: Granularity): Record<string, string> => {
  const privateIP = privateText(node, granularity);
  const behind = reachedAt(node)
    .slice(1)
    .map(formatCidr)
    .filter((text) => text.split('/')[0] !== privateIP.split('/')[0]);
  return {
    [LOCATION]: node.location,
    [FORCE_ENDPOINT]: endpointText(node),
    [FORCE_INTERNAL_IP]: privateIP,
    ...(node.persistentKeepalive === 0 ? {} : { [PERSISTENT_KEEPALIVE]: String(node.persistentKeepalive) }),
    ...(node.leader ? { [LEADER]: 'true' } : {}),
    ...(behind.length === 0 ? {} : { [ALLOWED_LOCATION_IPS]: behind.join(',') }),
  };
};

/**
 * A Node of the API as an agent shall see it that knows the file too: what somebody wrote into the API counts, and what nobody
 * did comes from the file. It counts as alive by the file until its own agent has spoken once.
 */
export const overlaid = (resource: NodeResource, file: NodeResource | undefined): NodeResource => {
  if (file === undefined) return resource;
  const said = resource.metadata.annotations ?? {};
  const has = resource.spec?.podCIDR !== undefined && resource.spec.podCIDR !== '';
  const own = file.spec?.podCIDR;
  const annotations: Record<string, string> = { ...file.metadata.annotations, ...said };
  // Where the pods have their range, the place of the node's own address is among what lies behind it.
  if (has && own !== undefined && said[ALLOWED_LOCATION_IPS] === undefined) {
    const privateIP = annotations[FORCE_INTERNAL_IP] ?? '';
    if (own.split('/')[0] !== privateIP.split('/')[0])
      annotations[ALLOWED_LOCATION_IPS] = [
        own,
        ...(file.metadata.annotations?.[ALLOWED_LOCATION_IPS]?.split(',') ?? []),
      ].join(',');
  }
  const spec = has ? resource.spec : file.spec;
  return {
    ...resource,
    metadata: { ...resource.metadata, annotations },
    ...(spec === undefined ? {} : { spec: { ...resource.spec, ...spec } }),
  };
};
