/**
 * /etc/netns/NAME/resolv.conf: `ip netns exec NAME …` puts it over /etc/resolv.conf, so that names of the cluster resolve
 * in whatever is run there.
 * Source: ip-netns(8), resolv.conf(5).
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LabPlan } from './plan.ts';
import { nodesOf } from './plan.ts';

export const RESOLVER_ROOT = '/etc/netns';

export const resolverDirectory = (netns: string): string => join(RESOLVER_ROOT, netns);

/** Pods and the laptop ask the cluster's resolver; nodes do not, as nodes do not in a real cluster. */
export function writeResolverFiles(plan: LabPlan): void {
  const text = `nameserver ${plan.dns.ip}\nsearch default.svc.cluster.local svc.cluster.local cluster.local\n`;
  const namespaces = [
    ...nodesOf(plan).flatMap(({ pods }) => pods.map(({ netns }) => netns)),
    plan.laptop.netns,
  ];
  for (const netns of namespaces) {
    mkdirSync(resolverDirectory(netns), { recursive: true, mode: 0o755 });
    writeFileSync(join(resolverDirectory(netns), 'resolv.conf'), text, { mode: 0o644 });
  }
}
