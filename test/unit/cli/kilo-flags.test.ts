/**
 * Every flag of Kilo 0.7's programs: its name, its default and how it is written are ours too, and none does nothing.
 * Source: `kg --help`, `kg webhook --help`, `kgctl --help` and those of its commands; flags of cobra (booleans stand alone or
 * with =, lists are repeated or have commas). Flags of its open pull requests #316, #370 and #392 are among them.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { type AgentFlags, agentOptions, DEFAULT_FLAGS } from '../../../src/agent/options.ts';
import { agentCommand } from '../../../src/cli/agent.ts';
import { withoutGoValues } from '../../../src/cli/go-flags.ts';
import { createProgram } from '../../../src/cli/program.ts';

type Kind = 'bool' | 'text' | 'list';
/** Name, kind, default, another value it takes. */
type Flag = readonly [name: string, kind: Kind, standard: unknown, other: string];

const KG: readonly Flag[] = [
  ['backend', 'text', 'kubernetes', 'kubernetes'],
  ['clean-up', 'bool', true, 'false'],
  ['clean-up-interface', 'bool', false, 'true'],
  ['cni', 'bool', true, 'false'],
  ['cni-path', 'text', '/etc/cni/net.d/10-kilo.conflist', '/etc/kubernetes/cni/net.d/10-kilo.conflist'],
  ['compatibility', 'text', '', 'flannel'],
  ['create-interface', 'bool', true, 'false'],
  ['encapsulate', 'text', 'always', 'crosssubnet'],
  ['hostname', 'text', '', 'node-1'],
  ['interface', 'text', 'kilo0', 'kilo1'],
  ['internal-cidr', 'list', [], '10.0.0.0/8'],
  ['iptables-forward-rules', 'bool', false, 'true'],
  ['kubeconfig', 'text', '', '/etc/kubernetes/kubeconfig'],
  ['listen', 'text', ':1107', '127.0.0.1:1108'],
  ['local', 'bool', true, 'false'],
  ['log-level', 'text', 'info', 'debug'],
  ['master', 'text', '', 'https://127.0.0.1:6443'],
  ['mesh-granularity', 'text', 'location', 'full'],
  ['mtu', 'text', 'auto', '1380'],
  ['port', 'text', '51820', '51821'],
  ['prioritise-private-addresses', 'bool', false, 'true'],
  ['resync-period', 'text', '30s', '1m30s'],
  ['service-cidr', 'list', [], '10.43.0.0/16'],
  ['subnet', 'text', '10.4.0.0/16', '10.6.0.0/16'],
  ['topology-label', 'text', 'topology.kubernetes.io/region', 'example.com/site'],
  ['check-in', 'bool', true, 'false'],
  ['drop-other-ipip-traffic', 'bool', true, 'false'],
  ['route-internal-ip', 'bool', true, 'false'],
];

const KGCTL: readonly Flag[] = [
  ['backend', 'text', 'kubernetes', 'kubernetes'],
  ['kubeconfig', 'text', undefined, '/root/.kube/config'],
  ['mesh-granularity', 'text', 'auto', 'full'],
  ['topology-label', 'text', 'topology.kubernetes.io/region', 'example.com/site'],
];
const CONNECT: readonly Flag[] = [
  ...KGCTL,
  ['allowed-ip', 'text', '10.10.10.10/32', '10.5.0.1/32'],
  ['allowed-ips', 'list', [], '10.43.0.0/16'],
  ['clean-up', 'bool', true, 'false'],
  ['interface', 'text', 'kilo0', 'wg0'],
  ['log-level', 'text', 'info', 'debug'],
  ['mtu', 'text', 1420, '1380'],
  ['persistent-keepalive', 'text', 10, '25'],
  ['private-key', 'text', '', '/etc/wireguard/key'],
  ['resync-period', 'text', '30s', '1m'],
  ['port', 'text', undefined, '51821'],
];
const SHOWCONF: readonly Flag[] = [
  ...KGCTL,
  ['as-peer', 'bool', undefined, 'true'],
  ['output', 'text', 'wireguard', 'yaml'],
  ['allowed-ips', 'list', [], '10.43.0.0/16'],
  ['port', 'text', undefined, '51821'],
];
const WEBHOOK: readonly Flag[] = [
  ['cert-file', 'text', '', '/run/secrets/tls/tls.crt'],
  ['key-file', 'text', '', '/run/secrets/tls/tls.key'],
  ['listen', 'text', { host: undefined, port: 8443 }, ':9443'],
  ['listen-metrics', 'text', { host: undefined, port: 1107 }, ':1108'],
  ['log-level', 'text', 'info', 'debug'],
];

