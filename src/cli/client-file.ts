/**
 * A client's file: put together from the cluster, and given out as text, as a file only its owner reads, or as a QR code.
 * @module
 */
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import type { ClientConf, ClientDns } from '../admin/clients/client-conf.ts';
import type { ClusterServices } from '../admin/cluster-services.ts';
import type { ClusterSnapshot } from '../admin/cluster-snapshot.ts';
import type { KubernetesClient } from '../agent/kubernetes/client.ts';
import { formatCidr } from '../noise/ip.ts';
import type { ConfFlags, OutFlags } from './client-options.ts';
import type { ClusterFlags } from './cluster-options.ts';
import { print, remark } from './output.ts';

export const makeConf = async (
  client: KubernetesClient,
  snapshot: ClusterSnapshot,
  name: string,
  flags: ConfFlags & ClusterFlags,
  privateKey: string | null,
): Promise<ClientConf> => {
  const { clientConf } = await import('../admin/clients/client-conf.ts');
  const { meshOf } = await import('../admin/mesh.ts');
  const services = await servicesFor(client, flags);
  const mesh = await meshOf(snapshot, { granularity: flags.meshGranularity });
  const ranges = Array.isArray(flags.services) ? flags.services : services.ranges;
  const conf = clientConf(mesh, name, {
    ranges: flags.services === 'none' ? [] : ranges,
    dns: dnsOf(flags, services),
    mtu: flags.mtu,
    ...(privateKey === null ? {} : { privateKey }),
  });
  for (const sentence of conf.leftOut) remark(`kilowire: ${sentence}`);
  if (flags.services === 'auto' && services.guessed)
    remark(
      `kilowire: The services are taken to be ${services.ranges.map(formatCidr).join(', ')}, by the address of default/kubernetes; say it with --services if it is more.`,
    );
  return conf;
};

const NOTHING: ClusterServices = { ranges: [], guessed: false, dns: [] };

const servicesFor = async (client: KubernetesClient, flags: ConfFlags): Promise<ClusterServices> => {
  if (flags.services !== 'auto' && flags.dns !== 'auto') return NOTHING;
  const { readServices } = await import('../admin/cluster-services.ts');
  return await readServices(client);
};

const dnsOf = (flags: ConfFlags, services: ClusterServices): ClientDns | null => {
  if (flags.dns === 'none') return null;
  // Without a way to the services there is none to their resolver.
  const found = flags.services === 'none' ? [] : services.dns;
  const servers = flags.dns === 'auto' ? found : flags.dns;
  return servers.length === 0
    ? null
    : { servers, domain: flags.clusterDomain, split: flags.splitDns === true };
};

/** A file of its owner's, taken before anything is made in the cluster: it must not fail afterwards. */
export class OwnFile {
  readonly path: string;
  readonly #fd: number;

  constructor(path: string) {
    this.path = path;
    try {
      this.#fd = openSync(path, 'wx', 0o600);
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      const why = code === 'EEXIST' ? 'there is such a file already; it may hold a key' : message;
      throw new Error(`${path} is not written: ${why}.`, { cause });
    }
  }

  write(text: string): void {
    writeSync(this.#fd, text);
    fsyncSync(this.#fd);
    closeSync(this.#fd);
  }

  discard(): void {
    closeSync(this.#fd);
    rmSync(this.path, { force: true });
  }
}

/** To the file that was asked for, else to the terminal; the code where one was asked for. */
export const giveOut = async (text: string, file: OwnFile | null, flags: OutFlags): Promise<void> => {
  if (file !== null) {
    file.write(text);
    remark(`kilowire: ${file.path} is written; it holds a private key.`);
  } else if (flags.qr !== true) print(text);
  if (flags.qr !== true) return;
  const { renderUnicodeCompact } = await import('uqr');
  // A phone needs no comments, and a smaller code is read sooner.
  print(renderUnicodeCompact(text.replace(/^#.*\n/gm, ''), { border: 2 }));
};
