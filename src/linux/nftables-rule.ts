/**
 * The body of an nftables rule: expressions written one after another, each loading into or reading from registers. What a
 * match needs to be true first (a TCP port needs TCP, an IPv4 address needs IPv4) is written before it, once.
 * Source: include/uapi/linux/netfilter/nf_tables.h.
 * @module
 */
import { MessageWriter } from './netlink-message.ts';
import type { Element, SetSpec } from './nftables-set.ts';
import type { TableFamily } from './nftables-type.ts';

/** The first of sixteen registers of four bytes (NFT_REG32_00). Statements use them from here on and leave nothing in them. */
export const REGISTER = 8;
export const VERDICT_REGISTER = 0;

export const CMP_EQ = 0;
export const CMP_NEQ = 1;
export const CMP_GTE = 5;
export const CMP_LTE = 3;

const META_PROTOCOL = 1;
const META_NFPROTO = 15;
const META_L4PROTO = 16;

export const be32 = (writer: MessageWriter, type: number, value: number): void =>
  writer.attribute(type, (w) => w.be32(value));

export const data = (writer: MessageWriter, type: number, bytes: Uint8Array): void =>
  writer.nested(type, (w) => w.attribute(1 /* NFTA_DATA_VALUE */, () => w.raw(bytes)));

/** An unnamed set a rule brings with it. */
export interface OwnSet {
  readonly set: SetSpec;
  readonly id: number;
  readonly elements: readonly Element[];
}

let setIds = 0;
/** Names a set within a transaction (NFTA_SET_ID). */
export const nextSetId = (): number => ++setIds;

export class RuleWriter {
  readonly family: TableFamily;
  readonly sets: OwnSet[] = [];
  /** The kernel's names of the expressions so far: how an error tells one rule without comment from another. */
  readonly names: string[] = [];
  readonly #writer = new MessageWriter(512);
  #network: 4 | 6 | undefined;
  #transport: number | undefined;

  constructor(family: TableFamily) {
    this.family = family;
    if (family === 'ip') this.#network = 4;
    if (family === 'ip6') this.#network = 6;
  }

  get expressions(): Uint8Array {
    return this.#writer.bytes;
  }

  /** Which IP the packet is known to be by now. */
  get network(): 4 | 6 | undefined {
    return this.#network;
  }

  expression(name: string, body: (writer: MessageWriter) => void): void {
    this.names.push(name);
    this.#writer.nested(1 /* NFTA_LIST_ELEM */, (w) => {
      w.attribute(1 /* NFTA_EXPR_NAME */, () => w.text(name));
      w.nested(2 /* NFTA_EXPR_DATA */, body);
    });
  }

  payload(base: number, offset: number, length: number, register: number): void {
    this.expression('payload', (w) => {
      be32(w, 1 /* NFTA_PAYLOAD_DREG */, register);
      be32(w, 2, base);
      be32(w, 3, offset);
      be32(w, 4, length);
    });
  }

  meta(key: number, register: number): void {
    this.expression('meta', (w) => {
      be32(w, 1 /* NFTA_META_DREG */, register);
      be32(w, 2, key);
    });
  }

  compare(operation: number, bytes: Uint8Array, register: number): void {
    this.expression('cmp', (w) => {
      be32(w, 1 /* NFTA_CMP_SREG */, register);
      be32(w, 2, operation);
      data(w, 3, bytes);
    });
  }

  /** register = (register & mask) ^ xor */
  bitwise(mask: Uint8Array, xor: Uint8Array, register: number): void {
    this.expression('bitwise', (w) => {
      be32(w, 1 /* NFTA_BITWISE_SREG */, register);
      be32(w, 2, register);
      be32(w, 3, mask.length);
      data(w, 4, mask);
      data(w, 5, xor);
    });
  }

  immediate(bytes: Uint8Array, register: number): void {
    this.expression('immediate', (w) => {
      be32(w, 1 /* NFTA_IMMEDIATE_DREG */, register);
      data(w, 2, bytes);
    });
  }

  lookup(set: { name: string; id?: number | undefined }, options: LookupOptions): void {
    this.expression('lookup', (w) => {
      w.attribute(1 /* NFTA_LOOKUP_SET */, () => w.text(set.name));
      be32(w, 2, options.key);
      if (options.result !== undefined) be32(w, 3, options.result);
      if (set.id !== undefined) be32(w, 4, set.id);
      if (options.not) be32(w, 5, 1 /* NFT_LOOKUP_F_INV */);
    });
  }

  /** The packet must be of this IP version. */
  needNetwork(version: 4 | 6): void {
    if (this.#network === version) return;
    if (this.#network !== undefined) {
      throw new RuleError(`A rule of family ${this.family} cannot match IPv${version} here.`);
    }
    this.#network = version;
    if (this.family === 'bridge' || this.family === 'netdev') {
      this.meta(META_PROTOCOL, REGISTER);
      this.compare(CMP_EQ, version === 4 ? Uint8Array.of(0x08, 0x00) : Uint8Array.of(0x86, 0xdd), REGISTER);
    } else {
      this.meta(META_NFPROTO, REGISTER);
      this.compare(CMP_EQ, Uint8Array.of(version === 4 ? 2 : 10), REGISTER);
    }
  }

  /** The packet must carry this protocol. */
  needTransport(protocol: number): void {
    if (this.#transport === protocol) return;
    if (this.#transport !== undefined) {
      throw new RuleError(
        `One packet cannot carry protocol ${this.#transport} and ${protocol}: make it two rules.`,
      );
    }
    this.meta(META_L4PROTO, REGISTER);
    this.compare(CMP_EQ, Uint8Array.of(protocol), REGISTER);
    this.#transport = protocol;
  }
}

export interface LookupOptions {
  readonly key: number;
  /** The register a map's value goes to. */
  readonly result?: number;
  readonly not?: boolean;
}

export class RuleError extends Error {
  readonly code = 'ERR_NFTABLES_RULE';
  constructor(message: string) {
    super(message);
    this.name = 'RuleError';
  }
}

/** One part of a rule: it writes its expressions. */
export type Statement = (rule: RuleWriter) => void;
