/**
 * Everything the kernel exports.
 * @module
 */
export { heapBase, open, seal, selectCipher } from './cipher';
export { hash, hmac, mac, macBegin, macHolds } from './blake2s';
export { sealCookie } from './cookie';
export { openField, sealField } from './field';
export { authenticate } from './poly1305';
export { wipe } from './work';
export { checksum } from './checksum';
export { groAdd, groBegin, groFinish, groLengths, innerLength } from './coalesce';
export { cutSegment, plan, planAddress, sealEmpty, sealPacket, sealPlanned } from './segment';
