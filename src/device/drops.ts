/**
 * Why the data plane drops a packet: a counter each, by name. A packet that goes missing here is always one of these.
 * @module
 */

export const dropNames = [
  'no-peer',
  'no-endpoint',
  'routing-loop',
  'no-socket',
  'malformed-packet',
  'staged-dropped',
  'send-failed',
  'send-too-long',
  'send-buffer-full',
  'short-datagram',
  'truncated-datagram',
  'unknown-type',
  'unknown-index',
  'expired-key',
  'bad-tag',
  'replayed',
  'inner-malformed',
  'inner-source',
  'mailbox-full',
  'handshake-bad-mac1',
  'handshake-unknown-index',
  'handshake-cookie-asked',
  'handshake-crowded',
  'handshake-shed',
  'handshake-rate-limited',
  'tun-write-failed',
] as const;

export type DropName = (typeof dropNames)[number];

export const Drop = Object.fromEntries(dropNames.map((name, index) => [name, index])) as Record<
  DropName,
  number
>;
