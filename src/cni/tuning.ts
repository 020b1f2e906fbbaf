/**
 * Settings inside the container: sysctls, promiscuous and all-multicast mode, length of the send queue.
 * Names, checks and the list of what is allowed: containernetworking/plugins tuning.
 * @module
 */
import { readFileSync } from '#sys';
import { changeLink } from '../linux/link.ts';
import { enterNamespace, writeSysctl } from '../linux/namespaces.ts';
import type { Request as NetlinkRequest } from '../linux/netlink.ts';
import { CniError } from './cni-error.ts';
import { errorCode } from './files.ts';
import type { JsonObject } from './json-object.ts';
import type { Netns } from './netns.ts';

export interface Tuning {
  /** Path below /proc/sys → value. */
  readonly sysctls: Readonly<Record<string, string>>;
  readonly promiscuous: boolean;
  readonly allMulticast: boolean;
  readonly queueLength: number | undefined;
}

/** An operator's list of regular expressions, one a line; what matches none of them is refused. */
const allowList = '/etc/cni/tuning/allowlist.conf';

export function parseTuning(config: JsonObject, ifname: string): Tuning | undefined {
  const written = { ...entriesOf(config), ...entriesOf(config.object('args').object('cni')) };
  const tuning = {
    sysctls: parseSysctls(written, ifname),
    promiscuous: config.boolean('promisc'),
    allMulticast: config.boolean('allmulti'),
    queueLength: config.optionalInteger('txQLen'),
  };
  const asked =
    Object.keys(tuning.sysctls).length > 0 ||
    tuning.promiscuous ||
    tuning.allMulticast ||
    tuning.queueLength !== undefined;
  return asked ? tuning : undefined;
}

/** As written: a link's name in a key may have capital letters. */
function entriesOf(object: JsonObject): Record<string, unknown> {
  object.object('sysctl');
  return { ...(object.raw('sysctl') as Record<string, unknown> | undefined) };
}

function parseSysctls(written: Record<string, unknown>, ifname: string): Record<string, string> {
  const sysctls: Record<string, string> = {};
  for (const [name, value] of Object.entries(written)) {
    if (typeof value !== 'string')
      throw new CniError('ERR_CNI_CONFIG', `"sysctl": the value of "${name}" must be a string`);
    // With slashes a link's name may hold dots.
    const path = (name.includes('/') ? name : name.replaceAll('.', '/')).replace(/\bIFNAME\b/g, ifname);
    if (!path.startsWith('net/') || path.split('/').includes('..'))
      throw new CniError('ERR_CNI_CONFIG', `invalid net sysctl key: "${name}"`);
    if (Object.hasOwn(sysctls, path))
      throw new CniError('ERR_CNI_CONFIG', `duplicated sysctl key: "${name}"`);
    sysctls[path] = value;
  }
  if (Object.keys(sysctls).length > 0) checkAllowed(sysctls);
  return sysctls;
}

function checkAllowed(sysctls: Readonly<Record<string, string>>): void {
  let lines: readonly string[];
  try {
    lines = readFileSync(allowList, 'utf8')
      .split('\n')
      .filter((line) => line.trim() !== '');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  const allowed = lines.map((line) => new RegExp(line.trim()));
  for (const path of Object.keys(sysctls)) {
    const name = path.replaceAll('/', '.');
    if (!allowed.some((pattern) => pattern.test(name)))
      throw new CniError(
        'ERR_CNI_CONFIG',
        `Sysctl ${name} is not allowed. Only the following sysctls are allowed: [${lines.join(' ')}]`,
      );
  }
}

/** For the container's end, when it is up. */
export function tuningRequests(tuning: Tuning, link: number): readonly NetlinkRequest[] {
  const { promiscuous, allMulticast, queueLength } = tuning;
  if (!promiscuous && !allMulticast && queueLength === undefined) return [];
  return [
    changeLink(link, {
      ...(promiscuous ? { promiscuous } : {}),
      ...(allMulticast ? { allMulticast } : {}),
      queueLength,
    }),
  ];
}

export function writeSysctls(netns: Netns, { sysctls }: Tuning): void {
  if (Object.keys(sysctls).length === 0) return;
  enterNamespace(netns.fd, () => {
    for (const [path, value] of Object.entries(sysctls)) {
      try {
        writeSysctl(path, value);
      } catch (cause) {
        throw new CniError(
          'ERR_CNI_KERNEL',
          `failed to set the container's sysctl ${path} to "${value}": ${(cause as Error).message}`,
          { cause },
        );
      }
    }
  });
}
