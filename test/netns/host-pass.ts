/**
 * Passes of an agent's host side, for a test to kill: for each line of standard input, the name of a file with a HostPass as JSON,
 * one. Says "ready" when the host is about to be touched, and "done" with the faults when it has been.
 * @module
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { nodeRecord } from '../../src/agent/annotations.ts';
import { DeviceControl } from '../../src/agent/host/device-control.ts';
import { DeviceProcess } from '../../src/agent/host/device-process.ts';
import { HostProgrammer } from '../../src/agent/host/host-programmer.ts';
import { KernelControl } from '../../src/agent/host/kernel-control.ts';
import { readLinks } from '../../src/agent/host/links.ts';
import { PacketFilter } from '../../src/agent/host/packet-filter.ts';
import type { NodeResource } from '../../src/agent/kubernetes/resources.ts';
import { agentOptions, DEFAULT_FLAGS } from '../../src/agent/options.ts';
import { peerOf } from '../../src/agent/peer-resource.ts';
import { openRouteSocket } from '../../src/linux/rtnetlink.ts';
import { buildTopology } from '../../src/routing/topology.ts';

export interface HostPass {
  readonly hostname: string;
  readonly socket: string;
  /** The device is the kernel's. */
  readonly kernel?: boolean;
  /** There is none yet: it is made by --device of that name. */
  readonly make?: 'kernel' | 'auto';
  /** Base64; without one every node has the same key. */
  readonly keyFile?: string;
  readonly now: number;
  readonly nodes: readonly NodeResource[];
  readonly peers: readonly Parameters<typeof peerOf>[0][];
  readonly flags: Readonly<Record<string, unknown>>;
  /** `remove`: take everything away first; `clean`: that only. */
  readonly remove: boolean;
  readonly clean: boolean;
}

/** Clamped, as every key from a file is (RFC 7748 §5). */
const keyOf = ({ keyFile }: HostPass): Uint8Array =>
  keyFile === undefined
    ? Uint8Array.from({ length: 32 }, (_, at) => (at === 31 ? 64 : at * 8))
    : Uint8Array.from(Buffer.from(readFileSync(keyFile, 'latin1'), 'base64'));

const makeDevice = async (interfaceName: string, backend: 'kernel' | 'auto'): Promise<DeviceControl> => {
  const device = new DeviceProcess({
    interfaceName,
    stateDirectory: '/nonexistent',
    mayCreate: true,
    environment: process.env,
    backend,
  });
  await device.ensure(undefined);
  return device.control;
};

const socket = openRouteSocket();
const filter = new PacketFilter();

const run = async (input: HostPass): Promise<void> => {
  const options = agentOptions({ ...DEFAULT_FLAGS, cni: false, hostname: input.hostname, ...input.flags });
  const device =
    input.make === undefined
      ? input.kernel
        ? new KernelControl(options.interfaceName)
        : new DeviceControl(input.socket)
      : await makeDevice(options.interfaceName, input.make);
  const changes: string[] = [];
  const host = new HostProgrammer({
    options,
    socket,
    device: { control: device },
    filter,
    privateKey: keyOf(input),
    onChange: (what, count) => changes.push(`${what} ${count}`),
  });
  const topology = buildTopology(
    {
      nodes: input.nodes.map((resource) => nodeRecord(resource).node),
      peers: input.peers.map((resource) => peerOf(resource)),
      now: input.now,
    },
    { granularity: options.granularity, subnet: options.subnet, hostname: input.hostname },
  );
  process.stdout.write('ready\n');
  const faults: string[] = [];
  if (input.remove || input.clean) faults.push(...(await host.remove(topology)));
  if (!input.clean) {
    const status = await device.read();
    const told = await host.apply(topology, readLinks(socket), status);
    faults.push(...told.map(({ code, message }) => `${code}: ${message}`));
  }
  process.stdout.write(`done ${JSON.stringify({ faults, changes })}\n`);
};

for await (const file of createInterface({ input: process.stdin }))
  await run(JSON.parse(readFileSync(file, 'utf8')) as HostPass);
process.exit(0);
