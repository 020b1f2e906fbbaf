/**
 * Dashboard, alerts and the table of docs/metrics.md name what an agent exports, and what it exports keeps to Prometheus' rules.
 * Source: Prometheus' naming practices, and the checks of `promtool check metrics`.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { AgentMetrics } from '../../../src/agent/metrics.ts';
import { tunnelMetrics } from '../../../src/agent/tunnel-metrics.ts';
import { ALERTS, PANELS } from '../../../src/deploy/monitoring.ts';
import { keyBytes } from '../../../src/routing/key-text.ts';
import { root } from '../../repo/source-tree.ts';
import { keyOf, lookFrom, node } from '../routing/clusters.ts';

/** What an agent says after everything has happened once. */
const exported = (): string => {
  const metrics = new AgentMetrics();
  metrics.error({ event: 'run' });
  metrics.leader(1);
  metrics.nodes(2);
  metrics.peers(1);
  metrics.reconcile();
  metrics.iptables({ operation: 'Save', protocol: 'IPv4' });
  metrics.changes({ what: 'routes' }, 2);
  metrics.problems([[{ code: 'c', kind: 'node', object: 'n' }, 1]]);
  metrics.apiSilence(3);
  metrics.takeovers({ why: 'silent' });
  metrics.failingLeaders(1);
  metrics.pods({ location: 4, outside: 0, spoofed: 2 });
  metrics.probes({ outcome: 'sent' });
  const nodes = ['a', 'b'].map((name, i) =>
    node({ name, endpoint: `203.0.113.${i}:51820`, podCIDR: `10.42.${i}.0/24` }),
  );
  const peer = {
    publicKey: keyBytes(keyOf('b')),
    allowedIps: [],
    endpoint: { address: Uint8Array.of(203, 0, 113, 1), port: 51820 },
    lastHandshake: { seconds: 1_700_000_000, nanoseconds: 5 },
    txBytes: 1536,
    rxBytes: 92,
    roundTrip: 12.5,
    pathMtu: 1420,
  };
  const device = { listenPort: 51820, peers: [peer] };
  return metrics.toString() + tunnelMetrics('kilo0', device, lookFrom('a', 'full', { nodes }));
};

interface Family {
  readonly kind: string;
  readonly labels: readonly string[];
}