const camel = (name: string): string => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

const find = (program: Command, ...path: string[]): Command =>
  path.reduce((command, name) => {
    const found = command.commands.find((each) => each.name() === name);
    if (found === undefined) throw new Error(`no command ${name}`);
    return found;
  }, program);

const textOf = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    part !== null && typeof part === 'object' && 'prefix' in part && 'address' in part
      ? `${Object.values(part.address as object).join('.')}/${String(part.prefix)}`
      : part,
  );

const commands: readonly (readonly [string, () => Command, readonly Flag[]])[] = [
  ['kg', agentCommand, KG],
  ['kg webhook', () => find(createProgram('kilowire'), 'webhook'), WEBHOOK],
  ['kgctl graph', () => find(createProgram('kgctl'), 'graph'), KGCTL],
  ['kgctl showconf node', () => find(createProgram('kgctl'), 'showconf', 'node'), SHOWCONF],
  ['kgctl showconf peer', () => find(createProgram('kgctl'), 'showconf', 'peer'), SHOWCONF],
  ['kgctl connect', () => find(createProgram('kgctl'), 'connect'), CONNECT],
];

describe.each(commands)('%s', (_title, make, flags) => {
  it.each(flags)("has --%s with Kilo's default", (name, _kind, standard) => {
    const command = make();
    expect(command.options.map(({ long }) => long)).toContain(`--${name}`);
    const given = command.opts()[camel(name)] as unknown;
    if (name === 'allowed-ip') expect(textOf(given)).toBe(textOf('10.10.10.10/32'));
    // No ranges, or none said: to who asks for some it is the same.
    else expect(Array.isArray(standard) ? (given ?? []) : given).toEqual(standard);
  });

  it.each(flags)('takes --%s as Go programs do', (name, kind, _standard, other) => {
    const parse = (...given: string[]): unknown => {
      const args = withoutGoValues(given);
      const { unknown } = make().parseOptions(args);
      expect(unknown).toEqual([]);
      const command = make();
      command.parseOptions(args);
      return command.opts()[camel(name)];
    };
    const joined = parse(`--${name}=${other}`);
    expect(joined).toBeDefined();
    if (kind === 'bool') {
      if (name !== 'as-peer') expect(joined).toBe(other === 'true');
      expect([true, null]).toContain(parse(`--${name}`));
    } else {
      expect(textOf(parse(`--${name}`, other))).toBe(textOf(joined));
    }
    if (kind === 'list') {
      expect(parse(`--${name}=${other},10.9.0.0/16`)).toHaveLength(2);
      expect(parse(`--${name}=${other}`, `--${name}=10.9.0.0/16`)).toHaveLength(2);
    }
  });
});

describe("what kg's flags do", () => {
  const withFlag = (name: string, kind: Kind, value: string) => {
    const given = kind === 'bool' ? value === 'true' : kind === 'list' ? [value] : value;
    return agentOptions({ ...DEFAULT_FLAGS, hostname: 'n', [camel(name)]: given } as AgentFlags);
  };

  it.each(KG.filter(([name]) => name !== 'backend'))(
    '--%s changes something',
    (name, kind, standard, other) => {
      const before = withFlag('hostname', 'text', 'n');
      const after = withFlag(name, kind, other);
      expect(after).not.toEqual(before);
      expect(standard).toEqual(DEFAULT_FLAGS[camel(name) as keyof AgentFlags]);
    },
  );

  it('every option is looked at by the agent', () => {
    const files = ['src/agent', 'src/cli'].flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.ts') && path !== 'options.ts')
        .map((path) => readFileSync(join(folder, path), 'utf8')),
    );
    const all = files.join('\n');
    const idle = Object.keys(agentOptions(DEFAULT_FLAGS)).filter(
      (key) =>
        !new RegExp(`(?:[oO]ptions\\.${key}\\b|\\{[^{}]*\\b${key}\\b[^{}]*\\} = [\\w.#]*[oO]ptions\\b)`).test(
          all,
        ),
    );
    expect(idle).toEqual([]);
  });
});
