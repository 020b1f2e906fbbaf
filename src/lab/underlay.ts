/**
 * The world the cluster lives in, with nothing of Kilowire in it yet: the wan, a router for each cloud, the nodes behind it,
 * and the laptop. See the picture in plan.ts.
 * @module
 */
import { changeLink, newLink } from '../linux/link.ts';
import { cable, Host } from './host.ts';
import { API, type CloudPlan, type LabPlan, WAN_NETNS } from './plan.ts';
import { natRouter, ROUTER_LAN, ROUTER_WAN } from './router-nat.ts';

/** Of a node and of the laptop, towards the world. */
export const UPLINK = 'eth0';

const buildCloud = (cloud: CloudPlan, wan: Host): void => {
  using router = new Host(cloud.router);
  router.silenceIpv6();
  router.forward();
  cable(wan, cloud.name, router, ROUTER_WAN);
  wan.address(cloud.name, `${cloud.wan.gateway}/${cloud.wan.prefix}`);
  const publicIPs = cloud.nodes.flatMap(({ publicIP }) => (publicIP === null ? [] : [publicIP]));
  router.address(
    ROUTER_WAN,
    `${cloud.wan.router}/${cloud.wan.prefix}`,
    // The router answers for them, and maps each to its node.
    ...publicIPs.map((publicIP) => `${publicIP}/32`),
  );
  router.route('default', cloud.wan.gateway);

  router.routes.request(newLink({ kind: 'bridge', name: ROUTER_LAN, up: true, bridge: { forwardDelay: 0 } }));
  router.address(ROUTER_LAN, `${cloud.lan.gateway}/${cloud.lan.prefix}`);
  const lan = router.index(ROUTER_LAN);
  for (const plan of cloud.nodes) {
    using node = new Host(plan.netns);
    node.silenceIpv6();
    node.forward();
    cable(router, plan.name, node, UPLINK);
    router.routes.request(changeLink(router.index(plan.name), { master: lan }));
    node.address(UPLINK, `${plan.privateIP}/${cloud.lan.prefix}`);
    node.route('default', cloud.lan.gateway);
  }
  natRouter(router, cloud);
};

/** Joins the namespaces of a plan, which exist already, by links, addresses, routes and NAT. */
export function buildUnderlay(plan: LabPlan): void {
  using wan = new Host(WAN_NETNS);
  wan.silenceIpv6();
  wan.forward();
  wan.address('lo', `${API.ip}/32`);
  for (const cloud of plan.clouds) buildCloud(cloud, wan);

  const { laptop } = plan;
  using host = new Host(laptop.netns);
  host.silenceIpv6();
  cable(wan, laptop.name, host, UPLINK);
  wan.address(laptop.name, `${laptop.gateway}/${laptop.prefix}`);
  host.address(UPLINK, `${laptop.publicIP}/${laptop.prefix}`);
  host.route('default', laptop.gateway);
}
