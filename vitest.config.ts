import { defineConfig } from 'vitest/config';

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
          exclude: ['test/netns/**/*.long.test.ts'],
          // After the unit tests, not beside them: packets need the processors. A test that fails is given another
          // chance on a machine with neighbours; what is wrong fails again.
          sequence: { groupOrder: 2 },
          retry: 2,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          maxConcurrency: 16,
        },
      },
      {
        // Minutes each; `npm test` leaves them out, `npm run test:long` runs them.
        test: {
          name: 'long',
          include: ['test/netns/**/*.long.test.ts'],
          sequence: { groupOrder: 3 },
          testTimeout: 600_000,
          hookTimeout: 600_000,
          fileParallelism: false,
          maxConcurrency: 16,
        },
      },
    ],
  },
});
