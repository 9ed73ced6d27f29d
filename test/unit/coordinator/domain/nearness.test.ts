/** Which of several agents with room gets a unit: who holds its input, who was fast. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { File } from '../../../../coordinator/domain/task.ts';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { countOf, fileNamed, forEach, FarmDriver, step } from '../../../support/farm-driver.ts';

const MIB = 2 ** 20;

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
});

/** A film split on `maker` into pieces of so many bytes. */
function film(maker: string, pieces: number, sizeBytes: number): void {
  driver.submit([
    step('split', { demand: { ...NO_DEMAND, attributes: [`tag:${maker}`] } }),
    step('encode', { parameters: forEach('split', 'p*') }),
  ]);
  driver.place();
  driver.beatHolding(maker);
  const files = Array.from({ length: pieces }, (_, piece): File => {
    return { ...fileNamed(`p${piece}`), sizeBytes };
  });
  driver.report(driver.leasesOf(maker), { state: 'succeeded', outputs: files });
}

function enrol(...agentIds: string[]): void {
  for (const agentId of agentIds) driver.enrol(agentId, { attributes: [`tag:${agentId}`] });
}

/** Units by agent. */
function placed(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { agentId, units } of driver.place()) {
    counts[agentId] = (counts[agentId] ?? 0) + units.length;
  }
  return counts;
}

describe('the agent that made a unit’s input', () => {
  test('gets it when others are about as empty', () => {
    enrol('a1', 'a2', 'a3');
    film('a3', 1, 50 * MIB);
    expect(placed()).toEqual({ a3: 1 });
  });

  test('does not get all of them while others are idle', () => {
    enrol('a1', 'a2', 'a3');
    film('a3', 7, 50 * MIB);
    expect(placed()).toEqual({ a1: 2, a2: 2, a3: 3 });
  });

  test('is one like any other when the input is small', () => {
    enrol('a1', 'a2', 'a3');
    film('a3', 1, 1_000);
    expect(placed()).toEqual({ a1: 1 });
  });

  test('is known after a restart', () => {
    enrol('a1', 'a2', 'a3');
    film('a3', 1, 50 * MIB);
    driver.restart();
    for (const agentId of ['a1', 'a2', 'a3']) driver.beat(agentId, { inventory: [] });
    enrol('a1', 'a2', 'a3');
    expect(placed()).toEqual({ a3: 1 });
  });
});

test('an agent that was fast with the step gets the next unit before one that was slow', () => {
  enrol('a1', 'a2');
  driver.submit([
    step('work', { parameters: countOf(3), demand: { ...NO_DEMAND, cpuMillis: 3_000 } }),
  ]);
  driver.place();
  for (const [agentId, runMs] of [
    ['a1', 120_000],
    ['a2', 40_000],
  ] as const) {
    driver.beatHolding(agentId);
    driver.runMs = runMs;
    driver.report(driver.leasesOf(agentId));
  }
  expect(placed()).toEqual({ a2: 1 });
});

test('of a job’s steps, the one whose units run longest is first', () => {
  driver.enrol('a1', { cpuMillis: 2_000 });
  driver.submit([
    step('short', { parameters: countOf(5) }),
    step('long', {
      parameters: countOf(5),
      demand: { ...NO_DEMAND, cpuMillis: 1_000, ramBytes: MIB },
    }),
  ]);
  expect(driver.place()).toMatchObject([{ step: 0, units: [0, 1] }]);
  driver.beatHolding('a1');
  driver.runMs = 5_000;
  driver.report(driver.leasesOf('a1'));
  driver.liveness.runTimes.note('1 long', 60_000);
  expect(driver.place()).toMatchObject([{ step: 1, units: [0, 1] }]);
});
