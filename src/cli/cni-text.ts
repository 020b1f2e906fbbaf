/**
 * `kilowire cni` for people: tables and sentences.
 * @module
 */
import type { Explanation } from '../cni/admin/explanation.ts';
import type { Health } from '../cni/admin/health.ts';
import type { Holder } from '../cni/admin/holder.ts';
import type { Step } from '../cni/admin/installation.ts';
import type { RangeUse } from '../cni/admin/range-use.ts';

export function stepsText(steps: readonly Omit<Step, 'run'>[], dryRun: boolean): string {
  const past = { create: 'created', replace: 'replaced', keep: 'kept', delete: 'deleted' };
  const future = {
    create: 'would create',
    replace: 'would replace',
    keep: 'would keep',
    delete: 'would delete',
  };
  if (steps.length === 0) return 'Nothing of ours is there.';
  return steps
    .flatMap(({ action, path, why, difference }) => [
      `${(dryRun ? future : past)[action]} ${path} (${why})`,
      ...(dryRun ? difference.map((line) => `    ${line}`) : []),
    ])
    .join('\n');
}

export function healthText(health: Health): string {
  const lines = [
    `kilowire ${health.version}`,
    ...health.executables.map(({ path, version }) => `executable  ${path}  ${version || "somebody else's"}`),
    ...health.conflists.map(
      ({ file, network, types }) =>
        `conflist    ${file}  network ${network || '?'}: ${types.join(', ')}${file === health.winner ? '  <- the runtime takes this' : ''}`,
    ),
  ];
  for (const network of health.networks) {
    const { alive, dead, unknown } = network.attachments;
    lines.push(
      `network     ${network.name}: ${alive} attached, ${dead} dead, ${unknown} of other plugins; STATUS ${network.status || (network.conflist === '' ? 'not asked' : 'ok')}`,
    );
    if (network.bridge !== undefined) lines.push(`bridge      ${bridgeText(network.bridge)}`);
    lines.push(
      `nftables    masqueraded: ${network.masqueraded.join(', ') || 'nothing'}; host ports: ${network.hostPorts}`,
    );
  }
  const pids = health.residents.join(', ');
  lines.push(
    `resident    ${pids === '' ? 'none: the next ADD starts one' : `process ${pids} answers the next calls`}`,
  );
  lines.push('', health.problems.length === 0 ? 'Nothing is wrong.' : 'What is wrong:');
  lines.push(...health.problems.map(({ what, remedy }) => `  ${what}\n    ${remedy}`));
  return lines.join('\n');
}

function bridgeText(bridge: NonNullable<Health['networks'][number]['bridge']>): string {
  if (!bridge.exists) return `${bridge.name}: ${bridge.mtu === 0 ? 'not there' : 'it is no bridge'}`;
  return `${bridge.name} ${bridge.up ? 'up' : 'down'}, MTU ${bridge.mtu}, ${bridge.ports} ports, ${bridge.addresses.join(', ') || 'no address'}`;
}

interface Listed {
  readonly name: string;
  readonly ranges: readonly RangeUse[];
  readonly holders: readonly Omit<Holder, 'record'>[];
}

export function holdersText(networks: readonly Listed[]): string {
  if (networks.length === 0) return 'There is no network of ours.';
  return networks
    .map(({ name, ranges, holders }) =>
      [
        `network ${name}`,
        ...ranges.map(({ range, held, total, free }) => `  ${range}: ${held} of ${total} held, ${free} free`),
        ...table([
          ['ADDRESS', 'CONTAINER', 'INTERFACE', 'POD', 'SINCE', 'STATE'],
          ...holders.map((holder) => [
            holder.addresses.join(', ') || '-',
            short(holder.containerId),
            holder.ifname,
            holder.podName || '-',
            holder.since === '' ? '-' : holder.since.slice(0, 19),
            `${holder.life}${holder.why === '' ? '' : `: ${holder.why}`}`,
          ]),
        ]),
      ].join('\n'),
    )
    .join('\n\n');
}

interface Judged {
  readonly name: string;
  readonly failures: readonly string[];
  readonly attachments: readonly {
    readonly containerId: string;
    readonly ifname: string;
    readonly podName: string;
    readonly addresses: readonly string[];
    readonly remove: boolean;
    readonly why: string;
  }[];
}

export function verdictsText(networks: readonly Judged[], dryRun: boolean): string {
  if (networks.length === 0) return 'There is no network of ours.';
  return networks
    .flatMap(({ name, failures, attachments }) => {
      const removed = attachments.filter(({ remove }) => remove);
      return [
        `network ${name}: ${removed.length} ${dryRun ? 'would be taken away' : 'taken away'}, ${attachments.length - removed.length} kept`,
        ...table(
          attachments.map(({ containerId, ifname, podName, addresses, remove, why }) => [
            remove ? '-' : ' ',
            addresses.join(', '),
            `${short(containerId)}:${ifname}`,
            podName,
            why,
          ]),
        ),
        ...failures.map((failure) => `  could not be taken away: ${failure}`),
      ];
    })
    .join('\n');
}

export function explanationText(explanations: readonly Explanation[]): string {
  return explanations
    .map(({ holder, findings }) => {
      const width = Math.max(...findings.map(({ what }) => what.length));
      return [
        `${holder.podName || `container ${short(holder.containerId)}`}, ${holder.ifname} on network ${holder.network}: ${holder.life}`,
        `    container ${holder.containerId || '?'}`,
        ...findings.map(
          ({ what, words, asExpected }) => `${asExpected ? '  ' : '! '}  ${what.padEnd(width)}  ${words}`,
        ),
      ].join('\n');
    })
    .join('\n\n');
}

/** As crictl shortens ids. */
const short = (id: string): string => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 13) : id || '?');

function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}
