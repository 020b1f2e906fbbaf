/**
 * What to watch a mesh with: alert rules for Prometheus, plain and as the operator's resource, and a dashboard for Grafana.
 * Source: Prometheus' rule files, monitoring.coreos.com/v1 PrometheusRule, Grafana's dashboard JSON; docs/metrics.md has the names.
 * @module
 */
import { stringify } from 'yaml';

interface Alert {
  readonly name: string;
  readonly expression: string;
  readonly for: string;
  readonly severity: 'critical' | 'warning' | 'info';
  readonly summary: string;
  readonly description: string;
}

export const ALERTS: readonly Alert[] = [
  {
    name: 'KilowireAgentsMissing',
    expression: 'absent(kilo_nodes)',
    for: '5m',
    severity: 'critical',
    summary: 'No agent of the mesh is scraped',
    description: 'Either none runs, or Prometheus does not find them on port 1107.',
  },
  {
    name: 'KilowireProblem',
    expression: 'max by (code, kind, object) (kilowire_problems) > 0',
    for: '5m',
    severity: 'warning',
    summary: '{{ $labels.kind }} {{ $labels.object }}: {{ $labels.code }}',
    description:
      'kilowire status says in words what is wrong and what to do; docs/troubleshooting.md has each code.',
  },
  {
    name: 'KilowireErrors',
    expression: 'sum by (instance, event) (rate(kilo_errors_total[10m])) > 0',
    for: '15m',
    severity: 'warning',
    summary: 'The agent at {{ $labels.instance }} goes on failing ({{ $labels.event }})',
    description: 'See its log. What it cannot do stays as it was; other nodes are not concerned.',
  },
  {
    name: 'KilowireApiAway',
    expression: 'kilowire_api_silence_seconds > 120',
    for: '2m',
    severity: 'warning',
    summary: 'The agent at {{ $labels.instance }} has not heard from the Kubernetes API for two minutes',
    description: 'Its tunnels stay as they are, and it hears of no changes.',
  },
  {
    name: 'KilowireNodesDisagree',
    expression: 'max(kilo_nodes) - min(kilo_nodes) > 0',
    for: '5m',
    severity: 'warning',
    summary: 'Agents count different numbers of nodes',
    description: 'One of them is behind, or runs with another --mesh-granularity or --topology-label.',
  },
  {
    name: 'KilowireTunnelSilent',
    expression:
      '(time() - wireguard_latest_handshake_seconds > 300) and on (instance, interface, public_key) (rate(wireguard_sent_bytes_total[5m]) > 0)',
    for: '5m',
    severity: 'critical',
    summary: '{{ $labels.instance }} sends to {{ $labels.friendly_name }} and is not answered',
    description:
      'UDP to its endpoint must pass, and its device must run: kilowire status, then kilowire doctor on both.',
  },
  {
    name: 'KilowireUnencrypted',
    expression: 'sum by (instance) (increase(kilowire_unencrypted_packets_total{where="outside"}[10m])) > 0',
    for: '0m',
    severity: 'critical',
    summary: 'Packets from pods at {{ $labels.instance }} left for other locations without a tunnel',
    description: 'A route of another program leads past kilo0: kilowire explain POD POD shows it.',
  },
  {
    name: 'KilowireSpoofedPods',
    expression: 'sum by (instance) (increase(kilowire_spoofed_packets_total[10m])) > 0',
    for: '0m',
    severity: 'warning',
    summary: 'A pod at {{ $labels.instance }} sends with an address that is not its own',
    description: 'The packets are dropped before the tunnel.',
  },
  {
    name: 'KilowireLeaderFailing',
    expression: 'sum(kilowire_failing_leaders) > 0',
    for: '2m',
    severity: 'critical',
    summary: 'The leader of a location passes nothing on, and nobody takes its place',
    description: 'kilowire status names it, and says whether all agents are able to replace one.',
  },
  {
    name: 'KilowireLeaderFlaps',
    expression: 'sum(increase(kilowire_leader_takeovers_total[1h])) > 3',
    for: '0m',
    severity: 'warning',
    summary: 'Leaders are replaced again and again',
    description: 'Something on the way to a location comes and goes.',
  },
  {
    name: 'KilowireHostChanges',
    expression: 'sum by (instance, what) (rate(kilowire_changes_total[10m])) > 0.05',
    for: '30m',
    severity: 'warning',
    summary: 'The agent at {{ $labels.instance }} sets {{ $labels.what }} right every few seconds',
    description:
      'Another program changes it back: a second agent, a firewall manager, another network plugin.',
  },
];

const groups = () => [
  {
    name: 'kilowire',
    rules: ALERTS.map(({ name, expression, for: pending, severity, summary, description }) => ({
      alert: name,
      expr: expression,
      for: pending,
      labels: { severity },
      annotations: { summary, description },
    })),
  },
];

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly queries: readonly { readonly expression: string; readonly legend: string }[];
}

const query = (expression: string, legend: string): Panel['queries'][number] => ({ expression, legend });

