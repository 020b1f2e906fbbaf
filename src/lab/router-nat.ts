/**
 * What a cloud's router does to packets: each node with a public address has it for itself (1:1), all others share the
 * router's, and from outside only WireGuard of the former is let in, as a security group would have it.
 *
 * The source NAT keeps a sender's port, so a node is seen under one address and port by everybody: the endpoint-independent
 * mapping that discovered endpoints rely on (RFC 4787 §4.1). What comes unasked is dropped before conntrack confirms it;
 * were it answered, it would occupy the very pair of ports that the node's own packet needs a moment later.
 * @module
 */

import {
  addChain,
  addRule,
  addTable,
  applyNftables,
  type Change,
  openNftablesSocket,
} from '../linux/nftables.ts';
import { accept, dnat, drop, snat } from '../linux/nftables-action.ts';
import { ct, ip, metaKey, udp } from '../linux/nftables-match.ts';
import type { Host } from './host.ts';
import { type CloudPlan, LISTEN_PORT } from './plan.ts';

/** The router's links: towards its nodes, and towards the wan. */
export const ROUTER_LAN = 'lan';
export const ROUTER_WAN = 'wan';

const TABLE = { family: 'ip', name: 'kw-router' } as const;

const rules = (cloud: CloudPlan): Change[] => {
  const owners = cloud.nodes.flatMap(({ publicIP, privateIP }) =>
    publicIP === null ? [] : [{ publicIP, privateIP }],
  );
  const fromOutside = metaKey.iifname.is(ROUTER_WAN);
  const toOutside = metaKey.oifname.is(ROUTER_WAN);
  const fromNodes = ip.saddr.is(cloud.lan.cidr);
  return [
    ...owners.flatMap(({ publicIP, privateIP }) => [
      addRule(TABLE, 'prerouting', [ip.daddr.is(publicIP), dnat({ address: privateIP })]),
      addRule(TABLE, 'postrouting', [toOutside, ip.saddr.is(privateIP), snat({ address: publicIP })]),
    ]),
    addRule(TABLE, 'postrouting', [toOutside, fromNodes, snat({ address: cloud.wan.router })]),
    // One node calls another by its public address: it must look like a call from outside, or the answer goes past us.
    addRule(TABLE, 'postrouting', [
      metaKey.oifname.is(ROUTER_LAN),
      fromNodes,
      ct.status.has('dnat'),
      snat({ address: cloud.wan.router }),
    ]),
    addRule(TABLE, 'forward', [fromOutside, ct.state.has('established', 'related'), accept()]),
    addRule(TABLE, 'forward', [fromOutside, ct.status.has('dnat'), udp.dport.is(LISTEN_PORT), accept()]),
    addRule(TABLE, 'forward', [fromOutside, drop()]),
    addRule(TABLE, 'input', [fromOutside, drop()]),
  ];
};

export function natRouter(router: Host, cloud: CloudPlan): void {
  const nftables = router.enter(openNftablesSocket);
  try {
    applyNftables(nftables, [
      addTable(TABLE),
      addChain(TABLE, { name: 'prerouting', base: { type: 'nat', hook: 'prerouting', priority: -100 } }),
      addChain(TABLE, { name: 'postrouting', base: { type: 'nat', hook: 'postrouting', priority: 100 } }),
      addChain(TABLE, { name: 'forward', base: { type: 'filter', hook: 'forward', priority: 0 } }),
      addChain(TABLE, { name: 'input', base: { type: 'filter', hook: 'input', priority: 0 } }),
      ...rules(cloud),
    ]);
  } finally {
    nftables.close();
  }
}
