/**
 * What `kilowire device IFNAME --metrics` prints.
 */
import { expect, test } from 'vitest';
import { deviceMetrics } from '../../../src/cli/device-metrics.ts';

const peer = {
  publicKey: new Uint8Array(32),
  allowedIps: [],
  lastHandshake: { seconds: 17, nanoseconds: 0 },
  txBytes: 3,
  rxBytes: 4,
  roundTrip: 12.5,
  pathMtu: 1400,
};

test('drops by reason, levels, and what is known of each peer', () => {
  const metrics = { 'drop_no-peer': 2, 'drop_bad-tag': 0, mtu: 1420, handshakes_waiting: 0 };
  const text = deviceMetrics('wg0', { status: { listenPort: 7, peers: [peer] }, metrics });
  const key = `${'A'.repeat(43)}=`;
  for (const line of [
    '# TYPE kilowire_device_drops_total counter',
    'kilowire_device_drops_total{interface="wg0",reason="no-peer"} 2',
    'kilowire_device_drops_total{interface="wg0",reason="bad-tag"} 0',
    '# TYPE kilowire_device_mtu gauge',
    'kilowire_device_mtu{interface="wg0"} 1420',
    'kilowire_device_handshakes_waiting{interface="wg0"} 0',
    `wireguard_sent_bytes_total{interface="wg0",public_key="${key}",friendly_name=""} 3`,
    `kilowire_tunnel_round_trip_seconds{interface="wg0",public_key="${key}",friendly_name=""} 0.0125`,
    `kilowire_tunnel_path_mtu_bytes{interface="wg0",public_key="${key}",friendly_name=""} 1400`,
  ]) {
    expect(text.split('\n')).toContain(line);
  }
});

test('every line is one that Prometheus takes, and no family comes twice', () => {
  const text = deviceMetrics('wg0', { status: { peers: [peer] }, metrics: { 'drop_no-peer': 1, mtu: 9 } });
  expect(text.endsWith('\n')).toBe(true);
  const lines = text.trimEnd().split('\n');
  const sample = /^[a-z_]+\{([a-z_]+="[^"\n]*",?)*\} \d+(\.\d+)?$/;
  expect(lines.filter((line) => !line.startsWith('# ') && !sample.test(line))).toEqual([]);
  const types = lines.filter((line) => line.startsWith('# TYPE '));
  expect(new Set(types).size).toBe(types.length);
});

test('of a program that counts no drops there are the peers alone', () => {
  const text = deviceMetrics('wg0', { status: { peers: [peer] }, metrics: {} });
  expect(text).not.toContain('kilowire_device_');
  expect(text).toContain('wireguard_received_bytes_total');
});
