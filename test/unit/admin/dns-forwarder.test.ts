/**
 * The resolver on loopback: who is asked for which name, over UDP and TCP, and what it does with nonsense.
 * @module
 */
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { DnsForwarder, questionName } from '../../../src/admin/connect/dns-forwarder.ts';
import { nameservers } from '../../../src/admin/connect/split-dns.ts';
import { answerQuery, createQuery, readAnswer } from '../../../src/lab/dns-message.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A port that is free for UDP may be taken for TCP: then with another one. */
const freely = async <T>(make: () => Promise<T>): Promise<T> => {
  for (;;)
    try {
      return await make();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
};

/** A server of one zone over UDP and TCP; counts what it was asked. */
const serve = async (zone: string, records: Record<string, string>) => {
  const asked: string[] = [];
  const answer = (query: Buffer): Uint8Array | null => {
    asked.push(questionName(query) ?? '');
    return answerQuery(query, new Map(Object.entries(records)), zone);
  };
  const udp = createSocket('udp4');
  udp.on('message', (query, from) => {
    const reply = answer(query);
    if (reply !== null) udp.send(reply, from.port, from.address);
  });
  udp.bind(0, '127.0.0.1');
  await once(udp, 'listening');
  const { port } = udp.address();
  const tcp = createServer((stream) =>
    stream.once('data', (piece) => {
      const reply = answer(piece.subarray(2)) ?? new Uint8Array();
      stream.end(Buffer.concat([Buffer.from([0, reply.length]), reply]));
    }),
  );
  tcp.listen(port, '127.0.0.1');
  await once(tcp, 'listening').catch((error: unknown) => {
    udp.close();
    throw error;
  });
  ends.push(
    () => udp.close(),
    () => tcp.close(),
  );
  return { asked, server: { address: '127.0.0.1', port } };
};

const world = async (patienceMs = 2000) => {
  const cluster = await freely(() =>
    serve('cluster.local', { 'web.default.svc.cluster.local': '10.43.0.80' }),
  );
  const other = await freely(() => serve('org', { 'www.example.org': '192.0.2.1' }));
  const at = await freely(async () => {
    const forwarder = new DnsForwarder({
      domains: ['cluster.local'],
      clusterServers: [{ address: '127.0.0.1', port: 1 }, cluster.server],
      otherServers: [other.server],
      listen: { address: '127.0.0.1', port: 0 },
      patienceMs,
    });
    const bound = await forwarder.start();
    ends.push(() => forwarder.close());
    return bound;
  });
  const resolver = new Resolver({ timeout: 3000, tries: 1 });
  resolver.setServers([`${at.address}:${at.port}`]);
  return { cluster, other, at, resolver };
};

describe('the forwarder', () => {
  it('asks the cluster for its names only, and the others for all others', async () => {
    const { cluster, other, resolver } = await world();
    expect(await resolver.resolve4('web.default.svc.cluster.local')).toEqual(['10.43.0.80']);
    expect(await resolver.resolve4('WWW.example.org')).toEqual(['192.0.2.1']);
    await expect(resolver.resolve4('none.default.svc.cluster.local')).rejects.toThrow('ENOTFOUND');
    await expect(resolver.resolve4('notcluster.local')).rejects.toThrow(/REFUSED/);
    expect(cluster.asked.every((name) => name.endsWith('.cluster.local'))).toBe(true);
    expect(other.asked).toEqual(['www.example.org', 'notcluster.local']);
  });

  it('answers over TCP, several questions to a connection', async () => {
    const { at } = await world();
    const stream = connect(at.port, at.address);
    const pieces: Buffer[] = [];
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    const names = ['web.default.svc.cluster.local', 'www.example.org'];
    const queries = names.map((name, id) => Buffer.from(createQuery(id + 1, name)));
    stream.write(Buffer.concat(queries.flatMap((query) => [Buffer.from([0, query.length]), query])));
    const whole = () => Buffer.concat(pieces);
    await expect.poll(() => whole().length).toBeGreaterThanOrEqual(80);
    const answers = new Map<number, string | null>();
    for (let at = 0; at < whole().length; at += 2 + whole().readUInt16BE(at)) {
      const message = whole().subarray(at + 2, at + 2 + whole().readUInt16BE(at));
      const id = message.readUInt16BE(0);
      answers.set(id, readAnswer(message, id));
    }
    expect([...answers].toSorted()).toEqual([
      [1, '10.43.0.80'],
      [2, '192.0.2.1'],
    ]);
    stream.destroy();
  });

  it('says that it failed where nobody answers', async () => {
    const forwarder = new DnsForwarder({
      domains: ['cluster.local'],
      clusterServers: [],
      otherServers: [{ address: '127.0.0.1', port: 1 }],
      listen: { address: '127.0.0.1', port: 0 },
      patienceMs: 500,
    });
    const { port } = await forwarder.start();
    ends.push(() => forwarder.close());
    const resolver = new Resolver({ timeout: 3000, tries: 1 });
    resolver.setServers([`127.0.0.1:${port}`]);
    for (const name of ['web.cluster.local', 'www.example.org'])
      await expect(resolver.resolve4(name)).rejects.toThrow('ESERVFAIL');
  });

  it('tells who has its place', async () => {
    const { at } = await world();
    const second = new DnsForwarder({ domains: [], clusterServers: [], otherServers: [], listen: at });
    await expect(second.start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('finds the name of a query in any bytes, or none', () => {
    expect(questionName(createQuery(7, 'Web.Default.svc.cluster.local'))).toBe(
      'web.default.svc.cluster.local',
    );
    const answer = Buffer.from(createQuery(7, 'a.b'));
    answer[2] = 0x80;
    expect(questionName(answer)).toBeNull();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const name = questionName(bytes);
        return name === null || name.length <= 300;
      }),
    );
  });
});

describe('resolv.conf', () => {
  it('is read for its servers', () => {
    const folder = mkdtempSync(join(tmpdir(), 'kilowire-dns-'));
    const path = join(folder, 'resolv.conf');
    writeFileSync(
      path,
      '# a comment\nsearch lan\nnameserver 192.168.1.1\n nameserver fd00::1\nnameserver nonsense\n',
    );
    expect(nameservers(path)).toEqual(['192.168.1.1', 'fd00::1']);
    expect(nameservers(join(folder, 'none'))).toEqual([]);
    rmSync(folder, { recursive: true });
  });
});
