/**
 * A device that is looked at: ours tells more when asked for it, another implementation hangs up on that question.
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { DeviceControl } from '../../../src/agent/host/device-control.ts';

/** wireguard.com/xplatform's example of a reply, less the peers but one. */
const PLAIN = `private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a
listen_port=12912
public_key=b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33
endpoint=[abcd:23::33%2]:51820
last_handshake_time_sec=1590000000
last_handshake_time_nsec=1
tx_bytes=38333
rx_bytes=2224
protocol_version=1
errno=0

`;
const MORE = PLAIN.replace(/^private_key=.*\n/, '').replace(
  'protocol_version=1\n',
  'protocol_version=1\nkilowire_handshake_round_trip_usec=12345\nkilowire_path_mtu=1400\n',
);

const folder = mkdtempSync(join(tmpdir(), 'kwui-'));
let server: Server | undefined;
afterEach(() => new Promise((resolve) => server?.close(resolve)));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Answers questions it knows, hangs up on others; tells what it was asked. */
const device = async (answers: Readonly<Record<string, string>>): Promise<[DeviceControl, string[]]> => {
  const asked: string[] = [];
  const path = join(folder, `${asked.length}-${Object.keys(answers).join('-')}.sock`);
  const made = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (question) => {
      const word = question.toString().trim().replace('=1', '');
      asked.push(word);
      if (answers[word] === undefined) socket.destroy();
      else socket.write(answers[word]);
    });
  });
  server = made;
  await new Promise<void>((resolve) => made.listen(path, resolve));
  return [new DeviceControl(path), asked];
};

describe('a device that is looked at', () => {
  it('tells round trips and path MTUs, and no secret, where it is ours', async () => {
    const [control, asked] = await device({ get: PLAIN, kilowire_get: MORE });
    const status = await control.observe();
    expect(status.peers[0]).toMatchObject({ roundTrip: 12.345, pathMtu: 1400, txBytes: 38333 });
    expect(status.privateKey).toBeUndefined();
    expect(asked).toEqual(['kilowire_get']);
  });

  it('tells the rest where it is not, and is not asked in vain again', async () => {
    const [control, asked] = await device({ get: PLAIN });
    expect((await control.observe()).peers[0]).toMatchObject({ txBytes: 38333, rxBytes: 2224 });
    expect((await control.observe()).privateKey).toBeUndefined();
    expect(asked).toEqual(['kilowire_get', 'get', 'get']);
  });

  it('is asked for all of it again after it was away', async () => {
    const path = join(folder, 'away.sock');
    const control = new DeviceControl(path);
    await expect(control.observe()).rejects.toMatchObject({ code: 'ERR_AGENT_DEVICE' });
    const made = createServer((socket) => {
      socket.on('data', (question) => socket.write(question.includes('kilowire_get') ? MORE : PLAIN));
    });
    server = made;
    await new Promise<void>((resolve) => made.listen(path, resolve));
    expect((await control.observe()).peers[0]).toMatchObject({ pathMtu: 1400 });
  });
});
