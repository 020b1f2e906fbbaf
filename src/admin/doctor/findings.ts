/**
 * A doctor's judgement of a host: each thing the mesh needs, whether it is there, and what to do when it is not. Pure.
 * Source: what Kilo's users met (wrong MTU, port taken, other network plugins, clocks, iptables backends), ip-sysctl.rst.
 * @module
 */
import { clusterFindings } from './cluster-findings.ts';
import type { Facts, Finding } from './facts.ts';

export const ok = (check: string, what: string): Finding => ({ check, state: 'ok', what, remedy: '' });
export const notice = (check: string, what: string, remedy: string): Finding => ({
  check,
  state: 'notice',
  what,
  remedy,
});
export const fault = (check: string, what: string, remedy: string): Finding => ({
  check,
  state: 'fault',
  what,
  remedy,
});

export const findingsOf = (facts: Facts): Finding[] => [
  ...rights(facts),
  ...modules(facts),
  ...forwarding(facts),
  ...reversePath(facts),
  ...mtu(facts),
  ...ports(facts),
  ...packetFilter(facts),
  ...networkPlugins(facts),
  ...device(facts),
  ...clusterFindings(facts),
];

const rights = ({ isRoot, tun, keyMode, kernel }: Facts): Finding[] => [
  isRoot
    ? ok('root', 'runs as root')
    : notice('root', 'not run as root: some things cannot be looked at', 'Run it with sudo.'),
  ok('kernel', `Linux ${kernel}`),
  tun === 'usable'
    ? ok('tun', '/dev/net/tun can be opened')
    : fault(
        'tun',
        tun === 'missing' ? '/dev/net/tun is missing' : '/dev/net/tun may not be opened',
        tun === 'missing'
          ? 'Load the module (modprobe tun), or give the container the device.'
          : 'Run as root, in a privileged container, or with CAP_NET_ADMIN.',
      ),
  ...(keyMode === null || /^[0-6]00$/.test(keyMode)
    ? []
    : [
        fault(
          'key',
          `the node's key can be read by others (mode ${keyMode})`,
          'chmod 600 /var/lib/kilo/key, and make a new key if others may have read it.',
        ),
      ]),
];

const modules = ({ modules: { ipip, wireguard }, links }: Facts): Finding[] => {
  const findings: Finding[] = [];
  if (ipip === 'missing')
    findings.push(
      notice(
        'ipip',
        'this kernel has no IPIP',
        'Locations of several nodes need it unless agents run with --encapsulate=never (one subnet), or crosssubnet where all are in one.',
      ),
    );
  else if (ipip === 'unknown' && !links.some(({ name }) => name === 'tunl0'))
    findings.push(ok('ipip', 'the modules of this kernel cannot be seen from here'));
  else findings.push(ok('ipip', 'IPIP is there'));
  const words = {
    present: 'the kernel has WireGuard too',
    loadable: 'the kernel can load WireGuard too',
    missing: 'the kernel has no WireGuard, and needs none',
    unknown: 'the kernel needs no WireGuard',
  };
  return [...findings, ok('wireguard', words[wireguard])];
};

const forwarding = ({ sysctls }: Facts): Finding[] => {
  const findings: Finding[] = [];
  if (sysctls['net.ipv4.ip_forward'] === '0')
    findings.push(
      fault(
        'ip_forward',
        'net.ipv4.ip_forward is 0: packets of pods end here',
        'sysctl -w net.ipv4.ip_forward=1, and write it into /etc/sysctl.d.',
      ),
    );
  else findings.push(ok('ip_forward', 'IPv4 is forwarded'));
  if (sysctls['net.ipv6.conf.all.forwarding'] === '0')
    findings.push(
      notice(
        'ip_forward6',
        'net.ipv6.conf.all.forwarding is 0: pods with IPv6 would be cut off',
        'Only for dual stack: sysctl -w net.ipv6.conf.all.forwarding=1.',
      ),
    );
  return findings;
};

/** The kernel takes the larger of `all` and the link's own (ip-sysctl.rst). */
const reversePath = ({ sysctls, interfaceName, defaultLink }: Facts): Finding[] => {
  const all = Number(sysctls['net.ipv4.conf.all.rp_filter'] ?? 0);
  const strict = [interfaceName, 'tunl0', defaultLink ?? '']
    .filter((name) => sysctls[`net.ipv4.conf.${name}.rp_filter`] !== undefined)
    .filter((name) => Math.max(all, Number(sysctls[`net.ipv4.conf.${name}.rp_filter`])) === 1);
  if (strict.length === 0) return [ok('rp_filter', 'no strict reverse path filter')];
  return [
    notice(
      'rp_filter',
      `the reverse path filter is strict on ${strict.join(', ')}: packets that come by another way than answers would go are dropped`,
      'Make it loose: sysctl -w net.ipv4.conf.all.rp_filter=2.',
    ),
  ];
};

/** IPv4, UDP and WireGuard's headers; the agent allows for IPv6 (80). */
const LEAST_OVERHEAD = 60;

