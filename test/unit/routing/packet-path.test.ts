/**
 * The way of a packet, held against the worked examples: the routes, rules and allowed IPs it must meet are those of the
 * reference's lists.
 * @module
 */
import { describe, expect, test } from 'vitest';
import { cidr, formatAddress, formatCidr, parseAddress } from '../../../src/noise/ip.ts';
import type { Granularity, Node } from '../../../src/routing/node.ts';
import { type PathOptions, tracePacket } from '../../../src/routing/packet-path.ts';
import type { Peer } from '../../../src/routing/peer.ts';
import { routeWords, ruleWords } from '../../../src/routing/route-words.ts';
import { fixture, hybrid, lookFrom, node, peer, twoRegions } from './clusters.ts';

const OPTIONS: PathOptions = {
  links: { wireguard: 'kilo0', private: 'eth0', tunnel: 'tunl0' },
  underlayMtu: 1500,
};

const ip = (text: string): Uint8Array => parseAddress(text) ?? new Uint8Array(4);

const trace = (
  cluster: { nodes: readonly Node[]; peers?: readonly Peer[] },
  from: string,
  source: string,
  destination: string,
  more: Partial<PathOptions> = {},
  granularity: Granularity = 'location',
) => {
  const isPeer = cluster.peers?.some(({ name }) => name === from) === true;
  const view = (name: string) => lookFrom(name, granularity, cluster);
  const first = view(cluster.nodes[0]?.name ?? '');
  const packet = { source: ip(source), destination: ip(destination) };
  const path = tracePacket(view, first, { kind: isPeer ? 'peer' : 'node', name: from }, packet, {
    ...OPTIONS,
    ...more,
  });
  return {
    hops: path.hops.map((hop) =>
      [
        `${hop.at} ${hop.by} ${hop.to}`,
        ...(hop.rule === undefined ? [] : [ruleWords(hop.rule)]),
        ...(hop.route === undefined ? [] : [routeWords(hop.route)]),
        ...(hop.allowedIP === undefined ? [] : [formatCidr(hop.allowedIP)]),
        ...(hop.masqueradedAs === undefined ? [] : [`as ${formatAddress(hop.masqueradedAs)}`]),
      ].join('; '),
    ),
    end: `${path.end.kind} ${path.end.at}`,
    why: path.end.kind === 'dropped' ? path.end.why : '',
    mtu: path.mtu,
  };
};

describe('two regions of three nodes', () => {
  test('a pod of a member reaches one of another region by both leaders', () => {
    expect(trace(twoRegions, 'eu-2', '10.42.1.7', '10.42.5.9')).toEqual({
      hops: [
        'eu-2 wrapped eu-1; 10.42.5.0/24 via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink',
        'eu-1 tunnel us-1; 10.42.5.0/24 via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink; 10.42.5.0/24',
        'us-1 wrapped us-3; 10.42.5.0/24 via 10.2.0.3 dev tunl0 src 10.2.0.1 onlink',
      ],
      end: 'pod us-3',
      why: '',
      mtu: 1420,
    });
  });

  test('a pod reaches a neighbour itself by table 1107, wrapped', () => {
    expect(trace(twoRegions, 'eu-2', '10.42.1.7', '10.1.0.3').hops).toEqual([
      'eu-2 wrapped eu-3; from 10.42.1.0/24 to 10.1.0.3/32 lookup 1107; 10.1.0.3/32 via 10.1.0.3 dev tunl0 table 1107 src 10.1.0.2 onlink',
    ]);
  });

  test('what comes out of the tunnel for a member itself goes by table 1107 too', () => {
    const { hops, end } = trace(twoRegions, 'us-1', '10.42.3.7', '10.1.0.3');
    expect(hops[1]).toBe(
      'eu-1 wrapped eu-3; from all to 10.1.0.3/32 iif kilo0 lookup 1107; 10.1.0.3/32 via 10.1.0.3 dev tunl0 table 1107 src 10.1.0.1 onlink',
    );
    expect(end).toBe('host eu-3');
  });

  test('a node itself meets its neighbour on their own network, without a route of the mesh', () => {
    expect(trace(twoRegions, 'eu-2', '10.1.0.2', '10.1.0.3')).toEqual({
      hops: ['eu-2 plain eu-3'],
      end: 'host eu-3',
      why: '',
      mtu: 1500,
    });
  });

  test('in one subnet nothing is wrapped with crosssubnet', () => {
    expect(
      trace(twoRegions, 'eu-2', '10.42.1.7', '10.42.2.9', { encapsulation: 'crosssubnet' }).hops,
    ).toEqual(['eu-2 plain eu-3; 10.42.2.0/24 via 10.1.0.3 dev eth0 onlink']);
  });

  test('stays at home when it is at home', () => {
    expect(trace(twoRegions, 'eu-2', '10.42.1.7', '10.42.1.9')).toMatchObject({ hops: [], end: 'pod eu-2' });
  });

  test('leaves by the default route, as the node, when nobody of the mesh has the destination', () => {
    const view = (name: string) => lookFrom(name, 'location', twoRegions);
    const packet = { source: ip('10.42.1.7'), destination: ip('8.8.8.8') };
    const origin = { kind: 'node', name: 'eu-2' } as const;
    expect(tracePacket(view, view('eu-2'), origin, packet, OPTIONS).end).toEqual({
      kind: 'outside',
      at: 'eu-2',
      masquerades: true,
    });
    const service = { ...OPTIONS, serviceCIDRs: [cidr('8.8.0.0/16')] };
    expect(tracePacket(view, view('eu-2'), origin, packet, service).end).toMatchObject({
      masquerades: false,
    });
  });

  test('a smaller underlay carries smaller packets', () => {
    expect(trace(twoRegions, 'eu-2', '10.42.1.7', '10.42.2.9', { underlayMtu: 1460 }).mtu).toBe(1440);
    expect(trace(twoRegions, 'eu-1', '10.42.0.7', '10.42.3.9', { underlayMtu: 1460 }).mtu).toBe(1380);
  });

  test('full: one tunnel from node to node', () => {
    expect(trace(twoRegions, 'eu-2', '10.42.1.7', '10.42.5.9', {}, 'full').hops).toEqual([
      'eu-2 tunnel us-3; 10.42.5.0/24 via 10.4.0.6 dev kilo0 src 10.1.0.2 onlink; 10.42.5.0/24',
    ]);
  });

  test('cross: one tunnel between regions, none inside', () => {
    expect(trace(twoRegions, 'eu-2', '10.42.1.7', '10.42.5.9', {}, 'cross').hops).toEqual([
      'eu-2 tunnel us-3; 10.42.5.0/24 via 10.4.0.6 dev kilo0 src 10.1.0.2 onlink; 10.42.5.0/24',
    ]);
    expect(trace(twoRegions, 'eu-2', '10.42.1.7', '10.42.2.9', {}, 'cross').hops).toEqual([
      'eu-2 wrapped eu-3; 10.42.2.0/24 via 10.1.0.3 dev tunl0 src 10.1.0.2 onlink',
    ]);
  });
});

