import { describe, expect, test } from 'vitest';
import { simulate } from './simulation.ts';

const STEPS = 5_000;

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
    for (let seed = first; seed < first + 4; seed += 1) expect(await faultOf(seed)).toBeUndefined();
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

test('the faults do happen', async () => {
  const counts = { faults: 0, lost: 0, duplicated: 0, takeovers: 0 };
  for (let seed = 20; seed < 24; seed += 1) {
    const { faults, messages, facts } = await simulate({ seed, steps: 4_000 });
    for (const count of faults.values()) counts.faults += count;
    counts.lost += messages.lost + messages.cut;
    counts.duplicated += messages.duplicated;
    counts.takeovers += (facts.get('EpochStarted') ?? 1) - 1;
  }
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(5);
});
