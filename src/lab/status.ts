/**
 * The lab's nodes as a table, with what their devices say of themselves.
 * @module
 */
import type { DeviceStatus } from '../noise/device-config.ts';
import { deviceSocket, readDevice } from './device-client.ts';
import { type LabPlan, nodesOf } from './plan.ts';
import type { LabState } from './state.ts';
import { formatBytes, formatTable } from './text-table.ts';

/** By node name; null: it does not answer. */
export type DeviceStates = ReadonlyMap<string, DeviceStatus | null>;

export async function readDevices(plan: LabPlan, runDirectory: string): Promise<DeviceStates> {
  const entries = await Promise.all(
    nodesOf(plan).map(async ({ name }) => {
      const device = await readDevice(deviceSocket(runDirectory, name)).catch(() => null);
      return [name, device] as const;
    }),
  );
  return new Map(entries);
}

/** "3 s": the youngest handshake; "3–40 s": youngest and oldest; how many peers have none is told too. */
export function describeHandshakes(device: DeviceStatus | null, now: number): string {
  if (device === null) return 'no device';
  if (device.peers.length === 0) return '–';
  const ages = device.peers
    .map(({ lastHandshake }) => lastHandshake.seconds)
    .filter((seconds) => seconds > 0)
    .map((seconds) => Math.max(0, now - seconds));
  if (ages.length === 0) return 'none yet';
  const youngest = Math.min(...ages);
  const oldest = Math.max(...ages);
  const span = youngest === oldest ? `${youngest} s` : `${youngest}–${oldest} s`;
  return ages.length === device.peers.length
    ? span
    : `${span}, ${ages.length} of ${device.peers.length} peers`;
}

const sumOf = (device: DeviceStatus | null, field: 'txBytes' | 'rxBytes'): string =>
  device === null ? '–' : formatBytes(device.peers.reduce((sum, peer) => sum + peer[field], 0));

/** `now`: Unix seconds. */
export function formatNodes(plan: LabPlan, state: LabState, devices: DeviceStates, now: number): string {
  const rows = nodesOf(plan).map((node) => {
    const device = devices.get(node.name) ?? null;
    return [
      node.cloud,
      node.name,
      state.wireguardIPs[node.name] ?? '–',
      `${node.podGateway}/24`,
      node.pods.map(({ name }) => state.podIPs[name] ?? '–').join(' '),
      describeHandshakes(device, now),
      sumOf(device, 'txBytes'),
      sumOf(device, 'rxBytes'),
    ];
  });
  return formatTable(
    ['cloud', 'node', 'kilo0', 'kube-bridge', 'pods', 'handshake age', 'sent', 'received'],
    rows,
    [6, 7],
  );
}
