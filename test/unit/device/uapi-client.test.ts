/**
 * Reading an interface over its control socket: ours, another implementation's, and what goes wrong.
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { InterfaceReader } from '../../../src/device/uapi-client.ts';

let folder = '';
let server: Server | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kilowire-uapi-'));
});

afterEach(() => {
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A control socket that answers a question as told; undefined: it hangs up. */
async function serve(answer: (question: string, client: Socket) => string | undefined): Promise<string> {
  const path = join(folder, 'wg0.sock');
  server = createServer((client) => {
    client.on('error', () => undefined);
    client.on('data', (question) => {
      const text = answer(String(question), client);
      if (text === undefined) client.destroy();
      else client.write(text);
    });
  });
  await new Promise<void>((resolve) => server?.listen(path, resolve));
  return path;
}

test('ours tells its metrics', async () => {
  const asked: string[] = [];
  const path = await serve((question) => {
    asked.push(question);
    return 'listen_port=7\nkilowire_mtu=1420\nerrno=0\n\n';
  });
  expect(await new InterfaceReader(path).read()).toEqual({
    status: { listenPort: 7, peers: [] },
    metrics: { mtu: 1420 },
  });
  expect(asked).toEqual(['kilowire_get=1\n\n']);
});

test('one that hangs up on the question it does not know is asked the one it knows, and never that again', async () => {
  const asked: string[] = [];
  const path = await serve((question) => {
    asked.push(question);
    return question === 'get=1\n\n' ? 'listen_port=8\nerrno=0\n\n' : undefined;
  });
  const reader = new InterfaceReader(path);
  for (let i = 0; i < 2; i += 1) {
    expect(await reader.read()).toEqual({ status: { listenPort: 8, peers: [] }, metrics: {} });
  }
  expect(asked).toEqual(['kilowire_get=1\n\n', 'get=1\n\n', 'get=1\n\n']);
});

test('an answer may come in pieces, cut anywhere', async () => {
  const path = await serve((_, client) => {
    client.write('listen_port=9\nerrno=0\n');
    setTimeout(() => client.write('\n'), 20);
    return '';
  });
  expect((await new InterfaceReader(path).read()).status.listenPort).toBe(9);
});

test('when nobody is there it says what to do', async () => {
  await expect(new InterfaceReader(join(folder, 'none.sock')).read()).rejects.toMatchObject({
    code: 'ERR_DEVICE_SOCKET',
    message: expect.stringMatching(/no program serves that interface; start it with kilowire device/),
  });
});

test('one that says nothing but hangs up is no WireGuard socket', async () => {
  const path = await serve(() => undefined);
  await expect(new InterfaceReader(path).read()).rejects.toMatchObject({ code: 'ERR_DEVICE_SOCKET' });
});

test('an errno is passed on', async () => {
  const path = await serve(() => 'errno=1\n\n');
  await expect(new InterfaceReader(path).read()).rejects.toThrow(/errno 1/);
});
