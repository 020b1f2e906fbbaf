// A WireGuard interface run from code. Needs root, or the capability NET_ADMIN.
import { randomBytes } from 'node:crypto';
import { Device } from 'kilowire/device';
import {
  cidr,
  formatBase64Key,
  formatEndpoint,
  noblePrimitives,
  parseBase64Key,
  parseEndpoint,
} from 'kilowire/noise';

const [name = 'wg0', address = '10.0.0.1/24', peerKey, peerEndpoint] = process.argv.slice(2);

const { privateKey, publicKey } = noblePrimitives((length) => randomBytes(length)).generateKeypair();
const peer = peerKey === undefined ? null : parseBase64Key(peerKey);
const endpoint = peerEndpoint === undefined ? null : parseEndpoint(peerEndpoint);

const device = await Device.start({
  name,
  addresses: [cidr(address)],
  config: { privateKey, listenPort: 51820, peers: [] },
});
const short = (key: Uint8Array): string => `${formatBase64Key(key).slice(0, 8)}…`;
device.on('handshake', ({ publicKey: key, role }) => console.log('handshake with', short(key), 'as', role));
device.on('rekey', ({ publicKey: key }) => console.log('new keys with', short(key)));
device.on('roam', ({ publicKey: key, endpoint: at }) => console.log(short(key), 'is at', formatEndpoint(at)));
device.on('drop', ({ reason, count }) => console.log('dropped:', count, reason));
device.on('gone', (error) => {
  console.log(`${device.name} is gone`, error?.message ?? '');
  void device.close();
});
console.log(device.name, 'is up, public key', formatBase64Key(publicKey));

// What is named changes, the rest stays: here a peer is added.
if (peer !== null) {
  await device.apply({
    peers: [
      { publicKey: peer, allowedIps: [cidr('10.0.0.2/32')], ...(endpoint === null ? {} : { endpoint }) },
    ],
  });
}

process.on('SIGTERM', async () => {
  for (const { publicKey: key, txBytes, rxBytes } of (await device.status()).peers) {
    console.log(short(key), 'sent', txBytes, 'received', rxBytes);
  }
  // Wipes the keys and deletes the interface.
  await device.close();
});