const mtu = ({ links, interfaceName, defaultLink }: Facts): Finding[] => {
  const outer = links.find(({ name }) => name === defaultLink);
  if (outer === undefined)
    return [
      fault('mtu', 'there is no default route', 'The agent needs one to find its addresses and its MTU.'),
    ];
  const mesh = links.find(({ name }) => name === interfaceName);
  if (mesh === undefined)
    return [
      ok('mtu', `${outer.name} carries ${outer.mtu} bytes, so ${interfaceName} will ${outer.mtu - 80}`),
    ];
  if (mesh.mtu > outer.mtu - LEAST_OVERHEAD)
    return [
      fault(
        'mtu',
        `${mesh.name} promises ${mesh.mtu} bytes, but ${outer.name} carries ${outer.mtu}: large packets will hang`,
        `Run the agent with --mtu=auto, or ${outer.mtu - 80}.`,
      ),
    ];
  const bridge = links.find(({ name }) => name === 'kube-bridge');
  if (bridge !== undefined && bridge.mtu > mesh.mtu)
    return [
      notice(
        'mtu',
        `pods send ${bridge.mtu} bytes, ${mesh.name} carries ${mesh.mtu}: they depend on ICMP "fragmentation needed"`,
        `Set "mtu": ${mesh.mtu} in the CNI configuration, for pods made from then on.`,
      ),
    ];
  return [ok('mtu', `${mesh.name} carries ${mesh.mtu} of ${outer.name}'s ${outer.mtu} bytes`)];
};

const ports = ({ udpPorts, tcpPorts, ports: wanted, device: state, agentFaults }: Facts): Finding[] => {
  const findings: Finding[] = [];
  if (udpPorts.has(wanted.wireguard) && state === 'none')
    findings.push(
      fault(
        'udp port',
        `UDP port ${wanted.wireguard} is taken, and not by the mesh`,
        'End what uses it (ss -lunp), or choose another in kilo.squat.ai/force-endpoint of this Node: its port is listened on.',
      ),
    );
  else
    findings.push(
      ok(
        'udp port',
        `UDP port ${wanted.wireguard} is ${udpPorts.has(wanted.wireguard) ? "the mesh's" : 'free'}`,
      ),
    );
  if (tcpPorts.has(wanted.agent) && agentFaults === null)
    findings.push(
      fault(
        'agent port',
        `TCP port ${wanted.agent} is taken, and not by an agent`,
        'End what uses it (ss -ltnp), or give the agent another with --listen.',
      ),
    );
  return findings;
};

const packetFilter = ({ iptables, interfaceName, ports: { wireguard } }: Facts): Finding[] => {
  const { version, legacyTables, inputPolicy, forwardPolicy } = iptables;
  if (version === null)
    return [
      fault('iptables', 'iptables is not installed', 'Install it: the agent writes its rules with it.'),
    ];
  const findings: Finding[] = [ok('iptables', version)];
  if (version.includes('nf_tables') && legacyTables.length > 0)
    findings.push(
      notice(
        'iptables',
        `rules are in two places: nftables, and the older tables ${legacyTables.join(', ')}`,
        'Both are applied. If they contradict each other, let all programs use one (update-alternatives --config iptables).',
      ),
    );
  if (inputPolicy === 'DROP' && !iptables.acceptsWireguard)
    findings.push(
      notice(
        'firewall',
        `INPUT drops by default, and no rule names UDP port ${wireguard}`,
        `Others must reach it: iptables -A INPUT -p udp --dport ${wireguard} -j ACCEPT, and protocol 4 (IPIP) from nodes of this location.`,
      ),
    );
  if (forwardPolicy === 'DROP' && !iptables.acceptsForward)
    findings.push(
      fault(
        'firewall',
        'FORWARD drops by default, and no rule lets pods pass (Docker sets it so)',
        `Run the agent with --iptables-forward-rules, or accept what comes from ${interfaceName} and kube-bridge.`,
      ),
    );
  return findings;
};

const FOREIGN_LINKS =
  /^(?:flannel\.\d+|flannel-wg|cni0|cilium_host|cilium_vxlan|vxlan\.calico|cali\w+|weave)$/;

const networkPlugins = ({ cni, links }: Facts): Finding[] => {
  const own = cni.conflists.find(({ types }) =>
    types.some((type) => type === 'kilowire' || type === 'bridge'),
  );
  const [first] = cni.conflists;
  const findings: Finding[] = [];
  if (first === undefined)
    findings.push(
      notice(
        'cni',
        `${cni.folder} has no configuration: pods wait for one`,
        'kilowire cni install, or another network plugin with --cni=false.',
      ),
    );
  else if (own !== undefined && own !== first)
    findings.push(
      fault(
        'cni',
        `the runtime takes ${first.file} (${first.types.join(', ')}), which sorts before ${own.file}`,
        `Move one of the two out of ${cni.folder}; pods made meanwhile have the other network.`,
      ),
    );
  else
    findings.push(ok('cni', `the runtime takes ${first.file} (${first.types.join(', ') || 'unreadable'})`));
  const foreign = links.filter(({ name }) => FOREIGN_LINKS.test(name)).map(({ name }) => name);
  if (foreign.length > 0 && own !== undefined && own === first)
    findings.push(
      notice(
        'cni',
        `links of another network plugin are here: ${foreign.slice(0, 5).join(', ')}`,
        'Nothing when agents run with --compatibility; else take that plugin away and reboot, or delete the links.',
      ),
    );
  return findings;
};

const device = ({ device: state, interfaceName, agentFaults }: Facts): Finding[] => {
  const findings: Finding[] = [];
  if (state === 'answers') findings.push(ok('device', `${interfaceName} answers`));
  else if (state === 'silent')
    findings.push(
      fault(
        'device',
        `nobody answers for ${interfaceName}`,
        `See /var/lib/kilo/${interfaceName}.log; ip link delete ${interfaceName} lets the agent start it anew.`,
      ),
    );
  if (agentFaults === null)
    findings.push(
      notice('agent', 'no agent answers on this host', 'Start it, or see its log for why it ended.'),
    );
  else if (agentFaults.length === 0) findings.push(ok('agent', 'the agent finds nothing wrong'));
  else
    for (const what of agentFaults)
      findings.push(fault('agent', what, 'The agent says so; kilowire status tells more.'));
  return findings;
};
