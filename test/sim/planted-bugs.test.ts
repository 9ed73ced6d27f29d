/**
 * The simulator bites: bugs that others have shipped, planted one by one into the real code by taking
 * the place of one module. Each is found within the stated number of seeds, by the right check; the
 * same seeds find nothing in the code as it is.
 */
import { afterEach, describe, expect, test, vi } from 'vitest';
import type * as barrierModule from '../../coordinator/domain/barrier.ts';
import type * as demandModule from '../../coordinator/domain/demand.ts';
import type * as fenceModule from '../../coordinator/domain/fence.ts';
import type * as grantModule from '../../coordinator/domain/decide-grant.ts';
import type * as livenessModule from '../../coordinator/domain/liveness.ts';
import type { Violation } from './witness.ts';

interface PlantedBug {
  readonly name: string;
  readonly plant: () => void;
  /** What the witness says of it. */
  readonly found: RegExp;
  readonly withinSeeds: number;
}

const STEPS = 4_000;

const BUGS: readonly PlantedBug[] = [
  {
    name: 'a result is accepted without a look at its token',
    plant: () =>
      vi.doMock('../../coordinator/domain/fence.ts', async (original) => ({
        ...(await original<typeof fenceModule>()),
        isTokenCurrent: () => true,
      })),
    // Or what it does to the farm: the unit is closed, and its current lease is not.
    found: /^(stale-accepted|farm-inconsistent: .* in state 2 with a lease)/,
    withinSeeds: 6,
  },
  {
    name: 'the end of a lease does not give back what it booked',
    plant: () =>
      vi.doMock('../../coordinator/domain/demand.ts', async (original) => ({
        ...(await original<typeof demandModule>()),
        unbook: () => {},
      })),
    found: /^farm-inconsistent: agent .* books/,
    withinSeeds: 2,
  },
  {
    name: 'answers are said before their commit',
    plant: () =>
      vi.doMock('../../coordinator/domain/barrier.ts', async (original) => ({
        ...(await original<typeof barrierModule>()),
        commitToAwait: () => 'none',
      })),
    found: /^said-before-commit/,
    withinSeeds: 2,
  },
  {
    name: 'leases expire right after a takeover',
    plant: () =>
      vi.doMock('../../coordinator/domain/liveness.ts', async (original) => ({
        ...(await original<typeof livenessModule>()),
        beginTakeoverGrace: () => {},
      })),
    found: /^expired-in-grace/,
    withinSeeds: 4,
  },
  {
    name: 'a grant without an answer is taken for free',
    plant: () =>
      vi.doMock('../../coordinator/domain/decide-grant.ts', async (original) => {
        const real = await original<typeof grantModule>();
        const decideGrantAnswer: typeof real.decideGrantAnswer = (farm, command, now) => {
          const isUnknown = command.answer.state === 'unknown';
          const taken = isUnknown
            ? { ...command, answer: { state: 'no-responders' } as const }
            : command;
          return real.decideGrantAnswer(farm, taken, now);
        };
        return { ...real, decideGrantAnswer };
      }),
    found: /^(freed-while-held|overbooked)/,
    withinSeeds: 10,
  },
];

/** The first violation within so many seeds. */
async function hunt(seeds: number): Promise<Violation | undefined> {
  const { simulate } = await import('./simulation.ts');
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { violation } = await simulate({ seed, steps: STEPS });
    if (violation !== undefined) {
      console.log(`found by seed ${seed}: ${violation.message}`);
      return violation;
    }
  }
  return undefined;
}

afterEach(() => {
  vi.doUnmock('../../coordinator/domain/fence.ts');
  vi.doUnmock('../../coordinator/domain/demand.ts');
  vi.doUnmock('../../coordinator/domain/barrier.ts');
  vi.doUnmock('../../coordinator/domain/liveness.ts');
  vi.doUnmock('../../coordinator/domain/decide-grant.ts');
  vi.resetModules();
});

describe('planted bugs are found', () => {
  test.each(BUGS)('$name', async ({ plant, found, withinSeeds }) => {
    plant();
    vi.resetModules();
    expect((await hunt(withinSeeds))?.message).toMatch(found);
  });

  test('and without them the same seeds find nothing', async () => {
    const most = Math.max(...BUGS.map(({ withinSeeds }) => withinSeeds));
    expect((await hunt(most))?.message).toBeUndefined();
  });
});
