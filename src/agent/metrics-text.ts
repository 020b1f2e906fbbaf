/**
 * All that an agent tells Prometheus: what it counts itself, what its tunnels do, and what its pods send past them.
 * @module
 */
import type { DeviceStatus } from '../noise/device-config.ts';
import type { Topology } from '../routing/topology.ts';
import type { PodCounts } from './host/pod-guard.ts';
import type { AgentMetrics } from './metrics.ts';
import type { Surroundings } from './surroundings.ts';
import { tunnelMetrics } from './tunnel-metrics.ts';

export const metricsText = async (
  metrics: AgentMetrics,
  { device, host }: Pick<Surroundings, 'device' | 'host'>,
  interfaceName: string,
  topology: Topology | null,
): Promise<string> => {
  const pods = podCounts(host);
  if (pods !== null) metrics.pods(pods);
  const status = await observed(device).catch(() => null);
  return metrics.toString() + tunnelMetrics(interfaceName, status, topology);
};

/** The device as it is now, without secrets where it is ours. */
export const observed = async ({ control }: Surroundings['device']): Promise<DeviceStatus> =>
  await (control.observe?.() ?? control.read());

const podCounts = (host: Surroundings['host']): PodCounts | null => {
  try {
    return host.podCounts?.() ?? null;
  } catch {
    return null; // the pass says what is wrong with the packet filter
  }
};
