// Reads a wg-quick configuration file, changes it, writes it back. Keys stay bytes; print public ones only.
import { readFileSync } from 'node:fs';
import { ConfError, cidr, formatBase64Key, formatCidr, formatConf, parseConf } from 'kilowire/noise';

const path = process.argv[2] ?? new URL('./wg0.conf', import.meta.url);

try {
  const { device, quick } = parseConf(readFileSync(path, 'utf8'));
  console.log('addresses:', quick.addresses.map(formatCidr).join(', '));
  for (const peer of device.peers) {
    const { endpointName } = peer;
    console.log('peer:', formatBase64Key(peer.publicKey));
    console.log('  may use:', peer.allowedIps.map(formatCidr).join(', '));
    // A name is kept as it is: whoever uses the file resolves it.
    if (endpointName !== undefined) console.log('  resolve:', endpointName.host, endpointName.port);
  }
  const wider = {
    ...device,
    peers: device.peers.map((peer) => ({ ...peer, allowedIps: [...peer.allowedIps, cidr('fd00:2::/64')] })),
  };
  // The text holds the private key: write it with mode 0600. Here only the lines that changed are shown.
  const lines = formatConf(wider, quick).split('\n');
  console.log(lines.filter((line) => line.startsWith('AllowedIPs')).join('\n'));
} catch (error) {
  // The message names the line and the setting, never the value of a secret.
  if (!(error instanceof ConfError)) throw error;
  console.error(`${path}: ${error.message}`);
  process.exitCode = 1;
}
