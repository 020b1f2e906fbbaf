/**
 * What Prometheus' own promtool says of the alert rules, of what a running agent exports, and of when the alerts are raised.
 * Without promtool on the machine Debian's is fetched, and not installed.
 * @module
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { AgentWorld, NODES } from './agent-world.ts';
import { Folder, has, isRoot, root } from './host.ts';

const cached = join(process.env.KILOWIRE_TEST_CACHE ?? join(homedir(), '.cache/kilowire-test'), 'promtool');

const promtool = (): string | undefined => {
  if (has('promtool')) return 'promtool';
  const program = join(cached, 'usr/bin/promtool');
  if (existsSync(program)) return program;
  const downloads = mkdtempSync(join(tmpdir(), 'kilowire-promtool-'));
  try {
    execFileSync('apt-get', ['download', '-qq', 'prometheus'], {
      cwd: downloads,
      stdio: 'ignore',
      timeout: 120_000,
    });
    const [file = ''] = readdirSync(downloads);
    const options = { maxBuffer: 1 << 28 };
    const files = execFileSync('dpkg-deb', ['--fsys-tarfile', join(downloads, file)], options);
    mkdirSync(cached, { recursive: true });
    execFileSync('tar', ['-x', '-C', cached, './usr/bin/promtool'], { input: files });
    return program;
  } catch (error) {
    console.log(
      `skipping promtool: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`,
    );
    return undefined;
  } finally {
    rmSync(downloads, { recursive: true, force: true });
  }
};

const program = promtool();
const alerts = join(root, 'deploy/monitoring/alerts.yaml');
const check = (args: readonly string[], input?: string) => {
  const { status, stdout, stderr } = spawnSync(program ?? '', args, {
    encoding: 'utf8',
    ...(input === undefined ? {} : { input }),
  });
  return { status, lines: `${stdout}${stderr}`.split('\n').filter((line) => line !== '') };
};

describe.skipIf(program === undefined)('promtool', { timeout: 60_000 }, () => {
  const folder = new Folder();
  afterAll(() => folder.remove());

  it('finds nothing wrong with the rules', () => {
    const { status, lines } = check(['check', 'rules', alerts]);
    expect([status, lines.filter((line) => /FAILED|error|duplicate/i.test(line))]).toEqual([0, []]);
  });

  it('sees alerts raised when they should be, and not before', () => {
    const { groups } = parse(readFileSync(alerts, 'utf8')) as {
      groups: { rules: { alert: string; labels: object; annotations: { description: string } }[] }[];
    };
    const tunnel = '{instance="x",interface="kilo0",public_key="k",friendly_name="b"}';
    const raised = (name: string, labels: object, summary: string) => {
      const rule = groups.flatMap(({ rules }) => rules).find(({ alert }) => alert === name);
      const { description } = rule?.annotations ?? {};
      return [{ exp_labels: { ...rule?.labels, ...labels }, exp_annotations: { summary, description } }];
    };
    const problem = { code: 'no-handshake', kind: 'node', object: 'a' };
    const ofTunnel = { instance: 'x', interface: 'kilo0', public_key: 'k', friendly_name: 'b' };
    const rules = {
      rule_files: [alerts],
      evaluation_interval: '1m',
      tests: [
        {
          interval: '1m',
          input_series: [
            { series: 'kilo_nodes{instance="x"}', values: '3x30' },
            {
              series: 'kilowire_problems{code="no-handshake",kind="node",object="a",instance="x"}',
              values: '1x30',
            },
            // Never answered, and sending.
            { series: `wireguard_latest_handshake_seconds${tunnel}`, values: '0x30' },
            { series: `wireguard_sent_bytes_total${tunnel}`, values: '0+100x30' },
          ],
          alert_rule_test: [
            { eval_time: '4m', alertname: 'KilowireProblem', exp_alerts: [] },
            {
              eval_time: '6m',
              alertname: 'KilowireProblem',
              exp_alerts: raised('KilowireProblem', problem, 'node a: no-handshake'),
            },
            { eval_time: '5m', alertname: 'KilowireTunnelSilent', exp_alerts: [] },
            {
              eval_time: '15m',
              alertname: 'KilowireTunnelSilent',
              exp_alerts: raised('KilowireTunnelSilent', ofTunnel, 'x sends to b and is not answered'),
            },
            { eval_time: '15m', alertname: 'KilowireAgentsMissing', exp_alerts: [] },
          ],
        },
        {
          interval: '1m',
          input_series: [],
          alert_rule_test: [
            {
              eval_time: '6m',
              alertname: 'KilowireAgentsMissing',
              exp_alerts: raised('KilowireAgentsMissing', {}, 'No agent of the mesh is scraped'),
            },
          ],
        },
      ],
    };
    const { status, lines } = check(['test', 'rules', folder.write('rules.yaml', stringify(rules))]);
    expect([status, lines.filter((line) => !/Unit Testing|SUCCESS/.test(line))]).toEqual([0, []]);
  });

  it.skipIf(!isRoot)("finds nothing wrong with what an agent exports, but for Calico's names", async () => {
    const world = new AgentWorld('kwpt');
    try {
      await world.startApi();
      for (const { name } of NODES) world.startAgent(name);
      await world.meshed();
      const metrics = world.host('a').exec('curl', '-s', '-m', '5', 'http://127.0.0.1:1107/metrics');
      expect(metrics).toContain('wireguard_latest_handshake_seconds{');
      const { lines } = check(['check', 'metrics'], metrics);
      expect(lines.toSorted()).toEqual([
        'wireguard_bytes_rcvd counter metrics should have "_total" suffix',
        'wireguard_bytes_sent counter metrics should have "_total" suffix',
      ]);
    } finally {
      await world.remove();
    }
  });
});