/** By name; throws where the format is not kept to. */
const families = (text: string): ReadonlyMap<string, Family> => {
  const found = new Map<string, { kind: string; labels: Set<string>; help: boolean }>();
  for (const line of text.trimEnd().split('\n')) {
    const help = /^# HELP (\S+) (.+)$/.exec(line);
    const type = /^# TYPE (\S+) (counter|gauge)$/.exec(line);
    const sample = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (help !== null) {
      if (found.has(help[1]!)) throw new Error(`${help[1]} is told of twice`);
      found.set(help[1]!, { kind: '', labels: new Set(), help: true });
    } else if (type !== null) found.get(type[1]!)!.kind = type[2]!;
    else if (sample === null || !Number.isFinite(Number(sample[3]))) throw new Error(`not a sample: ${line}`);
    else
      for (const [, label] of (sample[2] ?? '').matchAll(/([a-z_]+)="/g))
        found.get(sample[1]!)!.labels.add(label!);
  }
  return new Map([...found].map(([name, { kind, labels }]) => [name, { kind, labels: [...labels] }]));
};

const all = families(exported());
/** Calico's own. */
const UNUSUAL = ['wireguard_bytes_rcvd', 'wireguard_bytes_sent'];

describe('what an agent exports', () => {
  it.each([...all])('%s keeps to the rules of its kind', (name, { kind, labels }) => {
    expect(name).toMatch(/^(?:kilo|kilowire|wireguard|process)_[a-z_]+$/);
    if (!UNUSUAL.includes(name)) expect(name.endsWith('_total')).toBe(kind === 'counter');
    // Base units, and no kind in a name.
    expect(name).not.toMatch(
      /_(?:ms|millis\w*|micros\w*|minutes|hours|kb|kib|mb|kilobytes|percent|gauge|counter|count|sum|bucket)(?:_|$)/,
    );
    for (const label of labels) expect(label).toMatch(/^[a-z][a-z_]*$/);
    expect(labels).not.toContain('le');
  });

  it("has Calico's four metrics of WireGuard, with its kinds", () => {
    expect(
      [
        'wireguard_meta',
        'wireguard_latest_handshake_seconds',
        'wireguard_bytes_rcvd',
        'wireguard_bytes_sent',
      ].map((name) => all.get(name)?.kind),
    ).toEqual(['gauge', 'gauge', 'counter', 'counter']);
    const key = keyOf('b');
    const lines = exported().split('\n');
    const peer = `hostname="a",peer_key="${key}",peer_endpoint="203.0.113.1:51820"`;
    expect(lines).toContain(`wireguard_bytes_sent{${peer}} 1536`);
    expect(lines).toContain(`wireguard_bytes_rcvd{${peer}} 92`);
    expect(lines).toContain(
      `wireguard_latest_handshake_seconds{interface="kilo0",public_key="${key}",friendly_name="b",${peer}} 1700000000`,
    );
    expect(lines).toContain(
      `wireguard_meta{hostname="a",iface="kilo0",listen_port="51820",public_key="${keyOf('a')}"} 1`,
    );
    expect(lines).toContain(
      `kilowire_tunnel_round_trip_seconds{interface="kilo0",public_key="${key}",friendly_name="b"} 0.0125`,
    );
  });

  it('is what docs/metrics.md lists', () => {
    const page = readFileSync(join(root, 'docs/metrics.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `(\w+)` \| (\w+) \|([^|]*)\|/gm)].map(
      ([, name, kind, labels = '']) =>
        `${name} ${kind} ${[...labels.matchAll(/`(\w+)`/g)]
          .map(([, label]) => label)
          .toSorted()
          .join()}`,
    );
    const said = [...all].map(([name, { kind, labels }]) => `${name} ${kind} ${labels.toSorted().join()}`);
    expect(rows.toSorted()).toEqual(said.toSorted());
  });
});

/** The metrics in an expression: what is no function, no label and no word of the language. */
const namesIn = (expression: string): string[] => {
  const bare = expression
    .replace(/"[^"]*"/g, '')
    .replace(/\{[^}]*\}/g, '')
    .replace(/\[[^\]]*\]/g, '')
    .replace(/\b(?:by|on|without|ignoring)\s*\([^)]*\)/g, '');
  const words = [...bare.matchAll(/[a-z_]\w*(?!\w*\s*\()/g)].map(([word]) => word);
  return words.filter((word) => !['and', 'or', 'unless', 'by', 'on'].includes(word));
};
const labelsIn = (expression: string): string[] => [
  ...[...expression.matchAll(/\b(?:by|on)\s*\(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/)),
];

describe('alerts and dashboard', () => {
  const expressions = [
    ...ALERTS.map(({ name, expression }) => [name, expression] as const),
    ...PANELS.flatMap(({ title, queries }) => queries.map(({ expression }) => [title, expression] as const)),
  ];

  it.each(expressions)('%s: %s names what there is', (_, expression) => {
    const names = namesIn(expression);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect([...all.keys()]).toContain(name);
    const labels = new Set(['instance', 'job', ...names.flatMap((name) => all.get(name)?.labels ?? [])]);
    for (const label of labelsIn(expression)) expect([...labels]).toContain(label);
    for (const [rate] of expression.matchAll(/(?:rate|increase)\((\w+)/g))
      expect(all.get(rate.replace(/^\w+\(/, ''))?.kind).toBe('counter');
    expect(expression.split('(').length).toBe(expression.split(')').length);
  });

  it('are told in both forms, each alert once, with words for people', () => {
    const read = (name: string) => readFileSync(join(root, 'deploy/monitoring', name), 'utf8');
    const plain = parse(read('alerts.yaml'));
    expect(parse(read('prometheus-rule.yaml')).spec).toEqual(plain);
    const names = plain.groups[0].rules.map(({ alert }: { alert: string }) => alert);
    expect(new Set(names).size).toBe(ALERTS.length);
    for (const rule of plain.groups[0].rules) {
      expect(rule.for).toMatch(/^\d+m$/);
      expect(rule.annotations.summary.length * rule.annotations.description.length).toBeGreaterThan(0);
      // A word in braces is a label the expression leaves.
      for (const [, label = ''] of rule.annotations.summary.matchAll(/\$labels\.(\w+)/g)) {
        const kept = labelsIn(rule.expr);
        const own = namesIn(rule.expr).flatMap((name) => all.get(name)?.labels ?? []);
        expect([...kept, ...own, 'instance']).toContain(label);
      }
    }
    const { panels } = JSON.parse(read('dashboard.json'));
    expect(panels.map(({ title }: { title: string }) => title)).toEqual(PANELS.map(({ title }) => title));
  });
});
