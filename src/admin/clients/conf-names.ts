/**
 * What the comments of a WireGuard file call its peers: people and generators write the name there, the format has no place
 * for it.
 * Source: the files of wg-gen-web ("# name / e-mail / Updated: …" above [Peer]), wg-easy ("# Client: name (id)"), PiVPN
 * ("### begin name ###"), and of people ("# name", "# Name = name").
 * @module
 */
import { basename, dirname } from 'node:path';

export interface NamedPeer {
  /** Of its [Peer], counted from 1. */
  readonly line: number;
  /** As a Peer resource may be called; null when no comment says. */
  readonly name: string | null;
  readonly email: string | null;
}

/** One for each [Peer], in order. */
export const peerNames = (text: string): readonly NamedPeer[] => {
  const lines = text.split('\n').map((line) => line.trim());
  return lines.flatMap((line, at): NamedPeer[] => {
    if (!/^\[peer\]/i.test(line)) return [];
    return [{ line: at + 1, ...namedBy(commentsAt(lines, at)) }];
  });
};

/** Right above, else on the same line or right below. */
const commentsAt = (lines: readonly string[], at: number): readonly string[] => {
  const above: string[] = [];
  for (let i = at - 1; i >= 0 && lines[i]?.startsWith('#'); i--) above.unshift(lines[i] ?? '');
  if (above.length > 0) return above;
  const [, same] = /#(.*)/.exec(lines[at] ?? '') ?? [];
  if (same !== undefined) return [`#${same}`];
  return lines[at + 1]?.startsWith('#') ? [lines[at + 1] ?? ''] : [];
};

const LABEL = /^(?:client|name|friendly_name|begin_peer|begin|peer|user|device)\s*[:=]?\s+(?=\S)/i;

const namedBy = (comments: readonly string[]): { name: string | null; email: string | null } => {
  for (const comment of comments) {
    const words = comment.replace(/^[#\s]+/, '').replace(/[#\s]+$/, '');
    const [first = '', second = ''] = words.replace(LABEL, '').split(' / ');
    // A setting that was commented out names nobody.
    if (/^\w+\s*=/.test(first)) continue;
    const name = resourceName(first.replace(/\(.*\)\s*$/, ''));
    if (name !== null) return { name, email: second.includes('@') ? second.trim() : null };
  }
  return { name: null, email: null };
};

/** Lower-case letters, digits and dashes; null when nothing is left. */
export const resourceName = (text: string): string | null => {
  const name = text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{Mark}|['’]/gu, '')
    .replace(/[^a-z0-9.]+/g, '-')
    .replace(/\.{2,}|-?\.-?/g, '.')
    .slice(0, 60)
    .replace(/^[-.]+|[-.]+$/g, '');
  return name === '' ? null : name;
};

/** `hosts/aws-1/wg0.conf` is of aws-1, `laptop.conf` of laptop. */
export const fileOwner = (path: string): string | null => {
  const base = basename(path).replace(/\.conf$/i, '');
  const folder = basename(dirname(path));
  const isPlain = /^(?:wg|kilo|tun|utun)\d*$/i.test(base);
  return resourceName(isPlain && !['', '.', '..', 'wireguard'].includes(folder) ? folder : base);
};
