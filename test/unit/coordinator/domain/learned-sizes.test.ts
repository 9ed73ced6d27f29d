import { beforeEach, describe, expect, test } from 'vitest';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import type { SizesLearned } from '../../../../coordinator/domain/facts.ts';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import { kindOfWork } from '../../../../coordinator/domain/kind-of-work.ts';
import {
  bucketOf,
  learnedDemand,
  type Measured,
  NOTHING_MEASURED,
  usualPeakBytes,
  withMeasured,
} from '../../../../coordinator/domain/learned-sizes.ts';
import { countOf, FarmDriver, step } from '../../../support/farm-driver.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const LEARN_EVERY_MS = 10_000;

const seen = (...peaks: readonly (readonly [bytes: number, count: number])[]): Measured => ({
  ...NOTHING_MEASURED,
  units: peaks.reduce((sum, [, count]) => sum + count, 0),
  ram: peaks.map(([bytes, count]) => ({ bucket: bucketOf(bytes), count })),
});

describe('what is usual', () => {
  test.each([
    ['too few were seen', seen([GIB, 4]), undefined],
    ['all alike', seen([GIB, 5]), GIB],
    ['one of many is larger', seen([GIB, 99], [8 * GIB, 1]), GIB],
    ['one of ten is larger', seen([GIB, 9], [8 * GIB, 1]), 8 * GIB],
  ])('%s', (_, measured, bytes) => {
    expect(usualPeakBytes(measured.ram)).toBe(bytes);
  });

  test('old results are forgotten', () => {
    let measured = withMeasured(NOTHING_MEASURED, seen([8 * GIB, 900]));
    for (let day = 0; day < 12; day += 1) measured = withMeasured(measured, seen([GIB, 900]));
    expect(measured.units).toBeLessThanOrEqual(1_000);
    expect(usualPeakBytes(measured.ram)).toBe(GIB);
  });
});

describe('what is given', () => {
  const declared = (ramBytes: number): typeof NO_DEMAND => ({ ...NO_DEMAND, ramBytes });

  test.each([
    ['declared nothing', 0, seen([GIB, 9]), 1.25 * GIB],
    ['declared too little', GIB / 2, seen([GIB, 9]), 1.25 * GIB],
    ['declared more', 4 * GIB, seen([GIB, 9]), 4 * GIB],
    ['declared nothing and took next to nothing', 0, seen([8 * MIB, 9]), 0],
    ['declared nothing, and nothing is known', 0, seen([GIB, 3]), 0],
  ])('%s', (_, ramBytes, measured, given) => {
    expect(learnedDemand(declared(ramBytes), measured).ramBytes).toBe(given);
  });
});

describe('the kind of work', () => {
  const command = (...argv: string[]): string =>
    kindOfWork(
      '',
      step('run', { task: { kind: { $case: 'command', value: { argv, environment: {} } } } }),
    );

  test.each([
    [['/usr/bin/blender', '-b', 'scene-7.blend'], 'steps/run blender'],
    [['python3.11', '-u', '/opt/upscale.py', 'a.png'], 'steps/run python3.11 upscale.py'],
    [['sh', '-c', 'sleep 1; true'], 'steps/run sh'],
    [['node', '{item}'], 'steps/run node'],
    [[], 'steps/run'],
  ])('%j', (argv, kind) => {
    expect(command(...argv)).toBe(kind);
  });

  test('of an encode is its coding, not its film', () => {
    const video = { encoder: 'libx264', crf: 20, preset: 'slow', width: 0, height: 0, threads: 1 };
    const encode = step('encode', { task: { kind: { $case: 'encode', value: { video } } } });
    expect(kindOfWork('transcode', encode)).toBe('transcode/encode libx264 slow');
  });
});

describe('a farm learns', () => {
  let driver: FarmDriver;
  beforeEach(() => {
    driver = new FarmDriver();
    driver.enrol('a1', { ramTotalBytes: 16 * GIB, ramAvailableBytes: 16 * GIB });
  });

  const learnedFacts = (): SizesLearned[] =>
    driver.facts.filter((fact) => fact.type === 'SizesLearned');

  /** Units succeed with this peak, and some time passes. */
  function work(units: number, ramBytes: number): void {
    driver.peak = { ramBytes, vramBytes: 0 };
    driver.submit([step('work', { parameters: countOf(units) })]);
    driver.runAll();
    driver.pass(LEARN_EVERY_MS);
  }

  test('from results, and gives the next units of that kind more', () => {
    const waiting = driver.submit([step('work', { parameters: countOf(9) })], { priority: -1 });
    driver.ask({ type: 'PauseJob', job: waiting.number, reason: '' });
    work(10, 3 * GIB);
    expect(learnedFacts()).toMatchObject([{ sizes: [{ kind: 'steps/work', units: 10 }] }]);
    const given = 4 * GIB;
    // Those that wait already, and those that come.
    expect(waiting.steps[0]?.demand.ramBytes).toBe(given);
    driver.ask({ type: 'ResumeJob', job: waiting.number, reason: '' });
    driver.place();
    expect(driver.farm.agents.get('a1')?.booking).toMatchObject({ leases: 3, ramBytes: 3 * given });
  });

  test('and leases keep what they book when their step is given more', () => {
    const running = driver.submit([step('work', { parameters: countOf(20) })]);
    driver.place();
    driver.peak = { ramBytes: 3 * GIB, vramBytes: 0 };
    const [kept] = driver.leasesOf('a1');
    for (let round = 0; round < 3; round += 1) {
      driver.beatHolding('a1');
      driver.report(driver.leasesOf('a1').filter((lease) => lease !== kept));
      driver.place();
    }
    driver.pass(LEARN_EVERY_MS);
    expect(running.steps[0]?.demand.ramBytes).toBe(4 * GIB);
    expect(driver.farm.leases.get(kept!.token)?.slot.demand.ramBytes).toBe(0);
    const live = farmImage(driver.farm);
    expect(farmImage(driver.replayed())).toBe(live);
    expect(farmImage(restoreFarm(captureFarm(driver.farm)))).toBe(live);
  });

  test('without a word in the journal while nothing changes', () => {
    work(10, 3 * GIB);
    work(5, 3 * GIB);
    expect(learnedFacts()).toHaveLength(1);
    work(10, 3 * GIB);
    expect(learnedFacts()).toHaveLength(2);
    expect(driver.farm.learned.get('steps/work')?.units).toBe(25);
  });
});
