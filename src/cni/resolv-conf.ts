/**
 * A resolver configuration file as the `dns` of a result. Source: resolv.conf(5).
 * @module
 */
import { readFileSync } from '#sys';
import { CniError } from './cni-error.ts';
import type { Dns } from './result.ts';

export function readResolvConf(path: string): Dns {
  try {
    return parseResolvConf(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new CniError('ERR_CNI_CONFIG', `"ipam.resolvConf" cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

export function parseResolvConf(text: string): Dns {
  const nameservers: string[] = [];
  const search: string[] = [];
  const options: string[] = [];
  let domain = '';
  for (const line of text.split('\n')) {
    if (/^\s*[#;]/.test(line)) continue;
    const [key, ...values] = line.trim().split(/\s+/);
    if (values.length === 0) continue;
    if (key === 'nameserver') nameservers.push(...values.slice(0, 1));
    else if (key === 'domain') domain = values[0] ?? '';
    else if (key === 'search') search.push(...values);
    else if (key === 'options') options.push(...values);
  }
  return {
    ...(nameservers.length === 0 ? {} : { nameservers }),
    ...(domain === '' ? {} : { domain }),
    ...(search.length === 0 ? {} : { search }),
    ...(options.length === 0 ? {} : { options }),
  };
}
