/**
 * Which cipher the environment asks for: KILOWIRE_CRYPTO=noble, KILOWIRE_SIMD=128.
 * @module
 */
import { DeviceError } from './device-error.ts';

export interface CryptoChoice {
  readonly crypto: 'wasm' | 'noble';
  readonly simd: 128 | 256;
}

/** Whoever asks for a cipher must not get another by a slip of the pen: throws DeviceError. */
export function cryptoChoice({ KILOWIRE_CRYPTO, KILOWIRE_SIMD }: NodeJS.ProcessEnv): CryptoChoice {
  const crypto = KILOWIRE_CRYPTO || 'wasm';
  const simd = KILOWIRE_SIMD || '256';
  if (crypto !== 'wasm' && crypto !== 'noble') throw fault('KILOWIRE_CRYPTO', crypto, 'wasm or noble');
  if (simd !== '128' && simd !== '256') throw fault('KILOWIRE_SIMD', simd, '128 or 256');
  return { crypto, simd: simd === '128' ? 128 : 256 };
}

const fault = (name: string, value: string, wanted: string): DeviceError =>
  new DeviceError('ERR_DEVICE_USAGE', `${name} is '${value}'; it must be ${wanted}, or not set.`);