export const PANELS: readonly Panel[] = [
  {
    title: 'Nodes, Peers, leaders',
    unit: 'short',
    queries: [
      query('max(kilo_nodes)', 'nodes'),
      query('max(kilo_peers)', 'Peers'),
      query('sum(kilo_leader)', 'leaders'),
    ],
  },
  {
    title: 'What is wrong',
    unit: 'short',
    queries: [query('max by (code, kind, object) (kilowire_problems)', '{{code}} {{kind}} {{object}}')],
  },
  {
    title: 'Sent through tunnels',
    unit: 'Bps',
    queries: [
      query(
        'sum by (instance, friendly_name) (rate(wireguard_sent_bytes_total[$__rate_interval]))',
        '{{instance}} → {{friendly_name}}',
      ),
    ],
  },
  {
    title: 'Received through tunnels',
    unit: 'Bps',
    queries: [
      query(
        'sum by (instance, friendly_name) (rate(wireguard_received_bytes_total[$__rate_interval]))',
        '{{instance}} ← {{friendly_name}}',
      ),
    ],
  },
  {
    title: 'Pod packets in clear, dropped',
    unit: 'pps',
    queries: [
      query(
        'sum by (instance, where) (rate(kilowire_unencrypted_packets_total[$__rate_interval]))',
        '{{instance}} in clear: {{where}}',
      ),
      query(
        'sum by (instance) (rate(kilowire_spoofed_packets_total[$__rate_interval]))',
        '{{instance}} dropped',
      ),
    ],
  },
  {
    title: 'Age of the last handshake',
    unit: 's',
    queries: [query('time() - (wireguard_latest_handshake_seconds > 0)', '{{instance}} → {{friendly_name}}')],
  },
  {
    title: 'Round trip',
    unit: 's',
    queries: [query('kilowire_tunnel_round_trip_seconds', '{{instance}} → {{friendly_name}}')],
  },
  {
    title: 'Path MTU',
    unit: 'bytes',
    queries: [query('min by (friendly_name) (kilowire_tunnel_path_mtu_bytes)', '{{friendly_name}}')],
  },
  {
    title: 'Since the API last spoke',
    unit: 's',
    queries: [query('kilowire_api_silence_seconds', '{{instance}}')],
  },
  {
    title: 'Leaders taken over, failing',
    unit: 'short',
    queries: [
      query(
        'sum by (instance) (increase(kilowire_leader_takeovers_total[$__rate_interval]))',
        'taken over by {{instance}}',
      ),
      query('sum by (instance) (kilowire_failing_leaders)', 'found failing by {{instance}}'),
    ],
  },
  {
    title: 'Passes and changes',
    unit: 'ops',
    queries: [
      query('sum by (instance) (rate(kilo_reconciles_total[$__rate_interval]))', 'passes {{instance}}'),
      query('sum by (what) (rate(kilowire_changes_total[$__rate_interval]))', 'changes: {{what}}'),
    ],
  },
  {
    title: 'Errors',
    unit: 'ops',
    queries: [
      query('sum by (instance, event) (rate(kilo_errors_total[$__rate_interval]))', '{{instance}} {{event}}'),
    ],
  },
  {
    title: 'Agents: CPU',
    unit: 'percentunit',
    queries: [
      query('rate(process_cpu_seconds_total{job=~".*kilowire.*"}[$__rate_interval])', '{{instance}}'),
    ],
  },
  {
    title: 'Agents: memory',
    unit: 'bytes',
    queries: [query('process_resident_memory_bytes{job=~".*kilowire.*"}', '{{instance}}')],
  },
];

const SOURCE = { type: 'prometheus', uid: '$datasource' };

const dashboard = () => ({
  uid: 'kilowire',
  title: 'Kilowire',
  tags: ['kilowire', 'wireguard', 'network'],
  timezone: 'browser',
  schemaVersion: 39,
  refresh: '30s',
  time: { from: 'now-1h', to: 'now' },
  templating: {
    list: [
      {
        name: 'datasource',
        label: 'Data source',
        type: 'datasource',
        query: 'prometheus',
        current: {},
        hide: 0,
      },
    ],
  },
  panels: PANELS.map(({ title, unit, queries }, index) => ({
    id: index + 1,
    type: 'timeseries',
    title,
    datasource: SOURCE,
    gridPos: { x: (index % 2) * 12, y: Math.floor(index / 2) * 8, w: 12, h: 8 },
    fieldConfig: { defaults: { unit, custom: { fillOpacity: 10 } }, overrides: [] },
    options: {
      legend: { displayMode: 'list', placement: 'bottom' },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
    targets: queries.map(({ expression, legend }, at) => ({
      refId: String.fromCharCode(65 + at),
      datasource: SOURCE,
      expr: expression,
      legendFormat: legend,
    })),
  })),
});

/** File name → content. */
export const monitoringFiles = (): Readonly<Record<string, string>> => ({
  'alerts.yaml': `# Alert rules of a Kilowire mesh, for rule_files of Prometheus.\n${stringify({ groups: groups() })}`,
  'prometheus-rule.yaml': `# The same for Prometheus' operator.\n${stringify({
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: {
      name: 'kilowire',
      namespace: 'kube-system',
      labels: { 'app.kubernetes.io/name': 'kilowire' },
    },
    spec: { groups: groups() },
  })}`,
  'dashboard.json': `${JSON.stringify(dashboard(), null, 2)}\n`,
});
