import { beforeEach, describe, expect, test } from 'vitest';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { countOf, FarmDriver, step } from '../../../support/farm-driver.ts';

const GIB = 2 ** 30;
const LEARN_EVERY_MS = 10_000;

describe('what was learned of a kind of work', () => {
  let driver: FarmDriver;
  beforeEach(() => {
    driver = new FarmDriver();
    driver.enrol('a1', {
      ramTotalBytes: 16 * GIB,
      ramAvailableBytes: 16 * GIB,
      gpus: [{ id: 'gpu-0', name: 'GPU', vramTotalBytes: 24 * GIB, vramForeignBytes: 0 }],
    });
  });

  const onGpu = (vramGib: number) => ({ ...NO_DEMAND, gpus: 1, vramBytes: vramGib * GIB });
  const inRam = (ramGib: number) => ({ ...NO_DEMAND, ramBytes: ramGib * GIB });

  /** Units succeed with this peak, and it is learned. */
  function work(demand: typeof NO_DEMAND, peak: { ramBytes: number; vramBytes: number }): void {
    driver.peak = peak;
    driver.submit([step('work', { parameters: countOf(10), demand })]);
    driver.runAll();
    driver.pass(LEARN_EVERY_MS);
  }

  /** What a unit of the kind is given that comes now, once the farm had a look at it. */
  function given(demand: typeof NO_DEMAND): { ramGib: number; vramGib: number } {
    const job = driver.submit([step('work', { demand })]);
    driver.beatHolding('a1');
    driver.pass(LEARN_EVERY_MS);
    const { ramBytes, vramBytes } = job.steps[0]!.demand;
    return { ramGib: ramBytes / GIB, vramGib: vramBytes / GIB };
  }

  test.each([
    ['VRAM with the margin on top of what nearly fills the largest GPU', onGpu(22), onGpu(22)],
    ['VRAM of large jobs for the small ones of their kind', onGpu(22), onGpu(10)],
  ])('never asks for more than any agent has: %s', (_, large, next) => {
    work(large, { ramBytes: 0, vramBytes: 21 * GIB });
    const { vramGib } = given(next);
    expect(vramGib).toBeGreaterThanOrEqual(next.vramBytes / GIB);
    expect(vramGib).toBeLessThan(24);
    expect(driver.place()).toHaveLength(1);
  });

  test('never asks for more RAM than any agent has, and keeps what it knows of VRAM', () => {
    const demand = { ...inRam(15), gpus: 1, vramBytes: GIB };
    work(demand, { ramBytes: 15 * GIB, vramBytes: 3 * GIB });
    expect(given({ ...demand, ramBytes: GIB })).toEqual({ ramGib: 14, vramGib: 4 });
    expect(driver.place()).toHaveLength(1);
  });

  test('is lowered once, not with all results of the kind', () => {
    const learned = (): number => driver.facts.filter(({ type }) => type === 'SizesLearned').length;
    work(onGpu(22), { ramBytes: 0, vramBytes: 21 * GIB });
    given(onGpu(10));
    const before = learned();
    driver.runAll();
    work(onGpu(10), { ramBytes: 0, vramBytes: 21 * GIB });
    driver.pass(LEARN_EVERY_MS);
    given(onGpu(10));
    // As many units again are worth a word.
    expect(learned() - before).toBeLessThanOrEqual(2);
  });

  test('stays when not even what the step declares fits', () => {
    work(onGpu(22), { ramBytes: 0, vramBytes: 21 * GIB });
    const { learned } = driver.farm;
    const before = learned.get('steps/work');
    const job = driver.submit([step('work', { demand: onGpu(22) })]);
    driver.beat('a1', { capacity: { ...driver.liveness.agents.get('a1')!.capacity!, gpus: [] } });
    driver.pass(LEARN_EVERY_MS);
    expect(learned.get('steps/work')).toEqual(before);
    expect(job.end).toBeUndefined();
  });
});
