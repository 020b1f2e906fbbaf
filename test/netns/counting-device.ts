/**
 * A device as kilowire-wg runs it, that also leaves its drop counters in the file DROPS whenever they move.
 * Arguments: -f LINK.
 * @module
 */
import { renameSync, writeFileSync } from 'node:fs';
import { Device } from '../../src/device/library.ts';

const file = process.env.DROPS ?? '';
const device = await Device.start({ name: process.argv[3] ?? '', up: false });
const write = async (): Promise<void> => {
  // Renamed, so that nobody reads half of it.
  writeFileSync(`${file}.new`, JSON.stringify(await device.drops()));
  renameSync(`${file}.new`, file);
};
await write();
const timer = setInterval(() => void write(), 100);
const leave = async (): Promise<void> => {
  clearInterval(timer);
  await device.close();
};
device.on('gone', () => void leave());
process.once('SIGTERM', () => void leave());
