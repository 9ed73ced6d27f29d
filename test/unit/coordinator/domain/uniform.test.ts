import { beforeEach, describe, expect, test } from 'vitest';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import { transcodeSteps } from '../../../../coordinator/recipes/transcode.ts';
import { countOf, FarmDriver, failed, fileNamed, step } from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
});

function enrol(agentId: string, version: string, cpuMillis = 4_000): void {
  driver.enrol(agentId, { cpuMillis, attributes: ['tool:ffmpeg', `ffmpeg:${version}`] });
}

const encode = (units: number): ReturnType<typeof step> =>
  step('encode', { parameters: countOf(units), uniform: 'ffmpeg' });

/** Passes until nothing is granted any more; who holds how many. */
function placeAll(): Record<string, number> {
  while (driver.place().length > 0);
  const held: Record<string, number> = {};
  for (const { agentId } of driver.farm.leases.values()) held[agentId] = (held[agentId] ?? 0) + 1;
  return held;
}

describe('a step whose units want one version', () => {
  test('takes the one that most processors have, and stays with it', () => {
    enrol('old', '5.1', 8_000);
    for (const id of ['new-1', 'new-2', 'new-3']) enrol(id, '6.1');
    const job = driver.submit([encode(40)]);
    expect(placeAll()).toEqual({ 'new-1': 4, 'new-2': 4, 'new-3': 4 });
    expect(job.steps[0]?.pin).toBe('ffmpeg:6.1');
    // Another film may be of another version, where there is room.
    const other = driver.submit([encode(2)]);
    expect(placeAll()).toMatchObject({ old: 2 });
    expect(other.steps[0]?.pin).toBe('ffmpeg:5.1');
  });

  test('keeps to it over snapshot and replay', () => {
    enrol('one', '6.1');
    driver.submit([encode(9)]);
    placeAll();
    const live = farmImage(driver.farm);
    expect(farmImage(driver.replayed())).toBe(live);
    expect(farmImage(restoreFarm(captureFarm(driver.farm)))).toBe(live);
  });

  test('is free again as long as nothing of it is made', () => {
    enrol('one', '6.1', 1_000);
    const job = driver.submit([encode(1)]);
    placeAll();
    driver.beatHolding('one');
    driver.report(driver.leasesOf('one'), failed('failed'));
    expect(job.steps[0]?.pin).toBeUndefined();
    enrol('other', '5.1', 8_000);
    driver.nowMs += 60_000;
    driver.beat('one', { leaving: true });
    driver.beat('other');
    expect(placeAll()).toEqual({ other: 1 });
  });

  test('waits for its version once something is made', () => {
    enrol('one', '6.1', 1_000);
    const job = driver.submit([encode(2)]);
    placeAll();
    driver.beatHolding('one');
    driver.report(driver.leasesOf('one'));
    enrol('other', '5.1', 8_000);
    expect(placeAll()).toEqual({ one: 1 });
    driver.beatHolding('one');
    driver.report(driver.leasesOf('one'));
    expect(job.end?.state).toBe('succeeded');
  });
});

test('a film’s pieces are encoded by one version, unless its user allows a mix', () => {
  const request = { source: fileNamed('a.mov'), film: 'a.mp4', pieceMs: 0 };
  const uniformOf = (mixedEncoders: boolean): string | undefined => {
    const plan = transcodeSteps({ ...request, mixedEncoders });
    if (plan.state !== 'ok') throw new Error(plan.message);
    return plan.steps.find(({ name }) => name === 'encode')?.uniform;
  };
  expect([uniformOf(false), uniformOf(true)]).toEqual(['ffmpeg', undefined]);
});
