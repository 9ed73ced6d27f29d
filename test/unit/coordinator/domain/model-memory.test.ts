import { beforeEach, describe, expect, test } from 'vitest';
import { grantOrders, slotsBooked } from '../../../../coordinator/domain/assignment.ts';
import type { LeasesGranted } from '../../../../coordinator/domain/facts.ts';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import {
  credible,
  keepMemories,
  memoriesOf,
  memoryKeyOf,
  type ModelMemory,
  type SeenMemory,
  withSeen,
} from '../../../../coordinator/domain/model-memory.ts';
import type { StepSpec } from '../../../../coordinator/domain/task.ts';
import { grantToWire, resultFromWire } from '../../../../coordinator/grpc/wire.ts';
import { knownModels } from '../../../../coordinator/recipes/models.ts';
import { ModelManifest } from '../../../../proto/gen/furrow/v1/model.ts';
import type { Result } from '../../../../proto/gen/furrow/work/v1/work.ts';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { countOf, FarmDriver, step } from '../../../support/farm-driver.ts';
import { MANIFEST } from '../../../support/models.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const LEARN_EVERY_MS = 10_000;
const SHA256 = 'ab'.repeat(32);

const seen = (pixelBytes: number, over: Partial<SeenMemory> = {}): SeenMemory => {
  return {
    sha256: SHA256,
    provider: 'cpu',
    pixelBytes,
    baseBytes: 200 * MIB,
    ranOut: false,
    ...over,
  };
};

describe('what is known of a model', () => {
  const after = (known: ModelMemory | undefined, sightings: readonly SeenMemory[]): number =>
    sightings.reduce<ModelMemory | undefined>(withSeen, known)!.pixelBytes;

  test('rises at once', () => {
    expect(after(undefined, [seen(500)])).toBe(500);
    expect(after(seen(500), [seen(4_000)])).toBe(4_000);
  });

  test('and rises when memory ran out, though nothing was measured that is higher', () => {
    expect(after(seen(500), [seen(400, { ranOut: true })])).toBe(750);
    const often = Array.from({ length: 200 }, () => seen(400, { ranOut: true }));
    expect(after(seen(500), often)).toBeLessThanOrEqual(2 ** 24);
  });

  test('a figure that was too high fades to what is seen, and no lower', () => {
    expect(after(seen(50_000), [seen(500)])).toBeGreaterThan(40_000);
    expect(
      after(
        seen(50_000),
        Array.from({ length: 60 }, () => seen(500)),
      ),
    ).toBe(500);
  });

  test('of several thousand the one learned longest ago is forgotten', () => {
    const known = new Map<string, ModelMemory>();
    const of = (n: number): ModelMemory => seen(500, { sha256: n.toString(16).padStart(64, '0') });
    for (let n = 0; n < 3_000; n += 1) keepMemories(known, [of(n)]);
    expect(known.size).toBe(2_048);
    expect(known.has(memoryKeyOf(of(0)))).toBe(false);
    expect(known.has(memoryKeyOf(of(2_999)))).toBe(true);
  });

  test.each([
    [{ pixelBytes: Infinity }],
    [{ pixelBytes: NaN }],
    [{ pixelBytes: -1 }],
    [{ pixelBytes: 0 }],
    [{ baseBytes: -1 }],
    [{ baseBytes: 2 ** 60 }],
    [{ provider: 'abacus' }],
  ])('what no model takes is not believed: %j', (over) => {
    expect(credible(seen(500))).toBeDefined();
    expect(credible(seen(500, over))).toBeUndefined();
  });
});

