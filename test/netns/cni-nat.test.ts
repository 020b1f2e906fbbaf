/**
 * Masquerading and host ports: a neighbour of the node that knows no way to the pods.
 *
 *     pod ── kube-bridge ─ node 192.0.2.1 ── wan 192.0.2.2
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CniWorld, nothing, programs } from './cni-world.ts';

const server = `
  const net = require('node:net'), dgram = require('node:dgram');
  const port = Number(process.argv[1]);
  net.createServer((socket) => { socket.on('error', () => {}); socket.end(process.argv[2] + ' ' + socket.remoteAddress); }).listen(port, '::', () => {
    const udp = dgram.createSocket('udp4');
    udp.on('message', (_, from) => udp.send(process.argv[2] + ' ' + from.address, from.port, from.address));
    udp.bind(port, () => console.log('ready'));
  });`;

const client = `
  const net = require('node:net');
  const socket = net.connect({ host: process.argv[1], port: Number(process.argv[2]), timeout: 3000 });
  socket.on('data', (data) => process.stdout.write(data));
  socket.on('timeout', () => process.exit(1));
  socket.on('error', () => process.exit(1));`;

const udpClient = `
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('message', (data) => { process.stdout.write(data); socket.close(); });
  socket.send('?', Number(process.argv[2]), process.argv[1]);
  setTimeout(() => process.exit(1), 3000).unref();`;

describe.skipIf(process.getuid?.() !== 0).each(programs)('NAT of the CNI executable, $name', (program) => {
  let world: CniWorld;
  const servers: ChildProcess[] = [];
  beforeAll(() => {
    world = new CniWorld(program);
    world.addNeighbour();
    world.onNode('ip', 'link', 'set', 'lo', 'up');
  });
  afterEach(() => {
    for (const child of servers.splice(0)) child.kill();
    expect(world.leftovers()).toEqual(nothing);
  });
  afterAll(() => world.close());

  const serve = (pod: string, port: number): Promise<void> => {
    const child = spawn(
      'nsenter',
      [`--net=${world.podPath(pod)}`, process.execPath, '-e', server, String(port), pod],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    servers.push(child);
    return new Promise((resolve) => child.stdout?.once('data', () => resolve()));
  };
  const ask = (from: string, host: string, port: number, script = client): string =>
    from === 'node'
      ? world.onNode(process.execPath, '-e', script, host, String(port))
      : world.run(from, process.execPath, '-e', script, host, String(port));
  const mapping = (hostPort: number, change: object = {}) => ({
    HostPort: hostPort,
    ContainerPort: 80,
    Protocol: 'tcp',
    HostIP: '',
    ...change,
  });
  const withPorts = (...portMappings: object[]) => world.config({ runtimeConfig: { portMappings } });

  test('ipMasq hides the pod behind the node, but not from other pods', async () => {
    world.addPod('a');
    world.addPod('b');
    const config = world.config({ ipMasq: true });
    await world.ok({ verb: 'ADD', pod: 'a', config });
    const { ips } = (await world.ok({ verb: 'ADD', pod: 'b', config })) as { ips: { address: string }[] };
    await serve('wan', 80);
    await serve('b', 80);
    expect(ask('a', '192.0.2.2', 80)).toBe('wan ::ffff:192.0.2.1');
    expect(ask('a', ips[0]?.address.split('/')[0] ?? '', 80)).toMatch(/^b ::ffff:10\.42\.0\./);
    await world.ok({ verb: 'DEL', pod: 'a', config });
    await world.ok({ verb: 'DEL', pod: 'b', config });
  });

  test('a host port answers the neighbour, the node, its loopback, other pods and the pod itself', async () => {
    world.addPod('c');
    world.addPod('d');
    const config = withPorts(mapping(8080), mapping(8080, { Protocol: 'UDP' }));
    await world.ok({ verb: 'ADD', pod: 'c', config: { ...config, hairpinMode: true } });
    await world.ok({ verb: 'ADD', pod: 'd' });
    await serve('c', 80);
    expect(ask('wan', '192.0.2.1', 8080)).toBe('c ::ffff:192.0.2.2');
    expect(ask('wan', '192.0.2.1', 8080, udpClient)).toBe('c 192.0.2.2');
    expect(ask('node', '192.0.2.1', 8080)).toMatch(/^c /);
    expect(ask('node', '127.0.0.1', 8080)).toBe('c ::ffff:10.42.0.1');
    expect(ask('d', '192.0.2.1', 8080)).toBe('c ::ffff:10.42.0.1');
    expect(ask('c', '192.0.2.1', 8080)).toBe('c ::ffff:10.42.0.1');
    await world.ok({ verb: 'DEL', pod: 'c', netns: '' });
    expect(() => ask('wan', '192.0.2.1', 8080)).toThrow();
    await world.ok({ verb: 'DEL', pod: 'd' });
  });

  test('a UDP client that never pauses is answered when the port opens, and by the next holder', async () => {
    world.addPod('u');
    world.addPod('v');
    world.addPod('w');
    // Somebody else's attachment, so that connections are tracked before the port opens.
    await world.ok({ verb: 'ADD', pod: 'w', config: world.config({ ipMasq: true }) });
    const steady = `
      const socket = require('node:dgram').createSocket('udp4');
      socket.on('message', (data) => process.stdout.write(data + '\\n'));
      socket.on('error', () => {});
      socket.bind(40000, () => setInterval(() => socket.send('?', 8053, '192.0.2.1'), 20));`;
    const asking = spawn('nsenter', [`--net=${world.podPath('wan')}`, process.execPath, '-e', steady]);
    servers.push(asking);
    let heard = '';
    asking.stdout.on('data', (data) => {
      heard += data;
    });
    const hear = async (name: string) => {
      for (let turn = 0; turn < 100 && !heard.includes(name); turn++)
        await new Promise((resolve) => setTimeout(resolve, 50));
      expect(heard).toContain(name);
    };
    await new Promise((resolve) => setTimeout(resolve, 300));
    const config = withPorts(mapping(8053, { Protocol: 'udp' }));
    await world.ok({ verb: 'ADD', pod: 'u', config });
    await serve('u', 80);
    await hear('u 192.0.2.2');
    await world.ok({ verb: 'DEL', pod: 'u', netns: '' });
    await world.ok({ verb: 'ADD', pod: 'v', config });
    await serve('v', 80);
    await hear('v 192.0.2.2');
    await world.ok({ verb: 'DEL', pod: 'v', config });
    await world.ok({ verb: 'DEL', pod: 'w' });
  });

  test('a port of one address is not a port of the others', async () => {
    world.addPod('e');
    world.onNode('ip', 'address', 'add', '192.0.2.9/24', 'dev', 'wan0');
    await world.ok({ verb: 'ADD', pod: 'e', config: withPorts(mapping(8081, { HostIP: '192.0.2.9' })) });
    await serve('e', 80);
    expect(ask('wan', '192.0.2.9', 8081)).toBe('e ::ffff:192.0.2.2');
    expect(() => ask('wan', '192.0.2.1', 8081)).toThrow();
    await world.ok({ verb: 'DEL', pod: 'e' });
  });

  test('a taken host port is refused, its holder named, and nothing of the second container is left', async () => {
    world.addPod('f');
    world.addPod('g');
    const config = withPorts(mapping(8082));
    await world.ok({ verb: 'ADD', pod: 'f', config });
    await serve('f', 80);
    expect(await world.refused({ verb: 'ADD', pod: 'g', config })).toMatchObject({
      code: 105,
      msg: 'host port tcp/8082 is used by f:eth0',
    });
    expect(world.leftovers().state).toEqual(['f:eth0.json']);
    expect(world.leftovers().veths).toHaveLength(1);
    expect(ask('wan', '192.0.2.1', 8082)).toBe('f ::ffff:192.0.2.2');
    await world.ok({ verb: 'DEL', pod: 'f', config });
    await world.ok({ verb: 'ADD', pod: 'g', config });
    await world.ok({ verb: 'DEL', pod: 'g', config });
  });

  test('twenty at once share the table, and it goes with the last of them', async () => {
    const pods = Array.from({ length: program.name === 'compiled' ? 20 : 6 }, (_, i) => `many${i}`);
    for (const pod of pods) world.addPod(pod);
    const config = (at: number) => ({ ...withPorts(mapping(9000 + at)), ipMasq: true });
    await Promise.all(pods.map((pod, at) => world.ok({ verb: 'ADD', pod, config: config(at) })));
    await serve(pods[0] ?? '', 80);
    expect(ask('wan', '192.0.2.1', 9000)).toBe('many0 ::ffff:192.0.2.2');
    const chain = world.onNode('nft', 'list', 'chain', 'inet', 'kilowire-cni.kwgnet', 'prerouting');
    expect(chain.match(/jump hostports/g)).toHaveLength(1);
    await Promise.all(pods.map((pod, at) => world.ok({ verb: 'DEL', pod, config: config(at) })));
    for (const pod of pods) world.removePod(pod);
  });

  test('a network whose subnet grew takes both', async () => {
    world.addPod('h');
    world.addPod('i');
    const small = world.config({ ipMasq: true });
    const large = world.config({
      ipMasq: true,
      forceAddress: true,
      ipam: world.ipam({ ranges: [[{ subnet: '10.42.0.0/20' }]] }),
    });
    await world.ok({ verb: 'ADD', pod: 'h', config: small });
    await world.ok({ verb: 'ADD', pod: 'i', config: large });
    await serve('wan', 80);
    expect(ask('i', '192.0.2.2', 80)).toBe('wan ::ffff:192.0.2.1');
    await world.ok({ verb: 'DEL', pod: 'i', config: large });
    await world.ok({ verb: 'DEL', pod: 'h', config: small });
    world.onNode('ip', 'link', 'delete', 'kube-bridge');
  });
});
