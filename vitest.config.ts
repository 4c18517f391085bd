/** Tests in three projects: `unit` in virtual time, `fuzz` (hostile frames), `netns` (real TAPs in network namespaces, one at a time). */
import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

const NETNS = 'test/netns/**/*.test.ts';
const FUZZ = 'test/fuzz/**/*.test.ts';

/** The package's own names, for code that is written as its users would write it. */
const alias = {
  'netmod/kit': resolve(import.meta.dirname, 'src/stacks/kit.ts'),
  'netmod/client': resolve(import.meta.dirname, 'src/client/client.ts'),
  'netmod/sim': resolve(import.meta.dirname, 'src/sim/index.ts'),
  'netmod/tools': resolve(import.meta.dirname, 'src/tools/index.ts'),
  netmod: resolve(import.meta.dirname, 'src/index.ts'),
};

export default defineConfig({
  test: {
    projects: [
      {
        resolve: { alias },
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [NETNS, FUZZ],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      { resolve: { alias }, test: { name: 'fuzz', include: [FUZZ], testTimeout: 300_000, hookTimeout: 60_000 } },
      {
        test: {
          name: 'netns',
          include: [NETNS],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
