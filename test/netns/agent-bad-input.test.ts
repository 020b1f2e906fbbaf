/**
 * Whatever is written wrong in the cluster costs only whoever it was written for, and is told with its reason by `kilowire status`,
 * by an Event and by a metric. The nodes are drawn in agent-world.ts; those that are wrong exist in the API only.
 * @module
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentWorld, NODES } from './agent-world.ts';
import { isRoot, root } from './host.ts';

const KILO = 'kilo.squat.ai';
const key = (digit: string): string => `${digit.repeat(42)}A=`;

describe.skipIf(!isRoot)('what is wrong in the cluster', () => {
  let world: AgentWorld;
  let lost: (() => Promise<number>)[];
  beforeAll(async () => {
    world = new AgentWorld('kwbad');
    await world.startApi();
    for (const { name } of NODES) world.startAgent(name);
    await world.meshed();
    lost = [world.pinging('c', 'a'), world.pinging('a', 'b'), world.pinging('b', 'c')];
    await spoil();
  });
  afterAll(() => world.remove());

  /** A node like any other, as its agent would tell of it. */
  const put = (name: string, more: Record<string, string>, podCIDR: string): void => {
    const lastSeen = String(Math.floor(Date.now() / 1000) + 600); // it has no agent that would say so again
    const number = podCIDR.split('.')[2];
    const annotations = {
      [`${KILO}/location`]: `zz-${name}`,
      [`${KILO}/endpoint`]: `198.51.100.${number}:51820`,
      [`${KILO}/key`]: key('BCDEFGHIJKLMNOPQRSTU'.charAt(Number(number) % 20)),
      [`${KILO}/last-seen`]: lastSeen,
      'kilowire.dev/abilities': `${lastSeen} kilowire`,
      ...Object.fromEntries(Object.entries(more).map(([word, text]) => [`${KILO}/${word}`, text])),
    };
    const metadata = { name, uid: name, annotations };
    world.api.store.put('nodes', name, { apiVersion: 'v1', kind: 'Node', metadata, spec: { podCIDR } });
  };

  const peers = '/apis/kilo.squat.ai/v1alpha1/peers';
  const spoil = async (): Promise<void> => {
    put(
      'x-annotation',
      { 'persistent-keepalive': 'often', 'allowed-location-ips': '10.77.0.0/33' },
      '10.42.51.0/24',
    );
    put('x-name', { endpoint: 'nowhere.invalid:51820' }, '10.42.52.0/24');
    put('x-pods', {}, '10.42.2.0/25');
    put(
      'x-private',
      { location: 'two', endpoint: '10.9.2.9:51820', 'internal-ip': '10.9.2.3/24' },
      '10.42.54.0/24',
    );
    put('x-key', { key: world.annotation('b', 'key') ?? '' }, '10.42.55.0/24');
    put('x-endpoint', { endpoint: '10.9.2.2:51820' }, '10.42.56.0/24');
    const peer = (name: string, spec: Record<string, unknown>): void =>
      world.request('POST', peers, { metadata: { name }, spec });
    peer('p-rule', { publicKey: key('b'), allowedIPs: ['10.5.0.1'] });
    peer('p-bits', { publicKey: key('c'), allowedIPs: ['10.5.1.7/24'] });
    peer('p-greedy', { publicKey: key('d'), allowedIPs: ['10.42.3.0/25'] });
    peer('p-name', {
      publicKey: key('e'),
      allowedIPs: ['10.5.0.8/32'],
      endpoint: { dnsOrIP: { dns: 'nowhere.invalid' }, port: 1 },
    });
    // A resolver may take its time to say no.
    for (let i = 0; i < 100 && (await faultsOf('a')).length < FAULTS.length; i++) await sleep(200);
  };

  const FAULTS = [
    'annotation-ignored node x-annotation',
    'annotation-ignored node x-annotation',
    'endpoint-repeated node x-endpoint',
    'endpoint-unresolved node x-name',
    'endpoint-unresolved peer p-name',
    'key-repeated node x-key',
    'peer-invalid peer p-rule',
    'peer-ip-inside-mesh peer p-greedy',
    'pod-cidr-repeated node x-pods',
    'private-address-repeated node x-private',
    'range-has-host-bits peer p-bits',
  ];

  const faultsOf = async (name: string): Promise<string[]> => {
    const said = await world.ask(name, '/status');
    if (!said.startsWith('{')) return []; // it was too busy to answer
    const { faults } = JSON.parse(said);
    return faults
      .map(
        ({ code, subject }: { code: string; subject: { kind: string; name: string } }) =>
          `${code} ${subject.kind} ${subject.name}`,
      )
      .toSorted();
  };

  it('is seen alike by every agent', async () => {
    for (const { name } of NODES) expect(await faultsOf(name)).toEqual(FAULTS);
  });

  it('is told by a metric, one sample for each', async () => {
    const text = await world.ask('a', '/metrics');
    const samples = [...text.matchAll(/^kilowire_problems\{code="(.*)",kind="(.*)",object="(.*)"\} 1$/gm)];
    expect(samples.map(([, code, kind, object]) => `${code} ${kind} ${object}`).toSorted()).toEqual([
      ...new Set(FAULTS),
    ]);
  });

  it('is told by an Event of the object, once, by one agent', async () => {
    const events = () =>
      world.api.store
        .list('events')
        .map(([, event]) => event)
        .map(
          (event) => event as unknown as { involvedObject: { kind: string; name: string }; reason: string },
        )
        // Of its own host each agent tells by itself.
        .filter(({ involvedObject: { name } }) => !NODES.some((node) => node.name === name))
        .map(({ involvedObject, reason }) => `${reason} ${involvedObject.kind} ${involvedObject.name}`);
    const reason = (code: string) =>
      code.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const wanted = FAULTS.map((fault) => {
      const [code = '', kind, name] = fault.split(' ');
      return `${reason(code)} ${kind === 'peer' ? 'Peer' : 'Node'} ${name}`;
    });
    for (let i = 0; i < 50 && events().length < wanted.length; i++) await sleep(100);
    expect(events().toSorted()).toEqual(wanted.toSorted());
  });

  it('is told by kilowire status, with the reason and what to do', async () => {
    // Something is wrong: its status is 1.
    const program = `"$0" "$1" status -o json --kubeconfig "$2" || true`;
    const files = [join(root, 'src/cli/main.ts'), world.kubeconfig()];
    const text = await world.administer('sh', '-c', program, process.execPath, ...files);
    const { problems } = JSON.parse(text) as {
      problems: { code: string; subject: string; what: string; remedy: string }[];
    };
    const told = problems.map(({ code, subject }) => `${code} ${subject}`);
    for (const fault of FAULTS) {
      // Seen from here it is the name that does not resolve, whoever has it.
      if (fault.startsWith('endpoint-unresolved'))
        expect(told).toContain('endpoint-unresolved endpoint nowhere.invalid');
      else expect(told).toContain(fault);
    }
    expect(problems.find(({ code }) => code === 'pod-cidr-repeated')?.what).toBe(
      'Node "x-pods" is left out: its pod CIDR 10.42.2.0/25 is that of "b", which was here before.',
    );
    for (const { remedy } of problems) expect(remedy).not.toBe('See the log of the agent.');
  });

  it('cost the others not one packet', async () => {
    expect(await Promise.all(lost.map((stop) => stop()))).toEqual([0, 0, 0]);
    expect(world.routes('a').join()).not.toMatch(
      /10\.42\.2\.0\/25|10\.42\.55\.0|10\.42\.3\.0\/25|10\.5\.0\.1 /,
    );
    // What could be used of those that are wrong in part is used.
    expect(world.routes('a').join()).toMatch(/10\.5\.0\.8 dev kilo0.*10\.5\.1\.0\/24 dev kilo0/);
    expect(world.routes('a').join()).toMatch(
      /10\.42\.51\.0\/24 via .*10\.42\.54\.0\/24 via .*10\.42\.56\.0\/24 via/,
    );
  });

  it('is over when it has been put right', async () => {
    for (const name of ['annotation', 'name', 'pods', 'private', 'key', 'endpoint'])
      world.request('DELETE', `/api/v1/nodes/x-${name}`);
    for (const name of ['rule', 'bits', 'greedy', 'name']) world.request('DELETE', `${peers}/p-${name}`);
    for (let i = 0; i < 100 && (await faultsOf('a')).length > 0; i++) await sleep(100);
    expect(await faultsOf('a')).toEqual([]);
    expect(await world.ask('a', '/metrics')).not.toContain('kilowire_problems{');
  });
});
