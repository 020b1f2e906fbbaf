/**
 * `kilowire status` for people: tables and sentences.
 * @module
 */
import type { Status } from '../admin/status.ts';
import type { Tunnel } from '../admin/tunnels.ts';
import { formatBytes, formatTable } from '../lab/text-table.ts';
import type { Paint } from './output.ts';
import { formatAge } from './top-view.ts';

export function statusText(status: Status, paint: Paint): string {
  const { mesh, here } = status;
  const facts = [
    `${mesh.granularity} mesh, addresses from ${mesh.subnet}`,
    `${mesh.nodes.ready} of ${mesh.nodes.all} nodes take part`,
    `${mesh.peers.ready} of ${mesh.peers.all} peers`,
    ...(here === null ? [] : [`${here.interface} here is ${here.up ? 'up' : 'down'}, MTU ${here.mtu}`]),
  ];
  const parts = [paint('bold', facts.join('; '))];
  if (status.segments.length > 0) parts.push(segmentsTable(status));
  if (status.relayed.length > 0) parts.push(relayedTable(status));
  parts.push(nodesTable(status));
  if (status.peers.length > 0) parts.push(peersTable(status));
  if (status.tunnels.length > 0) parts.push(tunnelsTable(status.tunnels));
  if (status.silent.length > 0)
    parts.push(`${paint('yellow', 'No answer')} from the agents of ${status.silent.join(', ')}.`);
  parts.push(problemsText(status, paint));
  return parts.join('\n\n');
}

const segmentsTable = ({ segments }: Status): string =>
  formatTable(
    ['SEGMENT', 'LEADER', 'WHY', 'MESH ADDRESS', 'ENDPOINT', 'MEMBERS'],
    segments.map(({ location, leader, why, wireguardIP, endpoint, discovered, members }) => [
      location,
      leader,
      why,
      wireguardIP,
      discovered ? `${endpoint} (discovered)` : endpoint,
      String(members.length),
    ]),
    [5],
  );

const relayedTable = ({ relayed }: Status): string =>
  formatTable(
    ['BETWEEN', 'AND', 'RELAY', 'SINCE'],
    relayed.map(({ between: [a, b], relay, since }) => [
      a,
      b,
      relay,
      new Date(since * 1000).toISOString().replace(/\.\d+Z$/, 'Z'),
    ]),
  );

const nodesTable = ({ nodes }: Status): string =>
  formatTable(
    ['NODE', 'LOCATION', 'ROLE', 'PRIVATE', 'ENDPOINT', 'PODS', 'KEEPALIVE', 'SEEN'],
    nodes.map((node) => [
      node.name,
      node.location || '-',
      node.role,
      node.internalIP ?? '-',
      node.endpoint ?? '-',
      node.podCIDRs.join(', ') || '-',
      node.persistentKeepalive === 0 ? '-' : `${node.persistentKeepalive} s`,
      node.ageSeconds === null ? 'never' : `${formatAge(node.ageSeconds)} ago`,
    ]),
  );

const peersTable = ({ peers }: Status): string =>
  formatTable(
    ['PEER', 'STATE', 'ALLOWED IPS', 'ENDPOINT', 'KEEPALIVE'],
    peers.map(({ name, ready, allowedIPs, endpoint, persistentKeepalive }) => [
      name,
      ready ? 'in the mesh' : 'left out',
      allowedIPs.join(', ') || '-',
      endpoint ?? '-',
      persistentKeepalive === 0 ? '-' : `${persistentKeepalive} s`,
    ]),
  );

const tunnelsTable = (tunnels: readonly Tunnel[]): string =>
  formatTable(
    ['FROM', 'TO', 'ENDPOINT', 'HANDSHAKE', 'ROUND TRIP', 'RECEIVED', 'SENT'],
    tunnels.map((tunnel) => [
      tunnel.from,
      tunnel.to,
      tunnel.endpoint ?? '-',
      tunnel.handshakeAge === null ? 'never' : `${formatAge(tunnel.handshakeAge)} ago`,
      tunnel.roundTripMs === null ? '-' : `${tunnel.roundTripMs.toFixed(1)} ms`,
      formatBytes(tunnel.receivedBytes),
      formatBytes(tunnel.sentBytes),
    ]),
    [4, 5, 6],
  );

const problemsText = ({ problems }: Status, paint: Paint): string => {
  const parts = (['fault', 'notice'] as const).flatMap((kind) => {
    const some = problems.filter(({ severity }) => severity === kind);
    if (some.length === 0) return [];
    const heading = kind === 'fault' ? paint('red', 'What is wrong:') : paint('yellow', 'Worth a look:');
    return [
      [heading, ...some.flatMap(({ what, remedy }) => [`  ${what}`, paint('faint', `    ${remedy}`)])].join(
        '\n',
      ),
    ];
  });
  return parts.length === 0 ? paint('green', 'Nothing is wrong.') : parts.join('\n\n');
};
