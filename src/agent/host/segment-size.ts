/**
 * Keeps TCP's segments small enough for the tunnel: where pods' path MTU discovery is broken, connections would hang on the
 * first full packet. Both directions, by the MTU of the route there and of the route back, so each peer's own path counts.
 * Source: RFC 9293 §3.7.1 (MSS), RFC 2923 §2.1; include/uapi/linux/netfilter/nf_tables.h (rt, byteorder, exthdr); the same
 * as nft's `tcp option maxseg size set rt mtu`, which never raises what the ends asked for.
 * @module
 */
import { EINVAL, ENOENT, EOPNOTSUPP } from '../../linux/errno.ts';
import { isNetlinkError, type NetlinkSocket } from '../../linux/netlink.ts';
import {
  addChain,
  addRule,
  addTable,
  applyNftables,
  type Change,
  openNftablesSocket,
  recreateTable,
  removeTable,
  type Table,
} from '../../linux/nftables.ts';
import { listRules, listTables, rulesetGeneration } from '../../linux/nftables-list.ts';
import { metaKey, tcp } from '../../linux/nftables-match.ts';
import { be32, CMP_EQ, REGISTER, type RuleWriter, type Statement } from '../../linux/nftables-rule.ts';
import { SystemError } from '../../linux/sys.ts';

const TABLE: Table = { family: 'inet', name: 'kilowire' };
const CHAIN = 'segment-size';
/** Between the raw table and everything that filters, as iptables' mangle. */
const PRIORITY = -150;

const EPROTONOSUPPORT = 93;
/** What such a kernel answers: to the socket, to a question, to an expression. */
const UNABLE = [EPROTONOSUPPORT, EINVAL, EOPNOTSUPP, ENOENT];

const TRANSPORT_HEADER = 2;
const FLAGS_OFFSET = 13;
const SYN = 2;
const SYN_RST = 6;

/** SYN and SYN-ACK. */
const opensConnection = (): Statement => (rule) => {
  tcp.dport.prepare(rule);
  rule.payload(TRANSPORT_HEADER, FLAGS_OFFSET, 1, REGISTER);
  rule.bitwise(Uint8Array.of(SYN_RST), Uint8Array.of(0), REGISTER);
  rule.compare(CMP_EQ, Uint8Array.of(SYN), REGISTER);
};

const fitSegments = (): Statement => (rule: RuleWriter) => {
  rule.expression('rt', (w) => {
    be32(w, 1 /* NFTA_RT_DREG */, REGISTER);
    be32(w, 2 /* NFTA_RT_KEY */, 3 /* NFT_RT_TCPMSS */);
  });
  rule.expression('byteorder', (w) => {
    be32(w, 1 /* NFTA_BYTEORDER_SREG */, REGISTER);
    be32(w, 2 /* NFTA_BYTEORDER_DREG */, REGISTER);
    be32(w, 3 /* NFTA_BYTEORDER_OP */, 1 /* NFT_BYTEORDER_HTON */);
    be32(w, 4 /* NFTA_BYTEORDER_LEN */, 2);
    be32(w, 5 /* NFTA_BYTEORDER_SIZE */, 2);
  });
  rule.expression('exthdr', (w) => {
    w.attribute(2 /* NFTA_EXTHDR_TYPE */, () => w.u8(2 /* TCPOPT_MSS */));
    be32(w, 3 /* NFTA_EXTHDR_OFFSET */, 2);
    be32(w, 4 /* NFTA_EXTHDR_LEN */, 2);
    be32(w, 6 /* NFTA_EXTHDR_OP */, 1 /* NFT_EXTHDR_OP_TCPOPT */);
    be32(w, 7 /* NFTA_EXTHDR_SREG */, REGISTER);
  });
};

const commentsFor = (link: string): string[] => [`into ${link}`, `out of ${link}`];

const rules = (link: string): Change[] => {
  const [into, outOf] = [metaKey.oifname.is(link), metaKey.iifname.is(link)];
  const [first = '', second = ''] = commentsFor(link);
  const rule = (which: Statement, comment: string): Change =>
    addRule(TABLE, CHAIN, [which, opensConnection(), fitSegments()], { comment });
  return [rule(into, first), rule(outOf, second)];
};

const hasErrno = (error: unknown, errno: number): boolean =>
  error instanceof SystemError && error.errno === errno;

/** Whether a kernel says that it has no nftables, or not what was asked of it. */
export const lacksNftables = (error: unknown): boolean =>
  UNABLE.some((errno) => isNetlinkError(error, errno) || hasErrno(error, errno));

const isThere = (socket: NetlinkSocket): boolean =>
  listTables(socket).some(({ family, name }) => family === TABLE.family && name === TABLE.name);

export class SegmentSize {
  #socket: NetlinkSocket | null = null;
  /** A kernel without nftables, or without what these rules need of it: packets are told that they are too large, that is all. */
  #isUnable = false;
  /** The rule set's generation when it was as wanted: no other is, until anybody changes anything. */
  #right: number | null = null;

  /** Answers whether something had to be written. */
  keep(link: string): boolean {
    if (this.#isUnable) return false;
    try {
      return this.#keep(link);
    } catch (error) {
      this.#isUnable = lacksNftables(error);
      if (!this.#isUnable) throw error;
      return false;
    }
  }

  #keep(link: string): boolean {
    const socket = this.#open();
    const generation = rulesetGeneration(socket);
    if (generation === this.#right) return false;
    const have = this.#comments(socket);
    if (have.join() === commentsFor(link).join()) {
      this.#right = generation;
      return false;
    }
    const chain = { name: CHAIN, base: { type: 'filter', hook: 'forward', priority: PRIORITY } } as const;
    applyNftables(socket, [recreateTable(TABLE), addTable(TABLE), addChain(TABLE, chain), ...rules(link)]);
    return true;
  }

  remove(): void {
    if (this.#isUnable) return;
    const socket = this.#open();
    if (isThere(socket)) applyNftables(socket, [removeTable(TABLE)]);
  }

  close(): void {
    this.#socket?.close();
    this.#socket = null;
  }

  #open(): NetlinkSocket {
    this.#socket ??= openNftablesSocket();
    return this.#socket;
  }

  #comments(socket: NetlinkSocket): string[] {
    try {
      if (!isThere(socket)) return [];
      return listRules(socket, TABLE, CHAIN).map(({ comment = '' }) => comment);
    } catch (error) {
      if (isNetlinkError(error, ENOENT)) return [];
      throw error;
    }
  }
}
