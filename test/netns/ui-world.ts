/**
 * `kilowire ui` on a node of the running lab, a browser beside it, and a phone in the wan.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { end, Folder, Host, root, run, until } from './host.ts';
import { RunningLab } from './running-lab.ts';

export const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path));

const NODE = 'kw-aws-0';
const PHONE = 'kwui-phone';
const RESOLVER = `/etc/netns/${PHONE}`;

export class UiWorld {
  readonly lab: RunningLab;
  readonly folder = new Folder();
  readonly phone: Host;
  /** What the browser complained of. */
  readonly complaints: string[] = [];
  /** Everything the page has sent: addresses and bodies. */
  readonly sent: string[] = [];
  readonly browser: Browser;
  readonly url: string;
  readonly #ui: ChildProcess;

  private constructor(parts: {
    lab: RunningLab;
    browser: Browser;
    url: string;
    ui: ChildProcess;
    phone: Host;
    folder: Folder;
  }) {
    this.lab = parts.lab;
    this.browser = parts.browser;
    this.url = parts.url;
    this.#ui = parts.ui;
    this.phone = parts.phone;
    this.folder = parts.folder;
  }

  static async start(): Promise<UiWorld> {
    const lab = RunningLab.up(1);
    const folder = new Folder();
    const ui = spawn(
      'ip',
      [
        ...['netns', 'exec', NODE, process.execPath, join(root, 'src/cli/main.ts'), 'ui'],
        ...['--kubeconfig', '/run/kilowire-lab/kubeconfig', '--listen', '127.0.0.1:0'],
        ...['--services', '10.43.0.0/16', '--dns', 'none'],
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let said = '';
    ui.stdout?.on('data', (piece: Buffer) => {
      said += piece.toString();
    });
    await until('the page to be served', () => said.includes('\n'), 60_000);
    const url = said.replace('Open ', '').trim();
    const inside = folder.write('chromium', `#!/bin/sh\nexec ip netns exec ${NODE} ${CHROMIUM} "$@"\n`);
    chmodSync(inside, 0o755);
    const browser = await chromium.launch({
      executablePath: inside,
      args: ['--no-sandbox'],
      timeout: 60_000,
    });
    return new UiWorld({ lab, browser, url, ui, phone: phoneInTheWan(), folder });
  }

  /** A window with the page in it. */
  async open(colorScheme: 'light' | 'dark' = 'light'): Promise<Page> {
    const page = await this.browser.newPage({
      viewport: { width: 1360, height: 800 },
      colorScheme,
      acceptDownloads: true,
    });
    page.setDefaultTimeout(60_000);
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('request', (request) => this.sent.push(`${request.url()} ${request.postData() ?? ''}`));
    await page.goto(this.url);
    await page.waitForSelector('[data-member]');
    return page;
  }

  /** Nothing leaves a node any more, and so nothing comes back. */
  cut(node: string): () => void {
    const { netns } = this.lab.node(node);
    const rule = (verb: string): string => run('ip', '-n', netns, 'rule', verb, 'pref', '1', 'blackhole');
    rule('add');
    return () => void rule('del');
  }

  /** Faults that are serious or worse by WCAG, as sentences. */
  async accessibilityFaults(page: Page): Promise<string[]> {
    // By the debugger, which is not bound by the page's policy.
    const { source } = createRequire(import.meta.url)('axe-core') as { source: string };
    await page.evaluate(source);
    const violations = (await page.evaluate(
      '(async () => (await axe.run(document, { resultTypes: ["violations"] })).violations)()',
    )) as { impact: string; id: string; help: string; nodes: { html: string }[] }[];
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(
        ({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 200))}`,
      );
  }

  async end(): Promise<void> {
    await this.browser.close();
    await end(this.#ui, 'SIGTERM');
    run('ip', 'netns', 'del', PHONE);
    rmSync(RESOLVER, { recursive: true, force: true });
    this.folder.remove();
    RunningLab.down();
  }
}

/** Beside the lab's laptop, with the cluster's resolver. */
const phoneInTheWan = (): Host => {
  const phone = new Host(PHONE);
  run('ip', '-n', 'kw-wan', 'link', 'add', 'kwui-w', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', PHONE);
  run('ip', '-n', 'kw-wan', 'addr', 'add', '192.0.2.1/24', 'dev', 'kwui-w');
  run('ip', '-n', 'kw-wan', 'link', 'set', 'kwui-w', 'up');
  phone.ip('addr', 'add', '192.0.2.2/24', 'dev', 'eth0');
  phone.ip('link', 'set', 'eth0', 'up');
  phone.ip('route', 'add', 'default', 'via', '192.0.2.1');
  mkdirSync(RESOLVER, { recursive: true });
  run('sh', '-c', `echo nameserver 10.43.0.53 > ${RESOLVER}/resolv.conf`);
  return phone;
};
