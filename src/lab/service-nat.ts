/**
 * Services on the nodes, in kube-proxy's place: the service address becomes the pod's, and who is no pod looks like the node,
 * so that the answer comes back the same way.
 * Source: kube-proxy's rules for ClusterIP services with --cluster-cidr (KUBE-SERVICES, KUBE-MARK-MASQ).
 * @module
 */

import {
  addChain,
  addRule,
  applyNftables,
  type Change,
  openNftablesSocket,
  recreateTable,
} from '../linux/nftables.ts';
import { dnat, masquerade } from '../linux/nftables-action.ts';
import { ct, ip, metaKey, tcp, udp } from '../linux/nftables-match.ts';
import { Host } from './host.ts';
import { BRIDGE, type LabPlan, nodesOf, POD_CIDR, SERVICE_CIDR, type ServicePlan } from './plan.ts';

const TABLE = { family: 'ip', name: 'kw-services' } as const;
/** After Kilo's own chain, whose NAT comes first. */
const AFTER_KILO = 101;

const toPod = (chain: string, service: ServicePlan, podIP: string): Change =>
  addRule(TABLE, chain, [
    ip.daddr.is(service.ip),
    (service.protocol === 'tcp' ? tcp : udp).dport.is(service.port),
    dnat({ address: podIP, port: service.port }),
  ]);

const rules = (services: readonly ServicePlan[], podIPs: Readonly<Record<string, string>>): Change[] => {
  const ofService = [ct.status.has('dnat'), ct.originalDaddr.is(SERVICE_CIDR)];
  return [
    ...services.flatMap((service) => {
      const podIP = podIPs[service.pod.name];
      return podIP === undefined
        ? []
        : [toPod('prerouting', service, podIP), toPod('output', service, podIP)];
    }),
    addRule(TABLE, 'postrouting', [...ofService, ip.saddr.not(POD_CIDR), masquerade()]),
    // A neighbour on the same bridge would answer past the node, with an address nobody asked.
    addRule(TABLE, 'postrouting', [
      ...ofService,
      metaKey.iifname.is(BRIDGE),
      metaKey.oifname.is(BRIDGE),
      masquerade(),
    ]),
  ];
};

/** On every node: a service is reached from its pods, from itself, and by who comes through it. */
export function programServices(plan: LabPlan, podIPs: Readonly<Record<string, string>>): void {
  for (const node of nodesOf(plan)) {
    using host = new Host(node.netns);
    const nftables = host.enter(openNftablesSocket);
    try {
      const nat = { type: 'nat' } as const;
      applyNftables(nftables, [
        recreateTable(TABLE),
        addChain(TABLE, { name: 'prerouting', base: { ...nat, hook: 'prerouting', priority: -100 } }),
        addChain(TABLE, { name: 'output', base: { ...nat, hook: 'output', priority: -100 } }),
        addChain(TABLE, { name: 'postrouting', base: { ...nat, hook: 'postrouting', priority: AFTER_KILO } }),
        ...rules([plan.web, plan.dns], podIPs),
      ]);
    } finally {
      nftables.close();
    }
  }
}
