/**
 * Messages about VLANs of bridge ports, as iproute2 6.1 sends them (`strace -e write=all bridge vlan add …`): the
 * machines this runs on may have a kernel without VLAN filtering.
 * @module
 */
import { expect, test } from 'vitest';
import { addPortVlans } from '../../../src/linux/bridge-vlan.ts';
import { MessageWriter } from '../../../src/linux/netlink-message.ts';

const bodyOf = (...vlans: Parameters<typeof addPortVlans>[1]): string => {
  const writer = new MessageWriter();
  addPortVlans(3, vlans).body(writer);
  return Buffer.from(writer.bytes).toString('hex');
};

test('bridge vlan add dev p0 vid 100 pvid untagged', () => {
  expect(bodyOf({ first: 100, last: 100, native: true })).toBe(
    '07000000030000000000000000000000' + '0c001a000800020006006400',
  );
});

test('bridge vlan add dev p0 vid 200-203', () => {
  expect(bodyOf({ first: 200, last: 203, native: false })).toBe(
    '07000000030000000000000000000000' + '14001a00080002000800c800080002001000cb00',
  );
});
