import { describe, expect, test } from 'vitest';
import { FAULT_NAMES } from './faults.ts';
import { STEPS } from './planted-bug.ts';
import { simulate } from './simulation.ts';

/** What a person who sees the failure needs: what broke, and the one command that shows it again. */
async function faultOf(seed: number): Promise<string | undefined> {
  const { violation } = await simulate({ seed, steps: STEPS });
  return violation && `${violation.message}\nnpm run sim -- --seed ${seed} --steps ${STEPS}`;
}

describe('the farm keeps its promises while everything around it fails', () => {
  test.each(Array.from({ length: 12 }, (_, index) => index + 1))('seed %i', async (seed) => {
    expect(await faultOf(seed)).toBeUndefined();
  });

  test('fresh seeds', async () => {
    const first = Math.floor(Date.now() / 1000) * 1000;
    console.log(`fresh seeds from ${first}`);
    for (let seed = first; seed < first + 3; seed += 1) expect(await faultOf(seed)).toBeUndefined();
  });
});

describe('a seed', () => {
  test('replays exactly', async () => {
    const [once, again] = [
      await simulate({ seed: 7, steps: 3_000 }),
      await simulate({ seed: 7, steps: 3_000 }),
    ];
    expect(again.digest).toBe(once.digest);
    expect(again.steps).toBe(once.steps);
  });

  test('differs from every other', async () => {
    const [one, other] = [
      await simulate({ seed: 7, steps: 500 }),
      await simulate({ seed: 8, steps: 500 }),
    ];
    expect(other.digest).not.toBe(one.digest);
  });
});

test.each([41, 42])('machines whose clocks are set, by days even: seed %i', async (seed) => {
  const { violation, clocksSet } = await simulate({ seed, steps: STEPS, setsClocks: true });
  expect(violation?.message).toBeUndefined();
  expect(clocksSet).toBeGreaterThan(2);
});

test('hundreds of agents', async () => {
  const { violation, facts } = await simulate({ seed: 5, steps: 12_000, agents: 300 });
  expect(violation?.message).toBeUndefined();
  expect(facts.get('AgentEnrolled')).toBeGreaterThanOrEqual(300);
  expect(facts.get('ResultsAccepted')).toBeGreaterThan(100);
});

test('what is meant to happen does happen', async () => {
  const faults = new Set<string>();
  const counts = { lost: 0, duplicated: 0, takeovers: 0, fromSnapshot: 0, blobsDeleted: 0 };
  const facts = new Map<string, number>();
  for (let seed = 11; seed < 41; seed += 1) {
    const report = await simulate({ seed, steps: 4_000, isCutShort: true });
    for (const name of report.faults.keys()) faults.add(name);
    for (const [name, count] of report.facts) facts.set(name, (facts.get(name) ?? 0) + count);
    counts.lost += report.messages.lost + report.messages.cut;
    counts.duplicated += report.messages.duplicated;
    counts.takeovers += (report.facts.get('EpochStarted') ?? 1) - 1;
    counts.fromSnapshot += report.startsFromSnapshot;
    counts.blobsDeleted += report.blobsDeleted;
  }
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(5);
  expect([...faults].toSorted()).toEqual(FAULT_NAMES.toSorted());
  const wanted = ['UnitsCreated', 'JobCancelled', 'JobPaused', 'JobResumed', 'UnitsRequeued'];
  for (const name of wanted) expect(facts.get(name)).toBeGreaterThan(0);
});
