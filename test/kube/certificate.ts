/**
 * X.509 certificates on P-256 keys, as many as a cluster needs, without an openssl.
 * Source: RFC 5280 (fields, extensions), ITU-T X.690 (DER), SEC 1 and RFC 5915 (the keys' text).
 * @module
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

export interface Subject {
  readonly name: string;
  readonly organization?: string;
}

/** Who may be addressed by the certificate: names and IPv4 addresses. */
export type Host = string;

export interface Identity {
  /** PEM. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
}

const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const length =
    body.length < 128
      ? [body.length]
      : body.length < 256
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
};
const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
const integer = (bytes: Uint8Array): Buffer => der(0x02, bytes);
const octets = (bytes: Uint8Array): Buffer => der(0x04, bytes);
const bits = (bytes: Uint8Array, unused = 0): Buffer => der(0x03, Buffer.from([unused]), bytes);
const yes = Buffer.from([0x01, 0x01, 0xff]);

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 127];
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 127) | 128);
    bytes.push(...groups);
  }
  return der(0x06, Buffer.from(bytes));
}

const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'));

const attribute = (type: string, value: string): Buffer =>
  der(0x31, sequence(oid(type), der(0x0c, Buffer.from(value))));

const distinguishedName = ({ name, organization }: Subject): Buffer =>
  sequence(
    ...(organization === undefined ? [] : [attribute('2.5.4.10', organization)]),
    attribute('2.5.4.3', name),
  );

/** UTCTime: years of two digits until 2049. */
const time = (date: Date): Buffer =>
  der(0x17, Buffer.from(`${date.toISOString().replace(/^20|[-:T]|\..*$/g, '')}Z`));

const extension = (type: string, critical: boolean, value: Buffer): Buffer =>
  sequence(oid(type), ...(critical ? [yes] : []), octets(value));

function alternativeName(host: Host): Buffer {
  return /^[\d.]+$/.test(host)
    ? der(0x87, Buffer.from(host.split('.').map(Number)))
    : der(0x82, Buffer.from(host));
}

const day = 86_400_000;

function issue(
  subject: Subject,
  issuer: Subject,
  publicKey: KeyObject,
  signer: KeyObject,
  extensions: readonly Buffer[],
): string {
  const now = Date.now();
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    // Positive, and without a leading zero.
    integer(Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    ecdsaWithSha256,
    distinguishedName(issuer),
    sequence(time(new Date(now - day)), time(new Date(now + 365 * day))),
    distinguishedName(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  const whole = sequence(body, ecdsaWithSha256, bits(sign('sha256', body, signer)));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

const keyPair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = (key: KeyObject): string => key.export({ type: 'sec1', format: 'pem' }).toString();

/** A key alone, PEM. */
export const makeKey = (): string => pem(keyPair().privateKey);

const usage = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' } as const;

export class CertificateAuthority {
  readonly certificate: string;
  readonly key: string;
  readonly #subject: Subject;
  readonly #key: KeyObject;

  constructor(name: string) {
    const { publicKey, privateKey } = keyPair();
    this.#subject = { name };
    this.#key = privateKey;
    this.key = pem(privateKey);
    this.certificate = issue(this.#subject, this.#subject, publicKey, privateKey, [
      extension('2.5.29.19', true, sequence(yes)),
      // digitalSignature, keyCertSign, cRLSign
      extension('2.5.29.15', true, bits(Buffer.from([0x86]), 1)),
    ]);
  }

  server(name: string, hosts: readonly Host[]): Identity {
    const names = extension('2.5.29.17', false, sequence(...hosts.map(alternativeName)));
    return this.#identity({ name }, usage.server, names);
  }

  client(subject: Subject): Identity {
    return this.#identity(subject, usage.client);
  }

  #identity(subject: Subject, purpose: string, ...more: readonly Buffer[]): Identity {
    const { publicKey, privateKey } = keyPair();
    const certificate = issue(subject, this.#subject, publicKey, this.#key, [
      // digitalSignature, keyEncipherment
      extension('2.5.29.15', true, bits(Buffer.from([0xa0]), 5)),
      extension('2.5.29.37', false, sequence(oid(purpose))),
      ...more,
    ]);
    return { certificate, key: pem(privateKey) };
  }
}
