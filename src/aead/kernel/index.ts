/**
 * Everything the kernel exports.
 * @module
 */
export { heapBase, open, seal, selectCipher } from './cipher';
