import { defineConfig } from 'vitest/config';

// Four projects, by what they need (DESIGN.md §9). No retries anywhere: a flaky test is a bug.
// vitest transforms the TypeScript itself; e2e starts real processes from dist/, so `npm test` builds
// first.
export default defineConfig({
  test: {
    retry: 0,
    // A test that hangs on a socket or a child must fail by name, not stall the run.
    teardownTimeout: 10_000,
    passWithNoTests: false,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          environment: 'node',
          pool: 'threads',
          // vitest's default would be one on a machine of two cores.
          maxWorkers: 2,
          testTimeout: 10_000,
        },
      },
      {
        test: {
          name: 'sim',
          include: ['test/sim/**/*.test.ts'],
          environment: 'node',
          pool: 'threads',
          // Nothing but computing: one file a core.
          maxWorkers: 2,
          sequence: { groupOrder: 3 },
          // Seeds by the hundred in one test; the work is bounded by count, not by time.
          testTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          environment: 'node',
          // Processes: a test may start a nats-server and must not share its globals.
          pool: 'forks',
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          environment: 'node',
          pool: 'forks',
          // Three farms at a time: their tests wait more than they compute, and what they promise in seconds
          // has to hold on a busy machine.
          maxWorkers: 3,
          testTimeout: 180_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
