import { defineConfig } from 'vitest/config';

const long = ['test/netns/**/*.long.test.ts'];
const runtime = ['test/netns/cni-runtime-*.test.ts'];
const kubernetes = ['test/netns/cni-kubelet*.test.ts', 'test/netns/kubernetes-*.test.ts'];

/** Packets need the processors: one file at a time. */
const alone = { fileParallelism: false, maxConcurrency: 16 };
/** A test that fails is given another chance on a machine with neighbours; what is wrong fails again. */
const retried = { ...alone, retry: 2 };

// The projects run one after the other, by groupOrder: nothing is compiled beside packets either.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/repo/**/*.test.ts'],
          testTimeout: 30_000,
          setupFiles: ['test/setup-properties.ts'],
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          exclude: [...long, ...runtime, ...kubernetes],
          sequence: { groupOrder: 2 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
          ...retried,
        },
      },
      {
        // Container runtimes. What is not built yet is built as each file begins.
        test: {
          name: 'runtime',
          include: runtime,
          exclude: long,
          setupFiles: ['test/setup-time-limit.ts'],
          sequence: { groupOrder: 3 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
          ...retried,
        },
      },
      {
        // A real Kubernetes, likewise.
        test: {
          name: 'kubernetes',
          include: kubernetes,
          exclude: long,
          setupFiles: ['test/setup-time-limit.ts'],
          sequence: { groupOrder: 4 },
          testTimeout: 300_000,
          hookTimeout: 300_000,
          ...retried,
        },
      },
      {
        // Minutes each; `npm test` leaves them out, `npm run test:long` runs them.
        test: {
          name: 'long',
          include: long,
          setupFiles: ['test/setup-time-limit.ts'],
          sequence: { groupOrder: 5 },
          testTimeout: 600_000,
          hookTimeout: 600_000,
          ...alone,
        },
      },
    ],
  },
});
