/** Loading the kernel: which backend runs, what it falls back to, and what it says when it cannot. */
import { describe, expect, it } from 'vitest';
import { KernelError, loadKernel } from '../../../src/aead/kernel.ts';
import { SELF_TEST_BYTES, selfTest } from '../../../src/aead/self-test.ts';

const memoryOf = (pages: number) => new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });

describe('loading the kernel', () => {
  it('takes 128 bit and noble when asked to', () => {
    expect(loadKernel(memoryOf(2), { crypto: 'wasm', simd: 128 })).toMatchObject({
      backend: 'wasm-128',
      refused: [],
    });
    expect(loadKernel(memoryOf(2), { crypto: 'noble', simd: 256 })).toMatchObject({
      backend: 'noble',
      refused: [],
    });
  });

  it('takes 256 bit where the processor has it, and says why it does not', () => {
    const { backend, refused } = loadKernel(memoryOf(2), { crypto: 'wasm', simd: 256 });
    if (backend === 'wasm-256') expect(refused).toEqual([]);
    else expect(refused).toEqual(['wasm-256: this processor has no AVX2']);
  });

  it('falls back step by step when the self-test fails, and keeps the reasons', () => {
    const fails = (count: number) => {
      let calls = 0;
      return () => (calls++ < count ? 'seal of 64 bytes differs from noble' : null);
    };
    const first = loadKernel(memoryOf(2), { crypto: 'wasm', simd: 128 }, fails(1));
    expect(first.backend).toBe('noble');
    expect(first.refused).toEqual(['wasm-128: seal of 64 bytes differs from noble']);
    const wide = loadKernel(memoryOf(2), { crypto: 'wasm', simd: 256 }, fails(1));
    expect(['wasm-128', 'noble']).toContain(wide.backend);
    expect(() => loadKernel(memoryOf(2), { crypto: 'wasm', simd: 256 }, fails(3))).toThrow(
      expect.objectContaining({
        code: 'ERR_KERNEL_WRONG',
        message: expect.stringContaining('seal of 64 bytes'),
      }),
    );
  });

  it('refuses a memory that is not shared or too small', () => {
    const options = { crypto: 'wasm', simd: 128 } as const;
    const plain = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: false });
    for (const memory of [plain, memoryOf(1)]) {
      expect(() => loadKernel(memory, options)).toThrow(KernelError);
      expect(() => loadKernel(memory, options)).toThrow(
        expect.objectContaining({ code: 'ERR_KERNEL_MEMORY' }),
      );
    }
  });

  it('writes to nothing but its own pages and the space of its test', () => {
    const memory = memoryOf(4);
    const bytes = new Uint8Array(memory.buffer);
    bytes.fill(0x77);
    const kernel = loadKernel(memory, { crypto: 'wasm', simd: 256 });
    const end = kernel.heapBase() + SELF_TEST_BYTES;
    expect(kernel.heapBase() % 65_536).toBe(0);
    expect(bytes.subarray(kernel.heapBase(), end).every((byte) => byte === 0)).toBe(true);
    expect(bytes.subarray(end).every((byte) => byte === 0x77)).toBe(true);
  });
});

describe('the self-test', () => {
  const memory = memoryOf(2);
  const kernel = loadKernel(memory, { crypto: 'wasm', simd: 128 });
  const bytes = new Uint8Array(memory.buffer);
  const run = (changed: object) => selfTest({ ...kernel, ...changed }, memory, kernel.heapBase());

  it('sees one wrong bit of ciphertext or tag at a single length', () => {
    for (const wrong of [16, 1424])
      for (const at of [0, wrong - 1, wrong, wrong + 15])
        expect(
          run({
            seal(...[key, lo, hi, src, dst, len]: Parameters<typeof kernel.seal>) {
              kernel.seal(key, lo, hi, src, dst, len);
              if (len === wrong) bytes[dst + at]! ^= 1;
            },
          }),
        ).toBe(`seal of ${wrong} bytes differs from noble`);
  });

  it('sees an open that takes any tag, one that takes none, and one that decrypts wrongly', () => {
    const opening = (change: (dst: number, len: number, result: 0 | -1) => 0 | -1) => ({
      open(...[key, lo, hi, src, dst, len]: Parameters<typeof kernel.open>) {
        return change(dst, len, kernel.open(key, lo, hi, src, dst, len));
      },
    });
    expect(run(opening(() => 0))).toBe('open of 0 bytes takes a wrong tag');
    expect(run(opening(() => -1))).toBe('open of 0 bytes refuses a good tag');
    expect(
      run(
        opening((dst, len, result) => {
          if (len === 1420) bytes[dst + 1419]! ^= 0x40;
          return result;
        }),
      ),
    ).toBe('open of 1420 bytes differs from noble');
  });
});
