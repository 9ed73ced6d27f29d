import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

// A fresh clone knows no durations and would begin with the largest files. What takes longest comes first, so
// that at the end nobody waits for one file alone.
const LONGEST: readonly string[] = [
  ...'every-kind failures montage install-agent other-frames other-pictures archive'.split(' '),
  ...'torture bad-input demo standby examples cut-off explain service render'.split(' '),
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification): number => {
      const rank = LONGEST.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return rank < 0 ? LONGEST.length : rank;
    };
    return (await super.sort(files)).toSorted((a, b) => rankOf(a) - rankOf(b));
  }
}

// Four projects, by what they need (DESIGN.md §9). No retries anywhere: a flaky test is a bug. The files of a
// worker share what they import: loading it anew for each file took a third of the time of unit tests.
// vitest transforms the TypeScript itself; e2e starts real processes from dist/, so `npm test` builds
// first.
export default defineConfig({
  test: {
    retry: 0,
    // A test that hangs on a socket or a child must fail by name, not stall the run.
    teardownTimeout: 10_000,
    passWithNoTests: false,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          environment: 'node',
          isolate: false,
          pool: 'threads',
          // vitest's default would be one on a machine of two cores; some of them wait.
          maxWorkers: 3,
          testTimeout: 10_000,
        },
      },
      {
        test: {
          name: 'sim',
          include: ['test/sim/**/*.test.ts'],
          environment: 'node',
          isolate: false,
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
          isolate: false,
          // Processes: what one of them does to its own (signals, memory) must not reach the other.
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
          isolate: false,
          pool: 'forks',
          // Three farms at a time: some of their tests wait, and what they promise in seconds has to hold on a
          // busy machine. With three, two cores have hardly a moment left.
          maxWorkers: 3,
          testTimeout: 180_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
