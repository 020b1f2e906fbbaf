/**
 * Kilo's own tables for what lives in the agent, with its values: the order of addresses, and what its iptables controller makes of
 * rules that come, go and are taken away by others. (Topology, routes and small functions are in test/unit/routing, the
 * translation of Nodes and Peers beside this file.)
 * @module
 */
import { describe, expect, it } from 'vitest';
import { restoreText } from '../../../src/agent/host/iptables-change.ts';
import { parseSaved, wantedRules } from '../../../src/agent/host/iptables-text.ts';
import type { HostLinks } from '../../../src/agent/host/links.ts';
import { ownAddresses } from '../../../src/agent/host/own-addresses.ts';
import { cidr, formatAddress } from '../../../src/noise/ip.ts';
import type { Filter, FilterRule } from '../../../src/routing/nat.ts';

describe('the order of addresses', () => {
  it('is IPv4 before IPv6, and then that of their text', () => {
    const given = ['192.168.0.1', '2001::7', '10.0.0.2', 'fd68:da49:9da:b27f::', '10.0.0.1'];
    const linksOf = (addresses: readonly string[]) =>
      ({
        byName: new Map(),
        byIndex: new Map(),
        addresses: addresses.map((text) => ({
          link: 2,
          cidr: cidr(`${text}/${text.includes(':') ? 64 : 24}`),
          isGlobal: true,
        })),
        routes: [],
        rules: [],
        defaultRoutes: [],
      }) as HostLinks;
    const inOrder: string[] = [];
    let left = given;
    while (left.length > 0) {
      const found = ownAddresses(linksOf(left), { ofHostname: [], ignoredLinks: [], internalCIDRs: [] });
      const first = formatAddress(found.private?.address ?? found.public ?? new Uint8Array(4));
      inOrder.push(first);
      left = left.filter((text) => text !== first);
    }
    // The private ones are asked for first; Kilo counts fd68::/16 as public.
    expect(inOrder).toEqual(['10.0.0.1', '10.0.0.2', '192.168.0.1', '2001::7', 'fd68:da49:9da:b27f::']);
  });
});

/** A kernel's filter table as iptables-restore --noflush and iptables-save know it. */
class Kernel {
  #rules: string[] = [];

  get saved(): string {
    const lines = this.#rules.map((rule) => `-A FORWARD ${rule}`);
    return ['*filter', ':FORWARD ACCEPT [0:0]', ...lines, 'COMMIT', ''].join('\n');
  }

  get sources(): string[] {
    return this.#rules.map((rule) => /-[sd] \S+/.exec(rule)?.[0] ?? rule);
  }

  set(wanted: Filter): void {
    for (const line of restoreText(parseSaved(this.saved), wantedRules(wanted, 4)).split('\n')) {
      const [, verb, rule = ''] = /^-([AID]) FORWARD (.*)$/.exec(line) ?? [];
      if (verb === 'A') this.#rules.push(rule);
      if (verb === 'I') this.#rules.unshift(rule);
      if (verb === 'D') this.#rules.splice(this.#rules.indexOf(rule), 1);
    }
  }

  /** Somebody else does. */
  delete(source: string): void {
    this.#rules = this.#rules.filter((rule) => !rule.includes(source));
  }
}

describe('the iptables controller', () => {
  const rule = (verdict: FilterRule['verdict'], range: Partial<FilterRule>): FilterRule => ({
    kind: 'rule',
    family: 4,
    table: 'filter',
    chain: 'FORWARD',
    comment: 'Kilo: forward packets from the pod subnet',
    verdict,
    ...range,
  });
  const A1 = rule('ACCEPT', { source: cidr('10.4.0.0/16') });
  const A2 = rule('ACCEPT', { destination: cidr('10.4.0.0/16') });
  const P1 = rule('DROP', { source: cidr('10.5.0.0/16') });
  const P2 = rule('DROP', { source: cidr('10.6.0.0/16') });
  const [a1, a2, p1, p2] = ['-s 10.4.0.0/16', '-d 10.4.0.0/16', '-s 10.5.0.0/16', '-s 10.6.0.0/16'];
  const append = (...rules: FilterRule[]): Filter => ({ append: rules, prepend: [] });

  it.each([
    ['nothing', [append()], []],
    ['one', [append(A1)], [a1]],
    ['two', [append(A1, A2)], [a1, a2]],
    ['two, then one of them', [append(A1, A2), append(A2)], [a2]],
    // The controller puts each before the one it put there before.
    ['two before and two after', [{ prepend: [P1, P2], append: [A1, A2] }], [p2, p1, a1, a2]],
  ])('set: %s', (_, sets: readonly Filter[], expected) => {
    const kernel = new Kernel();
    for (const wanted of sets) kernel.set(wanted);
    expect(kernel.sources).toEqual(expected);
    kernel.set(append());
    expect(kernel.sources).toEqual([]);
  });

  it.each([
    ['both', [a1, a2]],
    ['the first', [a1]],
    ['the second', [a2]],
  ])('%s taken away by somebody else: it is in order again', (_, taken) => {
    const kernel = new Kernel();
    kernel.set(append(A1, A2));
    for (const source of taken) kernel.delete(source ?? '');
    kernel.set(append(A1, A2));
    expect(kernel.sources).toEqual([a1, a2]);
  });
});
