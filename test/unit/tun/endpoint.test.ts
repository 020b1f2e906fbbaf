import { describe, expect, it } from 'vitest';
import { ENDPOINT_LENGTH, ENDPOINT_SIZE, readEndpoint, writeEndpoint } from '../../../src/tun/endpoint.ts';

describe('endpoint records', () => {
  it('hold a sockaddr_in as the kernel has it: family, port and address in network order', () => {
    const table = new Uint8Array(2 * ENDPOINT_SIZE).fill(0xee);
    writeEndpoint(table, ENDPOINT_SIZE, { address: Uint8Array.of(192, 0, 2, 1), port: 51820, scope: 0 });
    // netinet/in.h struct sockaddr_in: AF_INET = 2, 51820 = 0xca6c.
    expect([...table.subarray(ENDPOINT_SIZE, ENDPOINT_SIZE + 16)]).toEqual([
      2, 0, 0xca, 0x6c, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    expect(table[ENDPOINT_SIZE + ENDPOINT_LENGTH]).toBe(16);
    expect(table[ENDPOINT_SIZE - 1], 'the record before is not touched').toBe(0xee);
  });

  it('hold a sockaddr_in6 with its scope in host order', () => {
    const table = new Uint8Array(ENDPOINT_SIZE);
    const address = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    writeEndpoint(table, 0, { address, port: 1, scope: 0x01020304 });
    // struct sockaddr_in6: AF_INET6 = 10, port, flow, address, scope.
    expect([...table.subarray(0, 4)]).toEqual([10, 0, 0, 1]);
    expect([...table.subarray(8, 24)]).toEqual([...address]);
    expect([...table.subarray(24, 28)]).toEqual([4, 3, 2, 1]);
    expect(readEndpoint(table, 0)).toEqual({ address, port: 1, scope: 0x01020304 });
  });

  it('an empty record is no endpoint', () => {
    expect(readEndpoint(new Uint8Array(ENDPOINT_SIZE), 0)).toBeUndefined();
  });
});
