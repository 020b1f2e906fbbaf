/**
 * Data for sessions that were lost: when it makes us ask for a new one, and when it must not.
 */
import { describe, expect, it } from 'vitest';
import { StrayData } from '../../../src/device/stray-data.ts';
import { INITIATE } from '../../../src/noise/action-queue.ts';
import { layOut, Transport } from '../../../src/noise/transport.ts';
import { ENDPOINT_SIZE, writeEndpoint } from '../../../src/tun/endpoint.ts';

const V4 = { address: Uint8Array.of(192, 0, 2, 7), port: 51_820, scope: 0 };
const V6 = {
  address: Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9),
  port: 51_820,
  scope: 0,
};

function make(peers = 2) {
  const layout = layOut(Math.max(peers, 2), 64 * 1024);
  const memory = new Uint8Array(layout.size + ENDPOINT_SIZE);
  const transport = new Transport({ ...layout, memory, random: () => 0 });
  transport.deviceUp(0);
  for (let peer = 0; peer < peers; peer += 1) transport.addPeer(peer);
  const record = new Uint8Array(ENDPOINT_SIZE);
  writeEndpoint(record, 0, V4);
  transport.setEndpoint(0, record.subarray(0, 16));
  writeEndpoint(record, 0, V6);
  transport.setEndpoint(1, record.subarray(0, 28));
  const stray = new StrayData(memory, transport);
  const from = (source: typeof V4, now: number): void => {
    writeEndpoint(memory, layout.size, source);
    stray.seen(layout.size, now);
  };
  const asked = (): number[] => {
    const found: number[] = [];
    while (transport.actions.next())
      if (transport.actions.kind === INITIATE) found.push(transport.actions.value);
    return found;
  };
  return { transport, from, asked };
}

const session = (isInitiator: boolean) => ({
  peer: 0,
  localIndex: 1,
  remoteIndex: 2,
  sendKey: new Uint8Array(32),
  receiveKey: new Uint8Array(32),
  isInitiator,
  createdAt: 0,
});

describe('data for a session we do not have', () => {
  it('asks the peer that is there for a new one, in either family', () => {
    const { from, asked } = make();
    from(V4, 10_000);
    expect(asked()).toEqual([0]);
    from(V6, 10_000);
    expect(asked()).toEqual([1]);
  });

  it.each([
    ['another address', { ...V4, address: Uint8Array.of(192, 0, 2, 8) }],
    ['another port', { ...V4, port: 51_821 }],
    [
      'another family',
      { ...V6, address: Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 7) },
    ],
  ])('from %s asks nobody', (_, source) => {
    const { from, asked } = make();
    from(source, 10_000);
    expect(asked()).toEqual([]);
  });

  it.each([
    ['that serves', true],
    ['that waits for its first packet', false],
  ])('asks nobody while there is a session %s', (_, isInitiator) => {
    const { transport, from, asked } = make();
    transport.installKeypair(session(isInitiator), 0);
    asked();
    from(V4, 10_000);
    expect(asked()).toEqual([]);
  });

  it('asks once in five seconds, however much there is of it', () => {
    const { transport, from, asked } = make();
    let times = 0;
    for (let now = 10_000; now < 20_000; now += 10) {
      from(V4, now);
      for (const peer of asked()) {
        times += 1;
        transport.initiationSent(peer, 148, now);
      }
    }
    expect(times).toBe(2);
  });

  it('costs no more than it may: with 65,536 peers it is looked at sixteen times a second', () => {
    const { transport, from, asked } = make(65_536);
    const lookedAt = [];
    for (let i = 0; i < 20; i += 1) {
      transport.peers.allowHandshakeNow(0);
      from(V4, 10_000);
      lookedAt.push(asked().length);
    }
    expect(lookedAt).toEqual([...Array(16).fill(1), ...Array(4).fill(0)]);
    transport.peers.allowHandshakeNow(0);
    from(V4, 11_000);
    expect(asked()).toEqual([0]);
  });
});
