/**
 * The page in a real browser, on the running lab: it shows what is there and what is not any more, and a client that is added
 * on it gets into the cluster. KILOWIRE_SCREENSHOTS=docs/images stores what it looks like.
 * @module
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { has, isRoot, root, run, until } from './host.ts';
import { CHROMIUM, UiWorld } from './ui-world.ts';

const able = isRoot && CHROMIUM !== undefined;
if (!able) console.log('the page is not tried: it needs root and chromium (apt-get install chromium)');
// wg-quick asks for a userspace implementation only where the kernel has none.
const canDial = has('wg-quick') && has('curl') && !existsSync('/sys/module/wireguard');

const LIMIT = 200_000;
const IMAGE_LIMIT = 150_000;

describe.skipIf(!able)('the page', () => {
  let world: UiWorld;
  let page: Page;
  beforeAll(async () => {
    world = await UiWorld.start();
    page = await world.open();
  }, 300_000);
  afterAll(async () => await world?.end(), 120_000);

  const member = (name: string, more = '') => `[data-member="${name}"]${more}`;
  const picture = async (name: string): Promise<void> => {
    const folder = process.env.KILOWIRE_SCREENSHOTS;
    if (folder === undefined) return;
    const path = join(root, folder, `${name}.png`);
    await page.screenshot({ path, animations: 'disabled' });
    expect(statSync(path).size).toBeLessThan(IMAGE_LIMIT);
  };

  it('is light, and stands on its own', async () => {
    const html = await (await fetchText(page, './')).length;
    const paint = await page.evaluate(
      "performance.getEntriesByName('first-contentful-paint').map(({ startTime }) => Math.round(startTime))[0]",
    );
    console.log(`the page: ${html} bytes, first paint after ${paint} ms`);
    expect(html).toBeLessThan(LIMIT);
    const origin = new URL(world.url).origin;
    expect(world.sent.filter((sent) => !sent.startsWith(origin) && !sent.startsWith('data:'))).toEqual([]);
  });

  it('shows clouds, leaders and living tunnels, in words too', async () => {
    for (const name of ['aws-0', 'azure-0', 'gcp-0', 'aliyun-0']) {
      const words = await page.getAttribute(member(name), 'aria-label');
      expect(words).toBe(`${name} in ${name.replace('-0', '')}, speaks for itself`);
    }
    await page.waitForSelector('[data-tunnel="aws-0|gcp-0"].fresh');
    expect(await page.textContent('.facts')).toContain('4 nodes in 4 clouds and 1 peer · full mesh');
    expect(await page.textContent('[data-tunnel="aws-0|gcp-0"] title')).toMatch(
      /handshake \d+ s ago; .*round trip [\d.]+ ms/,
    );
    await picture('ui-map');
  });

  it('tells of a node what it has, by keyboard alone', async () => {
    await page.focus('#mesh-map');
    const focused = async () => await page.evaluate("document.activeElement.getAttribute('data-member')");
    for (let turn = 0; turn < 10 && (await focused()) !== 'azure-0'; turn++) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.panel h2:has-text("azure-0")');
    await page.focus('.panel summary');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.panel .lines li');
    const lines = await page.locator('.panel .lines li').allTextContents();
    expect(lines.some((line) => line.startsWith('kilo0 10.4.0.'))).toBe(true);
    expect(lines.some((line) => line.startsWith('node gcp-0; endpoint 203.0.113.106:51820'))).toBe(true);
    await page.keyboard.press('Escape');
    await page.focus('#mesh-map');
    await page.keyboard.press('Escape');
    await page.waitForSelector('.panel h2:has-text("What is wrong")');
  });

  it('says that a node is cut, and that it is back', async () => {
    const join = world.cut('aliyun-0');
    const began = performance.now();
    try {
      await page.waitForSelector(member('aliyun-0', '.silent'));
      console.log(
        `the page says that a node is cut after ${((performance.now() - began) / 1000).toFixed(1)} s`,
      );
      expect(await page.textContent('.panel')).toContain('Node "aliyun-0" does not answer');
      await page.waitForSelector('[data-tunnel="aliyun-0|aws-0"].broken');
      // Told to who cannot see it, too.
      await page.waitForSelector('[aria-live]:has-text("aliyun-0")', { state: 'attached' });
      await page.emulateMedia({ colorScheme: 'dark' });
      await picture('ui-map-dark');
    } finally {
      await page.emulateMedia({ colorScheme: 'light' });
      join();
    }
    await page.waitForSelector(member('aliyun-0', '.well'));
  });

  it('has the same in a terminal', () => {
    const args = ['top', '--kubeconfig', '/run/kilowire-lab/kubeconfig'];
    const top = (...more: string[]): string =>
      run(
        'ip',
        'netns',
        'exec',
        'kw-aws-0',
        process.execPath,
        join(root, 'src/cli/main.ts'),
        ...args,
        ...more,
      );
    const { nodes } = JSON.parse(top('--json')) as {
      nodes: { name: string; tunnels: object; faults: number }[];
    };
    expect(nodes.map(({ name }) => name).toSorted()).toEqual(['aliyun-0', 'aws-0', 'azure-0', 'gcp-0']);
    for (const { tunnels, faults } of nodes) expect([tunnels, faults]).toEqual([{ up: 3, all: 3 }, 0]);
    expect(top()).toMatch(/^gcp-0 +gcp +leader +3\/3 +\d+ (?:s|min).* ms /m);
  });

  it('goes back in time', async () => {
    const samples = async (): Promise<number> => Number(await page.getAttribute('.track input', 'max'));
    await expect.poll(samples, { timeout: 60_000 }).toBeGreaterThan(1);
    await page.focus('.track input');
    await page.keyboard.press('Home');
    await page.waitForSelector('.live:not(.on)');
    expect(await page.textContent('.timeline output')).toContain('ago');
    await page.click('.live');
    await page.waitForSelector('.live.on');
  });

  it.each([
    ['svg', /^<svg .*aws-0/s],
    ['png', /^\x89PNG/],
    ['dot', /^digraph .*aws-0/s],
    ['json', /"granularity": "full"/],
  ])('is saved as %s', async (format, content) => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.selectOption('.exports select', format),
    ]);
    expect(download.suggestedFilename()).toBe(`mesh.${format}`);
    const path = join(world.folder.path, `mesh.${format}`);
    await download.saveAs(path);
    expect(readFileSync(path, 'latin1')).toMatch(content);
    if (format === 'svg' && has('xmllint')) run('xmllint', '--noout', path);
  });

  it('adds a client whose file works, and whose private key stays in the browser', async () => {
    await page.click('nav button:has-text("Clients")');
    await page.click('button:has-text("Add a client")');
    await page.fill('input[name=name]', 'phone');
    await page.fill('input[name=tags]', 'sales');
    await page.check('input[name=presharedKey]');
    await page.click('dialog button[type=submit]');
    const file = (await page.textContent('pre[data-file=phone]')) ?? '';
    const [, key = ''] = /^PrivateKey = (\S{43}=)$/m.exec(file) ?? [];
    expect(key).not.toBe('');
    await page.waitForSelector('svg.qr path');
    expect(world.sent.some((sent) => sent.includes('/api/v1.0/client '))).toBe(true);
    expect(world.sent.filter((sent) => sent.includes(key) || sent.includes(encodeURIComponent(key)))).toEqual(
      [],
    );
    if (canDial) {
      const conf = world.folder.write('kwuiphone.conf', file);
      const wgQuick = (verb: string): string =>
        world.phone.exec(
          ...['env', `PATH=${join(root, 'bin')}:${process.env.PATH}`],
          ...['WG_QUICK_USERSPACE_IMPLEMENTATION=kilowire-wg', 'wg-quick', verb, conf],
        );
      wgQuick('up');
      try {
        await until('the service by its name', () => reaches(world), 60_000);
        await page.click('dialog [aria-label=Close]');
        await page.waitForSelector('tr:has-text("phone") >> text=connected');
        await picture('ui-clients');
        await page.click('[aria-label="Disable phone"]');
        await page.waitForSelector('tr:has-text("phone") >> text=disabled');
        await until('the client to be shut out', () => !reaches(world), 60_000);
      } finally {
        wgQuick('down');
      }
    } else await page.click('dialog [aria-label=Close]');
    await page.click('[aria-label="Remove phone"]');
    await page.click('dialog button.primary');
    await page.waitForSelector('tr:has-text("phone")', { state: 'detached' });
  });

  it('has no serious fault for who cannot see, use a mouse, or tell colours apart', async () => {
    for (const scheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      for (const view of ['Map', 'Table', 'Clients']) {
        await page.click(`nav button:has-text("${view}")`);
        if (view === 'Map') await page.click(member('aws-0'));
        if (view === 'Clients') await page.click('button:has-text("Add a client")');
        expect([scheme, view, await world.accessibilityFaults(page)]).toEqual([scheme, view, []]);
        if (view === 'Clients') await page.click('dialog [aria-label=Close]');
      }
    }
  });

  it('has given the browser nothing to complain of', () => {
    expect(world.complaints).toEqual([]);
  });
});

const fetchText = async (page: Page, path: string): Promise<string> =>
  (await page.evaluate(`fetch(${JSON.stringify(path)}).then((response) => response.text())`)) as string;

const reaches = (world: UiWorld): boolean => {
  try {
    return world.phone.exec('curl', '-sf', '-m', '3', 'http://web.default.svc.cluster.local/') !== '';
  } catch {
    return false;
  }
};