describe('a farm learns what its models take', () => {
  let driver: FarmDriver;
  beforeEach(() => {
    driver = new FarmDriver();
    driver.enrol('a1', { ramTotalBytes: 16 * GIB, ramAvailableBytes: 16 * GIB });
  });

  const looking = (units: number, sha256 = SHA256): StepSpec => {
    const model = { name: 'm', file: 'model.onnx', sha256, manifest: MANIFEST };
    const value = { use: { model, provider: 'cpu' }, format: '', quality: 0 };
    return step('large', {
      parameters: countOf(units),
      task: { kind: { $case: 'upscaleImages', value } },
      demand: { ...NO_DEMAND, ramBytes: 2 * GIB },
    });
  };
  const memoryFacts = (): ModelMemory[] =>
    driver.facts.flatMap((fact) => (fact.type === 'SizesLearned' ? fact.models : []));
  function work(units: number, memory: SeenMemory | undefined): void {
    driver.modelMemory = memory;
    driver.submit([looking(units)]);
    driver.runAll();
    driver.pass(LEARN_EVERY_MS);
  }
  /** What the agent is told with its units. */
  function heardWith(granted: readonly LeasesGranted[]): readonly ModelMemory[] | undefined {
    const grants = granted.map((fact) => ({ fact, slots: slotsBooked(driver.farm, fact) }));
    const [order] = grantOrders(driver.farm, grants);
    return grantToWire(order!, driver.farm).steps[0]?.modelMemory;
  }
  const known = (): ModelMemory | undefined => memoriesOf(driver.farm.modelMemory, SHA256)[0];

  test('from the first result, for every agent that is given one of its units', () => {
    driver.submit([looking(1)]);
    expect(heardWith(driver.place())).toEqual([]);
    driver.beatHolding('a1');
    driver.modelMemory = seen(700);
    driver.report(driver.leasesOf('a1'));
    driver.pass(LEARN_EVERY_MS);
    expect(known()).toMatchObject({ provider: 'cpu', pixelBytes: 700, baseBytes: 200 * MIB });
    driver.submit([looking(1)]);
    expect(heardWith(driver.place())).toMatchObject([
      { sha256: SHA256, provider: 'cpu', pixelBytes: 700 },
    ]);
  });

  test('and forgets it neither with a restart nor with a snapshot', () => {
    work(3, seen(700));
    const live = farmImage(driver.farm);
    expect(live).toContain('700');
    expect(farmImage(driver.replayed())).toBe(live);
    expect(farmImage(restoreFarm(captureFarm(driver.farm)))).toBe(live);
  });

  test('without a word in the journal while nothing changes', () => {
    work(3, seen(700));
    work(3, seen(695));
    expect(memoryFacts()).toHaveLength(1);
    work(3, seen(900));
    expect(memoryFacts()).toHaveLength(2);
  });

  test('and what fades a little at a time is written down, too', () => {
    work(1, seen(7_000));
    work(40, seen(700));
    expect(known()!.pixelBytes).toBeLessThan(800);
    expect(memoryFacts().length).toBeLessThan(6);
  });

  test('a unit that ran out of memory raises it', () => {
    work(1, seen(700));
    driver.submit([looking(1)]);
    driver.place();
    driver.beatHolding('a1');
    driver.modelMemory = seen(700, { ranOut: true });
    const message = 'the model was ended for the memory it took';
    driver.report(driver.leasesOf('a1'), { state: 'failed', kind: 'out-of-memory', message });
    driver.pass(LEARN_EVERY_MS);
    expect(known()!.pixelBytes).toBe(1_050);
  });

  test('but nobody tells of a model that the unit does not use', () => {
    driver.modelMemory = seen(700, { sha256: 'cd'.repeat(32) });
    driver.submit([looking(2)]);
    driver.runAll();
    driver.submit([step('plain', { parameters: countOf(2) })]);
    driver.runAll();
    driver.pass(LEARN_EVERY_MS);
    expect(driver.farm.modelMemory.size).toBe(0);
  });

  test('that a unit filled what it was given does not make the next ones larger', () => {
    driver.peak = { ramBytes: 1.95 * GIB, vramBytes: 0 };
    work(40, seen(700));
    const next = driver.submit([looking(1)]);
    expect(next.steps[0]?.demand.ramBytes).toBe(2 * GIB);
    // What it took beyond that does.
    driver.runAll();
    driver.peak = { ramBytes: 2.15 * GIB, vramBytes: 0 };
    work(40, seen(700));
    const more = driver.submit([looking(1)]);
    expect(more.steps[0]?.demand.ramBytes).toBeGreaterThan(2.15 * GIB);
  });

  test('and recipes are handed it with the model', () => {
    work(1, seen(700));
    driver.farm.models.set('m', {
      name: 'm',
      file: { name: 'm.onnx', sha256: SHA256, sizeBytes: 5 },
      manifest: ModelManifest.fromPartial({ kind: 1, scale: 2 }),
      addedAtMs: 0,
    });
    expect(knownModels(driver.farm).get('m')?.memory).toMatchObject([{ pixelBytes: 700 }]);
  });
});

test('an agent that tells nothing of a model, or nonsense, tells nothing', () => {
  const result: Result = {
    token: { epoch: 1, counter: 1 },
    jobId: 'j1',
    step: 'large',
    unit: 0,
    outcome: { $case: 'success', value: { outputs: [] } },
    startedAtMs: 0,
    endedAtMs: 1,
    peakRamBytes: 0,
  };
  expect(resultFromWire(result).modelMemory).toBeUndefined();
  const { ranOut, ...memory } = seen(500);
  expect(resultFromWire({ ...result, model: { memory, ranOut } }).modelMemory).toEqual(seen(500));
  const wrong = { ...memory, pixelBytes: NaN };
  expect(
    resultFromWire({ ...result, model: { memory: wrong, ranOut } }).modelMemory,
  ).toBeUndefined();
});
