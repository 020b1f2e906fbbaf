/**
 * A certificate that signs itself, for the lab's API server: Node makes keys and signatures, but no certificates.
 * Source: RFC 5280 §4.1 (fields), §4.2.1.3, .6 and .9 (extensions); RFC 5758 §3.2 (ecdsa-with-SHA256); X.690 for DER.
 * @module
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export interface ServerCertificate {
  /** PEM; a secret. */
  readonly key: string;
  /** PEM; also the authority that clients trust. */
  readonly certificate: string;
}

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  object: 0x06,
  utf8: 0x0c,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** subjectAltName: [2] dNSName, [7] iPAddress */
  dnsName: 0x82,
  ipAddress: 0x87,
  version: 0xa0,
  extensions: 0xa3,
} as const;

const OBJECT = {
  ecdsaWithSha256: '2a8648ce3d040302',
  commonName: '550403',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
  keyUsage: '551d0f',
} as const;

const VERSION_3 = 2;
/** digitalSignature and keyCertSign: bits 0 and 5, two bits unused. */
const KEY_USAGE = Uint8Array.of(2, 0x84);
const TRUE = Uint8Array.of(0xff);
const DAY_MS = 86_400_000;

const encode = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const { length } = body;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.of(tag, ...head), body]);
};

const sequence = (...parts: readonly Uint8Array[]): Buffer => encode(TAG.sequence, ...parts);

const object = (hex: string): Buffer => encode(TAG.object, Buffer.from(hex, 'hex'));

const time = (at: number): Buffer =>
  encode(
    TAG.time,
    Buffer.from(
      new Date(at)
        .toISOString()
        .replace(/\.\d+Z$/, 'Z')
        .replaceAll(/[-:T]/g, ''),
      'latin1',
    ),
  );

const extension = (id: string, critical: boolean, value: Uint8Array): Buffer =>
  sequence(object(id), ...(critical ? [encode(TAG.boolean, TRUE)] : []), encode(TAG.octets, value));

/** Good from a day before `now` (milliseconds) to a year after: a lab does not live longer. */
export function selfSigned(name: string, address: string, now: number): ServerCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(object(OBJECT.ecdsaWithSha256));
  const subject = sequence(
    encode(TAG.set, sequence(object(OBJECT.commonName), encode(TAG.utf8, Buffer.from(name)))),
  );
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40; // positive, and without leading zeros
  const names = sequence(
    encode(TAG.dnsName, Buffer.from(name, 'latin1')),
    encode(TAG.ipAddress, Uint8Array.from(address.split('.').map(Number))),
  );
  const unsigned = sequence(
    encode(TAG.version, encode(TAG.integer, Uint8Array.of(VERSION_3))),
    encode(TAG.integer, serial),
    algorithm,
    subject,
    sequence(time(now - DAY_MS), time(now + 365 * DAY_MS)),
    subject,
    publicKey.export({ format: 'der', type: 'spki' }),
    encode(
      TAG.extensions,
      sequence(
        extension(OBJECT.basicConstraints, true, sequence(encode(TAG.boolean, TRUE))),
        extension(OBJECT.keyUsage, true, encode(TAG.bits, KEY_USAGE)),
        extension(OBJECT.subjectAltName, false, names),
      ),
    ),
  );
  const signature = sign('sha256', unsigned, privateKey);
  const whole = sequence(unsigned, algorithm, encode(TAG.bits, Uint8Array.of(0), signature));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return {
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
    certificate: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
  };
}
