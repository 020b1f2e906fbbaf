/**
 * The long tests by subject, each of less than half an hour. CONTRIBUTING.md says what they are; a test holds both
 * against what is there.
 * @module
 */

/** Subject → names in test/netns, without `.long.test.ts`. */
export const longTests: Readonly<Record<string, readonly string[]>> = {
  device: ['wireguard-go-netns', 'device-matrix', 'device-takeover', 'kernel-interop'],
  cni: ['cni-differential', 'cni-trials', 'cni-vlan'],
  mesh: ['agent-foreign-device', 'agent-stacks', 'kernel-host', 'mesh-file', 'mixed-kilo', 'relay'],
  outage: ['agent-outage', 'lab-calm', 'leader-failover'],
  install: [
    'client-go',
    'documents',
    'helm-chart',
    'migrating-from-flannel',
    'migrating-from-kilo',
    'promtool',
    'release',
    'single-file',
    'tutorial',
    'ui',
  ],
};
