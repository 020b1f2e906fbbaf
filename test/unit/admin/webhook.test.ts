/**
 * The admission webhook: Kilo's sentences for what it refuses, over TLS, and what Kilo let through.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judge } from '../../../src/admin/webhook/admission.ts';
import { WebhookServer } from '../../../src/admin/webhook/webhook-server.ts';
import { Log } from '../../../src/agent/log.ts';
import { keyOf } from '../routing/clusters.ts';
import { cli } from './admin-world.ts';

const SPEC = { allowedIPs: ['10.5.0.1/32'], publicKey: keyOf('laptop') };

const review = (spec: unknown, more: object = {}): string =>
  JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: { uid: 'u-1', operation: 'CREATE', object: { metadata: { name: 'laptop' }, spec } },
    ...more,
  });

describe('a review', () => {
  it('lets a right Peer in, in the very words of Kilo', () => {
    expect(judge('application/json', review(SPEC))).toEqual({
      status: 200,
      contentType: 'application/json',
      body: '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"u-1","allowed":true}}',
      operation: 'CREATE',
      allowed: true,
    });
  });

  const endpoint = (dnsOrIP: unknown, port: unknown = 51820) => ({ ...SPEC, endpoint: { dnsOrIP, port } });

  it.each([
    [
      { ...SPEC, allowedIPs: ['10.5.0.1'] },
      'failed to parse "10.5.0.1" as a valid IP address: invalid CIDR address: 10.5.0.1',
    ],
    [endpoint({}), 'either an endpoint DNS name IP address must be given'],
    [endpoint({ ip: '1.2.3' }), 'failed to parse "1.2.3" as a valid IP address'],
    [endpoint({ ip: '1.2.3.4' }, 0), 'port must be a valid UDP port number, got 0'],
    [
      { ...SPEC, persistentKeepalive: -1 },
      'persistent keepalive must be greater than or equal to zero; got -1',
    ],
    [
      { ...SPEC, publicKey: '!' },
      'WireGuard public key is not base64 encoded: illegal base64 data at input byte 0',
    ],
    [{ ...SPEC, publicKey: '' }, 'WireGuard public key has invalid length'],
    // Kilo let these in.
    [{ ...SPEC, allowedIPs: [] }, 'at least one allowed IP must be given'],
    [{ publicKey: SPEC.publicKey }, 'at least one allowed IP must be given'],
    [{ ...SPEC, presharedKey: 'short' }, 'WireGuard preshared key is not 32 bytes in base64'],
  ])('refuses %j', (spec, message) => {
    const { status, body } = judge('application/json', review(spec));
    expect(status).toBe(200);
    expect(JSON.parse(body).response).toEqual({
      uid: 'u-1',
      allowed: false,
      status: { metadata: {}, message },
    });
  });

  it('asks for lower-case names', () => {
    const { body } = judge('application/json', review(endpoint({ dns: 'VPN.example.com' })));
    expect(JSON.parse(body).response.status.message).toMatch(
      /^a lowercase RFC 1123 subdomain must consist of /,
    );
  });

  it('lets go what is deleted, right or not', () => {
    const request = { uid: 'u-2', operation: 'DELETE', object: null };
    const { allowed } = judge('application/json', review(SPEC, { request }));
    expect(allowed).toBe(true);
  });

  it.each([
    ['text/plain', review(SPEC), 'received Content-Type=text/plain, expected application/json'],
    [
      'application/json; charset=utf-8',
      review(SPEC),
      'received Content-Type=application/json; charset=utf-8, expected application/json',
    ],
    ['application/json', '{', 'Request could not be decoded: '],
    ['application/json', 'null', 'Request could not be decoded: '],
    [
      'application/json',
      review(SPEC, { apiVersion: 'admission.k8s.io/v1beta1' }),
      'only API v1 is supported',
    ],
    [
      'application/json',
      review(SPEC, { request: undefined }),
      'Request could not be decoded: it has no request',
    ],
    ['application/json', review('x'), 'could not unmarshal extension to peer spec: '],
    [
      'application/json',
      review({ ...SPEC, allowedIPs: [1] }),
      'could not unmarshal extension to peer spec: ',
    ],
  ])('of %s %s is a bad request', (type, body, sentence) => {
    const answer = judge(type, body);
    expect(answer.status).toBe(400);
    expect(answer.body.startsWith(sentence)).toBe(true);
    expect(answer.body.trimEnd()).not.toContain('\n');
  });
});

describe('the server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-webhook-'));
  const [certFile, keyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  const end = new AbortController();
  const log: string[] = [];
  let ports: { https: number; metrics: number };
  let over: Promise<void>;
  beforeAll(async () => {
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const kind = [
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
    ];
    execFileSync('openssl', ['req', ...kind, ...subject, '-keyout', keyFile, '-out', certFile], {
      stdio: 'ignore',
    });
    const listen = { host: '127.0.0.1', port: 0 };
    const server = new WebhookServer({
      certFile,
      keyFile,
      listen,
      listenMetrics: listen,
      log: new Log('info', (line) => log.push(line)),
    });
    ports = await new Promise((resolve, reject) => {
      over = server.run(end.signal, resolve);
      over.catch(reject);
    });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const post = (path: string, body: string): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const options = {
        port: ports.https,
        host: '127.0.0.1',
        servername: 'localhost',
        path,
        method: 'POST',
        ca: readFileSync(certFile),
        agent: false,
        headers: { 'content-type': 'application/json' },
      } as const;
      const sent = request(options, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString() }),
        );
      });
      sent.on('error', reject);
      sent.end(body);
    });

  it('kilo §10.4.11: answers over TLS, counts, and ends in peace', async () => {
    expect(JSON.parse((await post('/validate', review(SPEC))).text).response.allowed).toBe(true);
    expect((await post('/validate?timeout=5s', review({ ...SPEC, allowedIPs: [] }))).text).toContain(
      '"allowed":false',
    );
    expect((await post('/validate', '{')).status).toBe(400);
    expect((await post('/else', '{}')).status).toBe(404);
    const metrics = await (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text();
    expect(metrics).toContain('\nadmission_requests_total{operation="CREATE",response="allowed"} 1\n');
    expect(metrics).toContain('\nadmission_requests_total{operation="CREATE",response="denied"} 1\n');
    expect(metrics).toContain('\nhttp_requests_total{handler="/validate",method="post"} 3\n');
    expect(metrics).toContain('\nerrors_total 1\n');
    end.abort();
    await over;
    expect(log.at(-1)).toContain('see you next time!');
  });

  it.each([
    [[], 1, 'The webhook speaks TLS only: give it a PEM file with --cert-file.'],
    [['--cert-file', '/nowhere', '--key-file', '/nowhere'], 1, 'Cannot read /nowhere (--cert-file): '],
    [['--listen', '8443'], 2, '"8443" is not an address; write it as :8443.'],
    [['--log-level', 'loud'], 2, 'Allowed choices are all, debug'],
  ])('with %j ends with status %i and one sentence', async (args, code, sentence) => {
    const { status, stdout, stderr } = await cli('webhook', ...args);
    expect([status, stdout]).toEqual([code, '']);
    expect(stderr).toContain(sentence);
    expect(stderr.trimEnd()).not.toContain('\n');
  });
});
