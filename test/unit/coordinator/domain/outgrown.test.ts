import { beforeEach, describe, expect, test } from 'vitest';
import { classKeyOf, NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import type { LeaseEnded } from '../../../../coordinator/domain/facts.ts';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import { roundedUp } from '../../../../coordinator/domain/outgrown.ts';
import { countOf, FarmDriver, failed, step } from '../../../support/farm-driver.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
});

const work = (ramBytes: number, over: object = {}): ReturnType<typeof step> =>
  step('work', { demand: { ...NO_DEMAND, cpuMillis: 1000, ramBytes }, ...over });

/** The unit's one attempt runs out of memory; the fact that ended it. */
function runOut(
  peakBytes = 0,
  kind: 'out-of-memory' | 'out-of-vram' = 'out-of-memory',
): LeaseEnded {
  driver.place();
  const [lease] = [...driver.farm.leases.values()];
  driver.beatHolding(lease!.agentId);
  driver.peak =
    kind === 'out-of-memory'
      ? { ramBytes: peakBytes, vramBytes: 0 }
      : { ramBytes: 0, vramBytes: peakBytes };
  driver.report([lease!], failed(kind));
  return driver.facts.findLast((fact) => fact.type === 'LeaseEnded')!;
}

describe('a unit that ran out of memory', () => {
  test('is given half as much again as it was seen to take, outside its retry count', () => {
    driver.enrol('a1', { ramTotalBytes: 64 * GIB, ramAvailableBytes: 64 * GIB });
    const job = driver.submit([work(2 * GIB)]);
    expect(runOut(3 * GIB)).toMatchObject({
      counts: false,
      next: { kind: 'queued', notBeforeMs: 0 },
      grow: { ramBytes: 4.5 * GIB, vramBytes: 0 },
    });
    driver.place();
    expect(driver.farm.agents.get('a1')?.booking.ramBytes).toBe(4.5 * GIB);
    // Twice it was not enough: nobody saw more than the limit at which it was ended.
    expect(runOut(0).grow?.ramBytes).toBe(12 * GIB);
    driver.runAll();
    expect(job.end?.state).toBe('succeeded');
  });

  test('does not make the others of its step larger', () => {
    driver.enrol('a1', { cpuMillis: 8000, ramTotalBytes: 16 * GIB, ramAvailableBytes: 16 * GIB });
    const job = driver.submit([work(2 * GIB, { parameters: countOf(5) })]);
    runOut(8 * GIB);
    // 12 GiB do not fit beside the four that run.
    driver.place();
    const { slots, booking } = driver.farm.agents.get('a1')!;
    expect(booking.ramBytes).toBe(8 * GIB);
    expect([...slots.values()].map(({ booked }) => booked)).toEqual([4]);
    driver.report(driver.leasesOf('a1'));
    driver.runAll();
    expect(job.end?.state).toBe('succeeded');
  });

  test('goes to a box that is large enough', () => {
    driver.enrol('a1', { ramTotalBytes: 4 * GIB, ramAvailableBytes: 4 * GIB });
    driver.submit([work(2 * GIB)]);
    driver.place();
    driver.enrol('large', { ramTotalBytes: 32 * GIB, ramAvailableBytes: 32 * GIB });
    runOut(3 * GIB);
    driver.place();
    expect(driver.leasesOf('large').map(({ unit }) => unit)).toEqual([0]);
  });

  test('fails at once, and names the need and the largest box, where nothing is large enough', () => {
    driver.enrol('a1', { ramTotalBytes: 4 * GIB, ramAvailableBytes: 4 * GIB });
    driver.enrol('a2', { ramTotalBytes: 8 * GIB, ramAvailableBytes: 8 * GIB });
    const job = driver.submit([work(3 * GIB)]);
    // Half as much again is nowhere; a quarter may do.
    expect(runOut(6 * GIB)).toMatchObject({ grow: { ramBytes: 7.5 * GIB } });
    expect(runOut(7.5 * GIB)).toMatchObject({ counts: false, next: { kind: 'failed' } });
    expect(job.end?.reason).toBe(
      'j1/work/0 out-of-memory after 2 attempts: it was out-of-memory; with 9.0 GiB RAM it needs 1 CPU, 9.0 GiB RAM; ' +
        'the most that fits is 1 CPU, 7.7 GiB RAM, on a2-box: ask for less, or add a larger agent',
    );
  });

  test('of a GPU is given more on each of its GPUs; without a GPU it fails as any other', () => {
    const gpu = { id: 'g', name: 'gpu', vramTotalBytes: 24 * GIB, vramForeignBytes: 0 };
    driver.enrol('a1', { gpus: [gpu] });
    const demand = { ...NO_DEMAND, cpuMillis: 1000, gpus: 1, vramBytes: 8 * GIB };
    driver.submit([step('work', { demand })]);
    expect(runOut(10 * GIB, 'out-of-vram').grow?.vramBytes).toBe(15 * GIB);
    driver.runAll();
    driver.submit([work(GIB)]);
    const end = runOut(0, 'out-of-vram');
    expect(end).toMatchObject({ counts: true, grow: undefined });
    expect(end.message).toContain('demands no GPU');
  });

  test('because others took what was booked is as large as before, and runs elsewhere', () => {
    const gpu = { id: 'g', name: 'gpu', vramTotalBytes: 24 * GIB, vramForeignBytes: 0 };
    driver.enrol('a1', { gpus: [gpu] });
    const capacity = driver.liveness.agents.get('a1')!.capacity!;
    const vramBytes = 20 * GIB;
    const demand = { ...NO_DEMAND, cpuMillis: 1000, ramBytes: 10 * GIB, gpus: 1, vramBytes };
    const job = driver.submit([step('work', { demand })]);
    const takenBy: [Partial<typeof capacity>, 'out-of-memory' | 'out-of-vram'][] = [
      [{ gpus: [{ ...gpu, vramForeignBytes: 6 * GIB }] }, 'out-of-vram'],
      [{ ramAvailableBytes: 8 * GIB }, 'out-of-memory'],
    ];
    for (const [taken, kind] of takenBy) {
      driver.place();
      driver.beat('a1', { capacity: { ...capacity, ...taken } });
      const end = runOut(18 * GIB, kind);
      expect(end).toMatchObject({ grow: undefined, counts: false, next: { kind: 'queued' } });
      expect(driver.place()).toEqual([]);
      driver.beat('a1', { capacity, inventory: [] });
      driver.pass(10_000);
    }
    driver.runAll();
    expect(job.end?.state).toBe('succeeded');
  });

  test('is remembered by retry, snapshot and replay', () => {
    driver.enrol('a1', { cpuMillis: 8000, ramTotalBytes: 64 * GIB, ramAvailableBytes: 64 * GIB });
    driver.submit([work(2 * GIB, { parameters: countOf(3) })]);
    runOut(3 * GIB);
    driver.place();
    const images = [driver.farm, driver.replayed(), restoreFarm(captureFarm(driver.farm))];
    const [live, ...others] = images.map(farmImage);
    for (const image of others) expect(image).toBe(live);
    const grown = classKeyOf({ ...NO_DEMAND, cpuMillis: 1000, ramBytes: 4.5 * GIB });
    expect([...driver.farm.agents.get('a1')!.slots.keys()]).toContain(grown);
  });
});

test('sizes are rounded up to few', () => {
  expect(roundedUp(0)).toBe(0);
  expect(roundedUp(4.5 * GIB)).toBe(4.5 * GIB);
  expect(roundedUp(4.5 * GIB + 1)).toBe(5 * GIB);
  expect(roundedUp(1000 * MIB)).toBe(1024 * MIB);
});
