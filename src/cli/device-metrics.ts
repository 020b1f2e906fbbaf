/**
 * What a running interface counts, in Prometheus' text format: its peers by the names the agent has for them, its drops and
 * levels (docs/drops.md).
 * Source: Prometheus exposition format 0.0.4.
 * @module
 */
import { tunnelMetrics } from '../agent/tunnel-metrics.ts';
import type { Reading } from '../device/uapi-client.ts';

const DROP = 'drop_';

const family = (
  name: string,
  kind: 'counter' | 'gauge',
  help: string,
  samples: readonly string[],
): string[] => (samples.length === 0 ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...samples]);

export function deviceMetrics(interfaceName: string, { status, metrics }: Reading): string {
  const all = Object.entries(metrics);
  const of = `interface="${interfaceName}"`;
  const drops = all
    .filter(([name]) => name.startsWith(DROP))
    .map(
      ([name, count]) => `kilowire_device_drops_total{${of},reason="${name.slice(DROP.length)}"} ${count}`,
    );
  const levels = all
    .filter(([name]) => !name.startsWith(DROP))
    .flatMap(([name, value]) =>
      family(`kilowire_device_${name}`, 'gauge', 'See docs/drops.md.', [
        `kilowire_device_${name}{${of}} ${value}`,
      ]),
    );
  const counted = family(
    'kilowire_device_drops_total',
    'counter',
    'Packets and messages that went no further, by reason.',
    drops,
  );
  const own = [...counted, ...levels].map((line) => `${line}\n`).join('');
  return own + tunnelMetrics(interfaceName, status, null);
}
