/**
 * A device that is killed and started again with the same configuration: traffic flows again without the peer's help.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Folder, Host, has, isRoot, join2, run, until } from './host.ts';
import { OneDevice } from './one-device.ts';
import { type Side, TwoDevices } from './two-devices.ts';

const able = isRoot && has('wg');

describe.skipIf(!able)('a device that crashed and was started again', () => {
  let hosts: [Host, Host];
  let world: TwoDevices;
  const folder = new Folder();
  let a: { device: OneDevice };
  beforeAll(async () => {
    hosts = [new Host('kwto-c1'), new Host('kwto-c2')];
    join2(...hosts, 'kwtoc', '10.78.0', 'fd78');
    world = await TwoDevices.start({ name: 'kwtoc', sockets: hosts });
    world.a.set('peer', world.b.publicKey, 'endpoint', `10.78.0.2:${world.b.port}`);
    a = { device: world.a.device };
    await until('the tunnel', () => world.a.reaches(world.b), 20_000);
  });
  afterAll(async () => {
    await a?.device.close();
    await world?.close();
    for (const host of hosts ?? []) host.remove();
    folder.remove();
  });

  /** As a supervisor would, with the same configuration. Resolves with the moment it began, by performance.now(). */
  async function crashAndRestart(side: Side, peer: Side): Promise<number> {
    a.device.process.kill('SIGKILL');
    await a.device.ended();
    const began = performance.now();
    a.device = await OneDevice.start(side.host, side.link);
    const text = [
      `[Interface]\nPrivateKey = ${side.key}\nListenPort = ${side.port}`,
      `[Peer]\nPublicKey = ${peer.publicKey}\nAllowedIPs = ${peer.overlay}/32,${peer.overlay6}/128`,
      `Endpoint = 10.78.0.2:${peer.port}\n`,
    ].join('\n');
    run('wg', 'setconf', side.link, folder.write('conf', text));
    side.host.ip('addr', 'add', `${side.overlay}/24`, 'dev', side.link);
    side.host.ip('link', 'set', side.link, 'up');
    return began;
  }

  const initiationsOf = (device: OneDevice): number =>
    device.log.split('Sending handshake initiation').length - 1;

  /** When the first of the pings, ten a second, came back; for as long as the peer would not help by itself. */
  async function firstAnswer(from: Side, to: Side, began: number): Promise<number> {
    const child = from.host.spawn(['ping', '-n', '-O', '-i', '0.1', '-w', '12', to.overlay]);
    let seen = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    await until('an answer', () => seen.includes('bytes from'), 12_000);
    child.kill('SIGKILL');
    return performance.now() - began;
  }

  it('initiates at once when it has something to send', async () => {
    await sleep(500);
    const before = initiationsOf(world.b.device);
    const took = await firstAnswer(world.a, world.b, await crashAndRestart(world.a, world.b));
    expect(initiationsOf(world.b.device)).toBe(before);
    if (process.env.KILOWIRE_SHOW) process.stdout.write(`own traffic: ${took.toFixed(0)} ms\n`);
  });

  it('initiates when only the peer sends, with the session that was lost', async () => {
    await sleep(500);
    const before = initiationsOf(world.b.device);
    const began = await crashAndRestart(world.a, world.b);
    const took = await firstAnswer(world.b, world.a, began);
    expect(initiationsOf(a.device)).toBe(1);
    expect(initiationsOf(world.b.device), 'the peer did not have to ask').toBe(before);
    if (process.env.KILOWIRE_SHOW) process.stdout.write(`peer's traffic: ${took.toFixed(0)} ms\n`);
  });
});