describe('the hybrid cluster', () => {
  test('a laptop reaches a pod by the leader of its location', () => {
    expect(trace(hybrid, 'laptop', '10.5.0.1', '10.42.1.9')).toEqual({
      hops: [
        'laptop tunnel gcp-1; 10.42.1.0/24',
        'gcp-1 wrapped gcp-2; 10.42.1.0/24 via 10.132.0.3 dev tunl0 src 10.132.0.2 onlink',
      ],
      end: 'pod gcp-2',
      why: '',
      mtu: 1420,
    });
  });

  test('and the pod the laptop, through its leader', () => {
    expect(trace(hybrid, 'gcp-2', '10.42.1.9', '10.5.0.1')).toMatchObject({
      hops: [
        'gcp-2 wrapped gcp-1; 10.5.0.1/32 via 10.132.0.2 dev tunl0 src 10.132.0.3 onlink',
        'gcp-1 tunnel laptop; 10.5.0.1/32 dev kilo0 src 10.132.0.2; 10.5.0.1/32',
      ],
      end: 'peer laptop',
    });
  });

  test('a range behind a location is left to its own network, and packets for it bear the node', () => {
    expect(trace(hybrid, 'gcp-1', '10.42.0.9', '192.168.1.77')).toMatchObject({
      hops: [
        'gcp-1 tunnel home-1; 192.168.1.0/24 via 10.4.0.2 dev kilo0 src 10.132.0.2 onlink; 192.168.1.0/24; as 10.132.0.2',
      ],
      end: 'location home-1',
    });
  });
});

describe('what does not arrive', () => {
  test("a source that is not among the sender's allowed IPs is dropped where it comes out", () => {
    expect(trace(twoRegions, 'eu-1', '10.99.0.1', '10.42.3.9')).toMatchObject({
      end: 'dropped us-1',
      why: "its source is not among the sender's allowed IPs",
    });
  });

  test('an address two nodes have goes to the one that holds it', () => {
    // 192.168.0.1 is the address of a, and of b; b's segment comes last and holds it.
    expect(trace(fixture, 'd', '10.2.4.9', '192.168.0.1').hops).toEqual([
      'd tunnel b; 192.168.0.1/32 via 10.4.0.2 dev kilo0 onlink; 192.168.0.1/32',
    ]);
  });

  test('a peer finds no way to what no node offers', () => {
    expect(trace(hybrid, 'laptop', '10.5.0.1', '8.8.8.8')).toMatchObject({ hops: [], end: 'dropped laptop' });
  });

  test('an unspecified address cannot be dialled', () => {
    const nodes = [
      ...hybrid.nodes,
      node({
        name: 'odd-1',
        location: 'odd',
        endpoint: '0.0.0.0:51820',
        internalIP: '10.7.0.1/24',
        podCIDR: '10.42.9.0/24',
      }),
    ];
    expect(trace({ nodes }, 'gcp-1', '10.42.0.9', '10.42.9.9')).toMatchObject({
      end: 'dropped gcp-1',
      why: 'the address of odd-1 is not known',
    });
  });

  test('a Peer without an endpoint is reached all the same: it may have called', () => {
    const peers = [peer('phone', ['10.5.0.4/32'])];
    expect(trace({ ...twoRegions, peers }, 'us-1', '10.42.3.9', '10.5.0.4')).toMatchObject({
      end: 'peer phone',
    });
  });
});
