/**
 * Why the kernel refuses a packet: the negative values that plan, innerLength and groAdd return (kernel/segment.ts,
 * kernel/coalesce.ts hold the same numbers), and the words a counter shows for them.
 * @module
 */

/** Fewer bytes than the headers take. */
export const DROP_SHORT = -1;
/** More than an IP packet can have, or than a slot can hold. */
export const DROP_LONG = -2;
/** Neither IPv4 nor IPv6. */
export const DROP_VERSION = -3;
/** The checksum the kernel left to us has no place inside the packet's transport part. */
export const DROP_CHECKSUM_PLACE = -4;
/** An offload we never asked for, or one that does not fit the IP version. */
export const DROP_GSO_TYPE = -5;
/** A train with a segment size of 0. */
export const DROP_GSO_SIZE = -6;
/** A train whose transport header is not where it says, or not whole. */
export const DROP_GSO_HEADER = -7;
/** A decrypted packet that claims to be longer than it is, or shorter than its header. */
export const DROP_INNER_LENGTH = -8;
/** groAdd only: every slot is taken; flush and add the packet again. Not a drop. */
export const GRO_FULL = -1;

/** groBegin: join UDP too (the TUN device must have taken USO). */
export const GRO_UDP = 1;
/** groBegin: no train whose last segment is shorter, for kernels that refuse it (6.6.44, 6.10.3). */
export const GRO_EVEN = 2;
/** groBegin: join nothing. */
export const GRO_OFF = 4;

export const packetDropNames: Readonly<Record<number, string>> = {
  [DROP_SHORT]: 'short',
  [DROP_LONG]: 'long',
  [DROP_VERSION]: 'not-ip',
  [DROP_CHECKSUM_PLACE]: 'checksum-place',
  [DROP_GSO_TYPE]: 'gso-type',
  [DROP_GSO_SIZE]: 'gso-size',
  [DROP_GSO_HEADER]: 'gso-header',
  [DROP_INNER_LENGTH]: 'inner-length',
};
