/**
 * The page served by agents of a mesh, and the same mesh seen from outside of it through the API server:
 *
 *     kwua-a, kwua-b, kwua-c, kwua-r (agent-world.ts)
 *     kwua-lap 10.9.9.2 ── 10.9.9.1 kwua-r      reaches the API and nothing else
 * @module
 */
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PEER_DEFINITION } from '../../src/agent/peer-definition.ts';
import type { MeshSnapshot } from '../../src/ui/mesh-snapshot.ts';
import { AgentWorld, NODES } from './agent-world.ts';
import { end, type Host, has, isRoot, root, run, until } from './host.ts';
import { hostOutside } from './laptop.ts';
import { CHROMIUM } from './ui-world.ts';

const TOKEN = 'a-token-of-the-test-0123456789';
const API = 'http://10.9.9.1:8001';
const able = isRoot && has('curl') && has('wg');

interface Result {
  readonly status: number;
  readonly text: string;
}

/** In the background: what it asks may be this very process. */
const on = async (host: Host, ...command: string[]): Promise<Result> => {
  const child = host.spawn(command);
  const pieces: Buffer[] = [];
  child.stdout?.on('data', (piece: Buffer) => pieces.push(piece));
  child.stderr?.resume();
  const [status] = (await once(child, 'close')) as [number];
  return { status, text: Buffer.concat(pieces).toString('utf8') };
};

