/**
 * Allowed IPs: prefixes given, taken and looked up in any order, held against a list that is searched from end to end.
 * @module
 */
import { AllowedIps } from '../../src/noise/allowed-ips.ts';
import { AllowedIpsTwin } from '../unit/noise/allowed-ips.twin.ts';
import { FuzzRandom } from './random.ts';
import { FuzzFault, type FuzzTarget, must } from './target.ts';

const PEERS = 5;
const MOST = 48;
const ROUND = 20_000;

/** Few bits are set and few bytes differ, so that prefixes meet. */
function someAddress(random: FuzzRandom): Uint8Array {
  const address = new Uint8Array(random.below(2) === 0 ? 4 : 16);
  for (let i = random.below(4); i > 0; i -= 1) {
    address[random.below(address.length)] = 1 << random.below(8);
  }
  return random.below(8) === 0 ? random.bytes(address.length) : address;
}

function lookup(trie: AllowedIps, address: Uint8Array): number {
  if (address.length === 16) return trie.lookup6(address, 0);
  return trie.lookup4(new DataView(address.buffer).getInt32(0));
}

export const trie: FuzzTarget = {
  name: 'trie',
  round(seed, scale) {
    const random = new FuzzRandom(seed);
    const found = new AllowedIps();
    const twin = new AllowedIpsTwin();
    const count = Math.ceil(ROUND * scale);
    let address = new Uint8Array(4);
    let last = '';
    try {
      for (let i = 0; i < count; i += 1) {
        address = Uint8Array.from(someAddress(random));
        const cidr = random.below(8 * address.length + 1);
        const peer = random.below(PEERS);
        const kind = twin.size >= MOST ? 2 + random.below(6) : random.below(8);
        last = `${['insert', 'insert', 'remove', 'remove', 'remove peer'][kind] ?? 'look up'} /${cidr} of ${peer}`;
        if (kind < 2) {
          found.insert(address, cidr, peer);
          twin.insert(address, cidr, peer);
        } else if (kind < 4) {
          must(found.remove(address, cidr, peer) === twin.remove(address, cidr, peer), 'removed otherwise');
        } else if (kind === 4 && random.below(16) === 0) {
          found.removePeer(peer);
          twin.removePeer(peer);
        }
        must(found.size === twin.size, `holds ${found.size} prefixes, not ${twin.size}`);
        const target = kind < 4 ? address : someAddress(random);
        must(lookup(found, Uint8Array.from(target)) === twin.lookup(target), 'another peer');
      }
    } catch (cause) {
      throw new FuzzFault('trie', seed, `${Buffer.from(address).toString('hex')} (${last})`, cause);
    }
    return count;
  },
};
