/**
 * The lab's certificate, read by OpenSSL (by way of node:crypto and node:tls).
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { selfSigned } from '../../../src/lab/certificate.ts';

const NOW = Date.now();

describe('a certificate that signs itself', () => {
  it('is an authority for its name and address, for a year', () => {
    const certificate = new X509Certificate(selfSigned('kubernetes', '203.0.113.6', NOW).certificate);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.ca).toBe(true);
    expect(certificate.subject).toBe('CN=kubernetes');
    expect(certificate.checkHost('kubernetes')).toBe('kubernetes');
    expect(certificate.checkIP('203.0.113.6')).toBe('203.0.113.6');
    expect(certificate.checkIP('203.0.113.7')).toBeUndefined();
    expect(Date.parse(certificate.validFrom)).toBeLessThan(NOW);
    expect(Date.parse(certificate.validTo)).toBeGreaterThan(NOW + 300 * 86_400_000);
  });

  it('is another one each time', () => {
    const serials = Array.from(
      { length: 20 },
      () => new X509Certificate(selfSigned('kubernetes', '203.0.113.6', NOW).certificate).serialNumber,
    );
    expect(new Set(serials).size).toBe(20);
  });

  it('is trusted by who was given it, and by nobody else', async () => {
    const { key, certificate } = selfSigned('kubernetes', '127.0.0.1', NOW);
    const server = createServer({ key, cert: certificate }, (socket) => socket.end()).listen(0, '127.0.0.1');
    server.on('tlsClientError', () => {});
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const trusting = connect({ host: '127.0.0.1', port, ca: certificate });
    await once(trusting, 'secureConnect');
    expect(trusting.authorized).toBe(true);
    trusting.destroy();
    const other = connect({ host: '127.0.0.1', port });
    const [error] = await once(other, 'error');
    expect(error).toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    server.close();
  });
});
