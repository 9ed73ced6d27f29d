import { beforeEach, describe, expect, test } from 'vitest';
import { grantOrders } from '../../../../coordinator/domain/assignment.ts';
import { referencedBlobs } from '../../../../coordinator/domain/blob-references.ts';
import type { Answer, SaveCheckpoint } from '../../../../coordinator/domain/commands.ts';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import type { Lease } from '../../../../coordinator/domain/farm.ts';
import type { File } from '../../../../coordinator/domain/task.ts';
import { tokenOf } from '../../../../coordinator/domain/token.ts';
import { CheckpointBlobs } from '../../../../coordinator/checkpoint-blobs.ts';
import { failed, FarmDriver, LEASE_TTL_MS, step } from '../../../support/farm-driver.ts';

const file = (letter: string): File => ({
  name: `state-${letter}`,
  sha256: letter.repeat(64),
  sizeBytes: 9,
});
const command = (checkpoint: boolean) =>
  ({ kind: { $case: 'command', value: { argv: ['x'], environment: {}, checkpoint } } }) as const;

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('a1');
  driver.submit([step('work', { task: command(true) })]);
  driver.place();
});

const lease = (): Lease => [...driver.farm.leases.values()][0]!;

function save(files: readonly File[], over: Partial<SaveCheckpoint> = {}): Answer {
  const { token, job, unit, agentId } =
    over.token === undefined ? lease() : { ...lease(), ...over };
  const target = { token, job, unit, agentId, step: 'work', missingBlobs: [] };
  return driver.ask({ type: 'SaveCheckpoint', ...target, files, ...over });
}

const verdict = (kind: string): object => ({ kind: 'verdicts', verdicts: [{ kind }] });
const newest = () => driver.job(1).steps[0]!.units!.checkpoints.get(0);
const isReferenced = (letter: string): boolean =>
  referencedBlobs(driver.farm, { nowMs: driver.now.wallMs, outputRetentionMs: 0 }).has(
    letter.repeat(64),
  );

describe('a checkpoint', () => {
  test('takes the place of the one before, and goes with the next grant, to any agent', () => {
    expect(save([file('a')])).toMatchObject(verdict('accepted'));
    expect(save([file('b')])).toMatchObject(verdict('accepted'));
    expect(newest()).toEqual([file('b')]);
    expect([isReferenced('a'), isReferenced('b')]).toEqual([false, true]);
    driver.pass(LEASE_TTL_MS);
    driver.enrol('a2');
    const [grant] = driver.place();
    expect(grant!.agentId).toBe('a2');
    const [order] = grantOrders(driver.farm, [{ fact: grant!, slots: 1 }]);
    expect(order!.steps[0]!.leases[0]).toMatchObject({ attempt: 2, checkpoint: [file('b')] });
  });

  test('is let go when its unit is accepted', () => {
    save([file('a')]);
    driver.report([lease()]);
    expect(newest()).toBeUndefined();
    expect(isReferenced('a')).toBe(false);
  });

  test('is let go when its unit is given up, and kept while it is tried again', () => {
    save([file('a')]);
    driver.report([lease()], failed('failed'));
    expect(isReferenced('a')).toBe(true);
    driver.pass(60_000);
    driver.beat('a1');
    driver.place();
    driver.report([lease()], failed('invalid-input'));
    expect(driver.job(1).end?.state).toBe('failed');
    expect(isReferenced('a')).toBe(false);
  });

  test('of a job that is cancelled is let go', () => {
    save([file('a')]);
    driver.ask({ type: 'CancelJob', job: 1, reason: '' });
    expect(newest()).toBeUndefined();
  });

  test('is in a snapshot', () => {
    save([file('a')]);
    const image = farmImage(driver.farm);
    expect(image).toContain('a'.repeat(64));
    expect(farmImage(restoreFarm(captureFarm(driver.farm)))).toBe(image);
  });
});

describe('it is not taken', () => {
  const files = [file('a')];
  test('with a token that is not current', () => {
    expect(save(files, { token: tokenOf(1, 99) })).toMatchObject(verdict('stale'));
  });
  test('with a token of a later reign than ours', () => {
    expect(save(files, { token: tokenOf(2, 1) })).toMatchObject(verdict('none'));
  });
  test('of a second copy, until the first is gone', () => {
    driver.enrol('a2');
    driver.record(driver.copyOf(lease(), 'a2'));
    const [copy] = driver.leasesOf('a2');
    const { token } = copy!;
    const ofCopy = { token, agentId: 'a2' };
    expect(save(files, ofCopy)).toMatchObject(verdict('none'));
    driver.report([lease()], failed('failed'));
    expect(save(files, ofCopy)).toMatchObject(verdict('accepted'));
  });
  test('by another agent than the one that holds the lease', () => {
    driver.enrol('a2');
    expect(save(files, { agentId: 'a2' })).toMatchObject(verdict('stale'));
    expect(newest()).toBeUndefined();
  });
  test('of a job that is not there', () => {
    expect(save(files, { job: 7, token: lease().token })).toMatchObject(verdict('stale'));
  });
  test('when a file is not stored', () => {
    const missingBlobs = [file('a').sha256];
    expect(save(files, { missingBlobs })).toEqual({
      kind: 'verdicts',
      verdicts: [{ kind: 'blob-missing', missing: missingBlobs }],
    });
  });
  test('when it has too many files, or a bad name', () => {
    const many = Array.from({ length: 257 }, (_, n) => ({ ...file('a'), name: `f${n}` }));
    expect(save(many)).toMatchObject({ kind: 'refused', reason: 'CHECKPOINT_BAD' });
    expect(save([{ ...file('a'), name: '../x' }])).toMatchObject({ kind: 'refused' });
  });
  test('of a step that leaves none', () => {
    driver.submit([step('work', { task: command(false) })]);
    driver.place();
    const [other] = [...driver.farm.leases.values()].filter(({ job }) => job === 2);
    expect(save(files, { job: 2, token: other!.token })).toMatchObject(verdict('stale'));
    expect(driver.facts.some(({ type }) => type === 'CheckpointSaved')).toBe(false);
  });
});

test('blobs that were let go are known from the commits', () => {
  const blobs = new CheckpointBlobs();
  const drop = (): readonly string[] => blobs.committed(driver.facts.splice(0));
  save([file('a'), file('b')]);
  expect(drop()).toEqual([]);
  save([file('b'), file('c')]);
  expect(drop()).toEqual(['a'.repeat(64)]);
  driver.report([lease()]);
  expect(drop()).toEqual(['b'.repeat(64), 'c'.repeat(64)]);
  driver.submit([step('work', { task: command(true) })]);
  driver.place();
  save([file('d')]);
  drop();
  driver.ask({ type: 'CancelJob', job: 2, reason: '' });
  expect(drop()).toEqual(['d'.repeat(64)]);
});
