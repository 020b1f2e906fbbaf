/**
 * A control socket that cannot be served.
 */
import { expect, test } from 'vitest';
import type { Device } from '../../../src/device/device.ts';
import { UapiServer } from '../../../src/device/uapi-server.ts';

test('says so at once, with a code and a reason', () => {
  const make = () => new UapiServer({} as Device, -1, () => undefined);
  expect(make).toThrow(
    expect.objectContaining({
      code: 'ERR_DEVICE_SOCKET',
      message: 'The control socket cannot be served: bad file descriptor (EBADF).',
    }),
  );
});
