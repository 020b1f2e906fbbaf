/**
 * The operation `kilowire_get`: what `get` tells and the metrics, on a line each.
 * @module
 */
import { describe, expect, test } from 'vitest';
import { UapiConversation } from '../../../src/noise/uapi-conversation.ts';
import { formatGet, joinChunks, parseGet, parseMetrics } from '../../../src/noise/uapi-text.ts';

const device = {
  listenPort: 7,
  peers: [
    {
      publicKey: new Uint8Array(32).fill(0xab),
      allowedIps: [],
      lastHandshake: { seconds: 1, nanoseconds: 2 },
      txBytes: 3,
      rxBytes: 4,
      roundTrip: 12.345,
      pathMtu: 1400,
    },
  ],
};
const textOf = (chunks: Iterable<Uint8Array>): string => new TextDecoder().decode(joinChunks(chunks));

/** The protocol's own reply, line by line. */
const plain = `listen_port=7
public_key=${'ab'.repeat(32)}
preshared_key=${'00'.repeat(32)}
protocol_version=1
last_handshake_time_sec=1
last_handshake_time_nsec=2
tx_bytes=3
rx_bytes=4
persistent_keepalive_interval=0
errno=0

`;

describe('metrics on the control socket', () => {
  test('are not in the reply to get', () => {
    expect(textOf(formatGet(device))).toBe(plain);
    expect(parseMetrics(plain)).toEqual({});
  });

  test('stand before the peers in the reply to kilowire_get, and round trip and path MTU with their peer', () => {
    const text = textOf(formatGet(device, { 'drop_bad-tag': 5, mtu: 1420 }));
    expect(text).toBe(
      plain
        .replace('listen_port=7\n', 'listen_port=7\nkilowire_drop_bad-tag=5\nkilowire_mtu=1420\n')
        .replace(/preshared_key=0+\n/, '')
        .replace(
          'interval=0\n',
          'interval=0\nkilowire_handshake_round_trip_usec=12345\nkilowire_path_mtu=1400\n',
        ),
    );
    expect(parseMetrics(text)).toEqual({ 'drop_bad-tag': 5, mtu: 1420 });
    expect(parseGet(text)).toEqual({ ...device, peers: [{ ...device.peers[0], persistentKeepalive: 0 }] });
  });

  test('come without the secrets that get tells', () => {
    const privateKey = new Uint8Array(32).fill(0x11);
    const presharedKey = new Uint8Array(32).fill(0x22);
    const secret = { ...device, privateKey, peers: device.peers.map((peer) => ({ ...peer, presharedKey })) };
    expect(textOf(formatGet(secret))).toMatch(/private_key=(?:11){32}\n[\s\S]*preshared_key=(?:22){32}\n/);
    expect(textOf(formatGet(secret, {}))).toBe(textOf(formatGet(device, {})));
  });

  test('fill as many chunks as they need', () => {
    const metrics = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`counter_${i}`, i]));
    const text = textOf(formatGet(device, metrics));
    expect(parseMetrics(text)).toEqual(metrics);
  });

  test('that are no numbers are refused', () => {
    expect(() => parseMetrics('kilowire_mtu=many\nerrno=0\n\n')).toThrow(
      'kilowire_mtu'.slice('kilowire_'.length),
    );
  });

  test('are asked for by an operation of their own', () => {
    const asked: string[] = [];
    const conversation = new UapiConversation({
      get: (operation) => asked.push(operation),
      set: () => {
        throw new Error('nobody sets anything here');
      },
      reply: (text) => asked.push(text),
    });
    expect(conversation.push(Buffer.from('get=1\n\nkilowire_get=1\n\n'))).toBe(true);
    expect(asked).toEqual(['get', 'kilowire_get']);
    expect(conversation.push(Buffer.from('kilowire_get=2\n'))).toBe(false);
  });
});