describe.skipIf(!able)('a mesh whose agents serve the page', () => {
  let world: AgentWorld;
  let laptop: Host;

  beforeAll(async () => {
    world = new AgentWorld('kwua');
    laptop = hostOutside('kwua');
    world.api.create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', PEER_DEFINITION);
    await world.startApi();
    for (const { name, address } of NODES)
      world.api.store.put('pods', `kube-system/agent-${name}`, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: `agent-${name}`,
          namespace: 'kube-system',
          labels: { 'app.kubernetes.io/name': 'kilowire', 'app.kubernetes.io/component': 'agent' },
        },
        spec: { nodeName: name, hostNetwork: true },
        status: { podIP: address, phase: 'Running' },
      } as never);
    world.api.create('/apis/kilo.squat.ai/v1alpha1/peers', {
      metadata: { name: 'phone' },
      spec: { allowedIPs: ['10.5.0.1/32'], publicKey: run('sh', '-c', 'wg genkey | wg pubkey').trim() },
    });
    world.startAgent('a', '--ui-listen=127.0.0.1:8107');
    world.startAgent('b', '--ui-listen=:8107', `--ui-token-file=${world.folder.write('token', TOKEN)}`);
    world.startAgent('c');
    await world.meshed();
  });
  afterAll(async () => {
    laptop?.remove();
    await world?.remove();
  });

  const page = (from: string, address: string, path: string, ...more: string[]): Promise<Result> =>
    on(world.host(from), 'curl', '-s', '-m', '10', ...more, `http://${address}:8107${path}`);
  const meshOn = async (name: string): Promise<MeshSnapshot> =>
    JSON.parse((await page(name, '127.0.0.1', '/api/v1.0/mesh')).text) as MeshSnapshot;

  it('shows it on a node, with what all agents say of their tunnels', async () => {
    await expect
      .poll(async () => Object.values((await meshOn('a')).nodes).map(({ state }) => state), {
        timeout: 20_000,
      })
      .toEqual(['well', 'well', 'well']);
    const { tunnels } = await meshOn('a');
    expect(Object.keys(tunnels).toSorted()).toEqual(['a|b', 'a|phone', 'b|phone']);
    expect(tunnels['a|b']).toMatchObject({
      measured: true,
      lastHandshake: expect.any(Number),
      roundTripMs: expect.any(Number),
      endpointA: '10.9.1.2:51820',
      endpointB: '10.9.2.2:51820',
    });
  });

  it('is the page that was built, under a policy that lets it run itself and nothing else', async () => {
    const { text } = await page('a', '127.0.0.1', '/ui/', '-i');
    expect(text).toMatch(/^content-security-policy: default-src 'none'; script-src 'sha256-[^;*]+'; /im);
    expect(text).toContain('<title>');
  });

  it('is on that node only, and where nobody asked for it not at all', async () => {
    const refused = 7; // curl(1), "failed to connect"
    expect((await page('b', '10.9.1.2', '/ui/')).status).toBe(refused);
    expect((await page('c', '127.0.0.1', '/ui/')).status).toBe(refused);
  });

  it('asks for the token where others reach it', async () => {
    const status = ['-o', '/dev/null', '-w', '%{http_code}'];
    const bearer = (token: string): string[] => ['-H', `Authorization: Bearer ${token}`];
    const path = '/api/v1.0/mesh';
    expect((await page('a', '10.9.2.2', path, ...status)).text).toBe('401');
    expect((await page('b', '127.0.0.1', path, ...status, ...bearer('another'))).text).toBe('401');
    expect((await page('a', '10.9.2.2', path, ...status, ...bearer(TOKEN))).text).toBe('200');
    expect(world.log('b')).not.toContain(TOKEN);
  });

  it.skipIf(CHROMIUM === undefined)(
    'works in a browser, with the token and without, and offers no change',
    async () => {
      const command = ['ip', 'netns', 'exec', world.host('a').name, CHROMIUM ?? ''];
      const inside = world.folder.write('chromium', `#!/bin/sh\nexec ${command.join(' ')} "$@"\n`);
      chmodSync(inside, 0o755);
      const browser = await chromium.launch({
        executablePath: inside,
        args: ['--no-sandbox'],
        timeout: 60_000,
      });
      try {
        const complaints: string[] = [];
        for (const address of ['127.0.0.1:8107/ui/', `10.9.2.2:8107/ui/#token=${TOKEN}`]) {
          const tab = await browser.newPage();
          tab.setDefaultTimeout(60_000);
          tab.on('pageerror', ({ message }) => complaints.push(message));
          tab.on('console', (message) => {
            if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
          });
          await tab.goto(`http://${address}`);
          await tab.waitForSelector('[data-tunnel="a|b"].fresh');
          await tab.click('nav button:has-text("Clients")');
          await tab.waitForSelector('text=An agent serves this page');
          await tab.waitForSelector('th:has-text("phone")');
          expect(await tab.locator('main button').allTextContents()).toEqual([]);
          await tab.close();
        }
        // Plain HTTP from another machine, which that header cannot be believed of.
        expect(complaints.filter((text) => !text.startsWith('The Cross-Origin-Opener-Policy'))).toEqual([]);
      } finally {
        await browser.close();
      }
    },
  );

  it('is measured from outside too, through the API server', async () => {
    const kilowire = (...args: string[]): Promise<Result> =>
      on(laptop, process.execPath, join(root, 'src/cli/main.ts'), ...args, '--master', API);
    const { text } = await kilowire('status', '--agents', '-o', 'json');
    const { tunnels, silent } = JSON.parse(text) as {
      tunnels: { from: string; to: string; roundTripMs: number | null }[];
      silent: string[];
    };
    expect(silent).toEqual([]);
    const between = tunnels.filter(({ to }) => to !== 'phone');
    expect(between.toSorted((one, other) => (one.from < other.from ? -1 : 1))).toMatchObject([
      { from: 'a', to: 'b', handshakeAge: expect.any(Number), pathMtu: 1500 },
      { from: 'b', to: 'a', handshakeAge: expect.any(Number), pathMtu: 1500 },
    ]);
    // Who began the last handshake has measured it.
    expect(tunnels.some(({ roundTripMs }) => (roundTripMs ?? 0) > 0)).toBe(true);
    const top = JSON.parse((await kilowire('top', '--json')).text) as { nodes: { tunnels: object }[] };
    expect(top.nodes.map(({ tunnels: count }) => count)).toContainEqual({ up: 1, all: 1 });
    const elsewhere = await kilowire('status', '--agents', '-o', 'json', '--namespace', 'elsewhere');
    expect(JSON.parse(elsewhere.text)).toMatchObject({ tunnels: [], silent: ['a', 'b', 'c'] });
  });

  it('says that an agent does not answer any more', async () => {
    await end(world.agents.get('c')!, 'SIGKILL');
    await until('its end', () => world.agents.get('c')?.signalCode === 'SIGKILL');
    await expect.poll(async () => (await meshOn('a')).nodes.c?.state, { timeout: 20_000 }).toBe('silent');
  });
});
