/**
 * The plan: the addresses the issue and the article give, and no two things alike.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { isLabNamespace, namespacesOf, nodesOf, planLab } from '../../../src/lab/plan.ts';

const one = planLab({ nodesPerCloud: 1, granularity: 'full' });
const two = planLab({ nodesPerCloud: 2, granularity: 'location' });

describe('the plan of a lab', () => {
  it('has four clouds, each with the private network of the article', () => {
    expect(one.clouds.map(({ name, lan }) => [name, lan.cidr])).toEqual([
      ['aws', '192.168.10.0/24'],
      ['azure', '192.168.20.0/24'],
      ['gcp', '192.168.30.0/24'],
      ['aliyun', '192.168.40.0/24'],
    ]);
  });

  it('numbers the pod networks of the nodes in order', () => {
    expect(nodesOf(one).map(({ podCIDR }) => podCIDR)).toEqual([
      '10.42.0.0/24',
      '10.42.1.0/24',
      '10.42.2.0/24',
      '10.42.3.0/24',
    ]);
    expect(nodesOf(two).at(-1)?.podCIDR).toBe('10.42.7.0/24');
    expect(nodesOf(two).at(-1)?.podGateway).toBe('10.42.7.1');
  });

  it('gives the first node of a cloud a public address, and the second a keepalive in its place', () => {
    expect(nodesOf(two).map(({ name, publicIP, keepalive }) => [name, publicIP !== null, keepalive])).toEqual(
      [
        ['aws-0', true, 0],
        ['aws-1', false, 25],
        ['azure-0', true, 0],
        ['azure-1', false, 25],
        ['gcp-0', true, 0],
        ['gcp-1', false, 25],
        ['aliyun-0', true, 0],
        ['aliyun-1', false, 25],
      ],
    );
  });

  it('uses no address twice', () => {
    const addresses = [
      ...two.clouds.flatMap(({ lan, wan }) => [lan.gateway, wan.gateway, wan.router]),
      ...nodesOf(two).flatMap(({ privateIP, publicIP, podGateway }) => [
        privateIP,
        publicIP ?? privateIP,
        podGateway,
      ]),
      two.laptop.ip,
      two.laptop.publicIP,
      two.laptop.gateway,
    ];
    const withoutRepeats = nodesOf(two).filter(({ publicIP }) => publicIP === null).length;
    expect(new Set(addresses).size).toBe(addresses.length - withoutRepeats);
  });

  it('keeps every public address inside its cloud’s own part of the documentation range', () => {
    for (const { wan, nodes } of two.clouds) {
      const part = (ip: string): number => Math.floor(Number(ip.split('.')[3]) / 32);
      for (const ip of [wan.router, ...nodes.flatMap(({ publicIP }) => publicIP ?? [])]) {
        expect(ip).toMatch(/^203\.0\.113\./);
        expect(part(ip)).toBe(part(wan.gateway));
      }
    }
  });

  it('puts the service where the issue says, in another cloud than the laptop’s entry', () => {
    expect(one.web).toMatchObject({ ip: '10.43.0.10', port: 80, dns: 'web.default.svc.cluster.local' });
    expect(one.web.node.cloud).not.toBe('aws');
    expect(one.dns.ip).not.toBe(one.web.ip);
  });

  it('names 18 namespaces for one node a cloud, 30 for two, each once and all recognisable', () => {
    expect(namespacesOf(one)).toHaveLength(18);
    expect(new Set(namespacesOf(two)).size).toBe(30);
    expect(namespacesOf(two).every(isLabNamespace)).toBe(true);
  });

  it('recognises no namespace that a lab would not make', () => {
    for (const name of [
      'kw-',
      'kw-test',
      'kw-aws',
      'kw-aws-0-pod',
      'kw-wan2',
      'kwg-a',
      'kw-aws-10',
      'my-kw-wan',
    ])
      expect(isLabNamespace(name), name).toBe(false);
  });
});
