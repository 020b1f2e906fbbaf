/**
 * What an agent has around it: time, the API, the host with its device, and those who ask it. The real ones are made here; a
 * simulation brings its own.
 * @module
 */
import { randomInt } from 'node:crypto';
import { openRouteSocket } from '../linux/rtnetlink.ts';
import type { Address } from '../noise/ip.ts';
import { type Clock, systemClock } from './clock.ts';
import { echoProbes, type Probes } from './echo-probes.ts';
import type { DeviceControl } from './host/device-control.ts';
import { DeviceProcess } from './host/device-process.ts';
import { HostProgrammer } from './host/host-programmer.ts';
import { type HostLinks, HostReader } from './host/links.ts';
import { PacketFilter } from './host/packet-filter.ts';
import { hostnameAddresses } from './host-names.ts';
import { type AgentState, serveEndpoints } from './http-endpoints.ts';
import { KernelWatch } from './kernel-watch.ts';
import type { NodeKey } from './key-file.ts';
import { KubernetesClient } from './kubernetes/client.ts';
import type { ClusterAccess } from './kubernetes/cluster-access.ts';
import { rotatingNodeKey } from './next-key.ts';
import type { AgentOptions } from './options.ts';
import { presharedKeysFor } from './preshared-keys.ts';

export type AgentClient = Pick<KubernetesClient, 'list' | 'watch' | 'create' | 'patch' | 'close'>;

/** The device of the WireGuard link. */
export interface MeshDevice {
  readonly ensure: (link: { readonly kind: string } | undefined) => Promise<'adopted' | 'started'>;
  readonly control: Pick<DeviceControl, 'read' | 'greet'> & Partial<Pick<DeviceControl, 'observe'>>;
}

export interface Surroundings {
  readonly clock: Clock;
  /** 0 ≤ value < 1. */
  readonly random: () => number;
  readonly client: AgentClient;
  readonly key: NodeKey;
  /** Base64: the public half of the second key pair. */
  readonly pskKey?: string | undefined;
  readonly links: () => HostLinks;
  readonly device: MeshDevice;
  readonly host: Pick<HostProgrammer, 'apply' | 'remove'> & Partial<Pick<HostProgrammer, 'podCounts'>>;
  /** What the hostname resolves to. */
  readonly ofHostname: () => Promise<readonly Address[]>;
  /** Absent: as the machine resolves names. */
  readonly resolve?: (name: string) => Promise<Address>;
  /** Absent: leaders are not watched, here and so nowhere. @throws SystemError where it may not. */
  readonly probes?: () => Probes;
  /** Calls when somebody else changes one of these links, or what lies on it. */
  readonly watchKernel: (
    links: () => readonly string[],
    onChange: () => void,
  ) => Pick<KernelWatch, 'ignoreSoFar' | 'close'>;
  /** Answers questions until the function it answers is called. */
  readonly serve: (state: AgentState) => Promise<() => Promise<void>>;
  /** Puts everything down, the key too. */
  readonly close: () => void;
}

export interface SurroundingsHooks {
  /** A device that ended may be started again. */
  readonly onDue: () => void;
  readonly onFilter: (operation: string, family: 4 | 6) => void;
  readonly onChange: (what: string, count: number) => void;
}

export interface RealContext {
  readonly options: AgentOptions;
  readonly access: ClusterAccess;
  readonly version: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** This machine's. @throws AgentError when the key cannot be kept. */
export const realSurroundings =
  ({ options, access, version, environment }: RealContext) =>
  ({ onDue, onFilter, onChange }: SurroundingsHooks): Surroundings => {
    const { hostname, interfaceName, stateDirectory, createInterface: mayCreate, deviceBackend } = options;
    const key = rotatingNodeKey(stateDirectory);
    const preshared = presharedKeysFor(options, onDue);
    const client = new KubernetesClient(access, { userAgent: `kilowire/${version}` });
    const socket = openRouteSocket();
    const reader = new HostReader();
    const device = new DeviceProcess({
      interfaceName,
      stateDirectory,
      mayCreate,
      environment,
      backend: deviceBackend,
      onDue,
    });
    const filter = new PacketFilter(onFilter);
    const { privateKey } = key;
    return {
      clock: systemClock,
      random: Math.random,
      client,
      key,
      pskKey: preshared?.publicKey,
      links: () => reader.read(socket),
      device,
      host: new HostProgrammer({
        options,
        socket,
        device,
        filter,
        privateKey,
        secretWith: preshared?.secretWith,
        onChange,
        onPath: onDue,
      }),
      ofHostname: hostnameAddresses(hostname),
      probes: () => echoProbes(randomInt(1, 0x10000)),
      watchKernel: (links, changed) => new KernelWatch(links, changed),
      serve: async (state) => {
        const server = await serveEndpoints(state, options.listen);
        return async () => {
          server.closeAllConnections();
          await new Promise((resolve) => server.close(resolve));
        };
      },
      close: () => {
        client.close();
        socket.close();
        preshared?.close();
        privateKey.fill(0);
      },
    };
  };
