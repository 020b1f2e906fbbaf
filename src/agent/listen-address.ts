/**
 * Where something listens, as a person writes it: "127.0.0.1:1107", "[::1]:1107", ":1107" for all addresses.
 * Source: Go's net.Listen, whose notation Kilo's --listen has.
 * @module
 */

export interface ListenAddress {
  /** Undefined: all of this machine. */
  readonly host: string | undefined;
  readonly port: number;
}

/** Null when it is none. */
export const parseListenAddress = (text: string): ListenAddress | null => {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? Number.NaN);
  if (match === null || port > 0xffff) return null;
  return { host: match[1] || match[2] || undefined, port };
};

/** Only who is on this machine gets there. */
export const isLoopback = ({ host = '' }: ListenAddress): boolean =>
  /^(?:127\.\d+\.\d+\.\d+|::1|localhost)$/.test(host);

/** Where a program of this machine finds it: `http://127.0.0.1:1107`. */
export const localOrigin = ({ host = '0.0.0.0', port }: ListenAddress): string => {
  const name = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
};
