/**
 * A process that begins to take an interface over and goes wrong at the place it is told to:
 *
 *     node takeover-impostor.ts PATH  greeting | hello | ready | state | prepared | commit | stuck | late | garbage
 *
 * It prints where it stands, and ends by SIGKILL, as a crash would.
 * @module
 */

import { MAGIC, TAKEOVER_VERSION } from '../../src/device/takeover.ts';
import { TakeoverChannel } from '../../src/device/takeover-channel.ts';
import { connectSeqpacket, sendMessage, unixAddress } from '../../src/linux/unix-socket.ts';
import { StateReader, StateWriter } from '../../src/noise/state-bytes.ts';

const [path = '', place = ''] = process.argv.slice(2);
const address = unixAddress(path);
if (address === undefined) throw new Error('The path is too long.');
const PATIENCE = 20_000;

function stand(here: string): void {
  process.stdout.write(`${here}\n`);
  if (here === place) process.kill(process.pid, 'SIGKILL');
}

const fd = connectSeqpacket(address);
const channel = new TakeoverChannel(fd);
stand('greeting');
if (place === 'garbage') {
  const junk = new Uint8Array(4000).map((_, i) => (i * 7919) >> 3);
  sendMessage(fd, junk);
}
const hello = new StateWriter();
hello.raw(MAGIC);
hello.u32(TAKEOVER_VERSION);
await channel.send('hello', PATIENCE, hello.bytes);
stand('hello');
await channel.receive(['offer'], PATIENCE);
if (place === 'garbage-later') await channel.send('prepared', PATIENCE, new Uint8Array(100));
await channel.send('ready', PATIENCE);
stand('ready');
let first = await channel.receive(['state', 'clients'], PATIENCE);
while (first.kind === 'clients') first = await channel.receive(['state', 'clients'], PATIENCE);
const length = new StateReader(first.body).u32();
stand('state');
for (let at = 0; at < length; ) at += (await channel.receive(['state'], PATIENCE)).body.length;
if (place === 'garbage-late') await channel.send('running', PATIENCE);
await channel.send('prepared', PATIENCE);
stand('prepared');
await channel.receive(['commit'], PATIENCE);
stand('commit');
// Alive, and silent: it may be doing anything.
if (place === 'stuck') setInterval(() => undefined, 1000);
else {
  channel.close();
  setInterval(() => undefined, 1000);
}
