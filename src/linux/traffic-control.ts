/**
 * Traffic control: the token bucket that limits what a link sends, and the redirection of what it receives to an ifb,
 * which can be limited in turn.
 * Sources: include/uapi/linux/pkt_sched.h (TCA_TBF_…), pkt_cls.h (TCA_U32_…), tc_act/tc_mirred.h, rtnetlink.h (tcmsg).
 * @module
 */
import { ENOENT } from './errno.ts';
import { isNetlinkError, type NetlinkSocket, type Request } from './netlink.ts';
import {
  LITTLE_ENDIAN,
  type MessageWriter,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  viewOf,
} from './netlink-message.ts';
import { bytes, decodeAttributes, text } from './netlink-schema.ts';

export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
export const RTM_GETQDISC = 38;
export const RTM_NEWTFILTER = 44;

const TC_H_ROOT = 0xffffffff;
const TC_H_INGRESS = 0xfffffff1;
const ROOT_HANDLE = 0x10000; // 1:
const INGRESS_HANDLE = 0xffff0000;
const ETH_P_ALL = 0x0003;
const TC_LINKLAYER_ETHERNET = 1;
const U32_TERMINAL = 1;
const ACT_STOLEN = 4;
const EGRESS_REDIR = 1;
/** Of struct tcmsg. */
const HEADER = 20;
const largest32 = 0xffffffff;

export interface TokenBucket {
  /** Bytes a second. */
  readonly rate: number;
  /** Bytes that may go at once. */
  readonly burst: number;
  /** Bytes that may wait, the burst included. */
  readonly limit: number;
}

const header = (w: MessageWriter, link: number, handle: number, parent: number, info = 0): void => {
  w.u8(0);
  w.u8(0);
  w.u16(0);
  w.u32(link);
  w.u32(handle);
  w.u32(parent);
  w.u32(info);
};

/** struct tc_ratespec. With the link layer named, the kernel needs no table of transmission times from us. */
const rateSpec = (w: MessageWriter, rate: number): void => {
  w.u8(0);
  w.u8(rate === 0 ? 0 : TC_LINKLAYER_ETHERNET);
  w.u16(0);
  w.u16(0);
  w.u16(0);
  w.u32(Math.min(rate, largest32));
};

/** At the link's root, in place of what is there. */
export const limitRate = (link: number, { rate, burst, limit }: TokenBucket): Request => ({
  name: 'RTM_NEWQDISC',
  subject: `the token bucket of link ${link}`,
  type: RTM_NEWQDISC,
  flags: NLM_F_CREATE | NLM_F_REPLACE,
  body: (w) => {
    header(w, link, ROOT_HANDLE, TC_H_ROOT);
    w.attribute(1 /* TCA_KIND */, () => w.text('tbf'));
    w.nested(2 /* TCA_OPTIONS */, () => {
      w.attribute(1 /* TCA_TBF_PARMS */, () => {
        rateSpec(w, rate);
        rateSpec(w, 0);
        w.u32(Math.min(limit, largest32));
        w.u32(0); // buffer: TCA_TBF_BURST says it in bytes
        w.u32(0);
      });
      if (rate > largest32) w.attribute(4 /* TCA_TBF_RATE64 */, () => w.u64(rate));
      w.attribute(6 /* TCA_TBF_BURST */, () => w.u32(Math.min(burst, largest32)));
    });
  },
});

/** Where filters on what a link receives hang. */
export const addIngress = (link: number): Request => ({
  name: 'RTM_NEWQDISC',
  subject: `the ingress of link ${link}`,
  type: RTM_NEWQDISC,
  flags: NLM_F_CREATE | NLM_F_EXCL,
  body: (w) => {
    header(w, link, INGRESS_HANDLE, TC_H_INGRESS);
    w.attribute(1 /* TCA_KIND */, () => w.text('ingress'));
  },
});

/** Everything a link receives leaves by another one. */
export const redirectIngress = (link: number, to: number): Request => ({
  name: 'RTM_NEWTFILTER',
  subject: `the redirection of link ${link} to link ${to}`,
  type: RTM_NEWTFILTER,
  flags: NLM_F_CREATE | NLM_F_EXCL,
  body: (w) => {
    // Priority above, protocol (big endian) below.
    header(w, link, 0, INGRESS_HANDLE, (1 << 16) | (LITTLE_ENDIAN ? ETH_P_ALL << 8 : ETH_P_ALL));
    w.attribute(1 /* TCA_KIND */, () => w.text('u32'));
    w.nested(2 /* TCA_OPTIONS */, () => {
      w.attribute(5 /* TCA_U32_SEL */, () => matchAll(w));
      w.nested(7 /* TCA_U32_ACT */, () => w.nested(1, () => mirred(w, to)));
    });
  },
});

/** struct tc_u32_sel with one key whose mask is empty. */
const matchAll = (w: MessageWriter): void => {
  w.u8(U32_TERMINAL);
  w.u8(0);
  w.u8(1); // keys
  w.u8(0);
  for (let word = 0; word < 3; word++) w.u32(0);
  for (let word = 0; word < 4; word++) w.u32(0);
};

const mirred = (w: MessageWriter, to: number): void => {
  w.attribute(1 /* TCA_ACT_KIND */, () => w.text('mirred'));
  w.nested(2 /* TCA_ACT_OPTIONS */, () =>
    w.attribute(2 /* TCA_MIRRED_PARMS */, () => {
      for (const word of [0, 0, ACT_STOLEN, 0, 0, EGRESS_REDIR, to]) w.u32(word);
    }),
  );
};

/** Takes the token bucket away; none there is no error. */
export const unlimitRate = (socket: NetlinkSocket, link: number): void => {
  for (const [handle, parent] of [
    [ROOT_HANDLE, TC_H_ROOT],
    [INGRESS_HANDLE, TC_H_INGRESS],
  ] as const) {
    const [error] = socket.tryBatch([
      {
        name: 'RTM_DELQDISC',
        subject: `a queueing discipline of link ${link}`,
        type: RTM_DELQDISC,
        flags: 0,
        body: (w) => header(w, link, handle, parent),
      },
    ]);
    // EINVAL: the kernel's own, which nobody made.
    if (error !== undefined && !['ENOENT', 'EINVAL', 'ENODEV'].includes(error.errnoName)) throw error;
  }
};

const QdiscAttributes = { kind: [1, text], options: [2, bytes] } as const;
const TbfAttributes = { parameters: [1, bytes] } as const;

/** The rate of the link's token bucket in bytes a second, or undefined when it has none. */
export const rateOf = (socket: NetlinkSocket, link: number): number | undefined => {
  try {
    for (const message of socket.dump({
      name: 'RTM_GETQDISC',
      subject: `the queueing disciplines of link ${link}`,
      type: RTM_GETQDISC,
      flags: 0,
      body: (w) => header(w, link, 0, 0),
    })) {
      if (viewOf(message.payload).getInt32(4, LITTLE_ENDIAN) !== link) continue;
      const { kind, options } = decodeAttributes(QdiscAttributes, message.payload.subarray(HEADER));
      if (kind !== 'tbf' || options === undefined) continue;
      const { parameters } = decodeAttributes(TbfAttributes, options);
      if (parameters !== undefined) return viewOf(parameters).getUint32(8, LITTLE_ENDIAN);
    }
  } catch (error) {
    if (!isNetlinkError(error, ENOENT)) throw error;
  }
  return undefined;
};
