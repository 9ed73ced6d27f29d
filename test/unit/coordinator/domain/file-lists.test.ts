import { expect, test } from 'vitest';
import { TAKES_LISTS as agentsWord } from '../../../../agent/unit-inputs.ts';
import { faultOfSteps } from '../../../../coordinator/domain/check-steps.ts';
import { TAKES_LISTS, rangeOfUnit } from '../../../../coordinator/domain/file-lists.ts';
import { storedBytesOf } from '../../../../coordinator/domain/quotas.ts';
import type { FileListSpace, StepSpec } from '../../../../coordinator/domain/task.ts';
import { grantOrders, slotsBooked } from '../../../../coordinator/domain/assignment.ts';
import { grantToWire } from '../../../../coordinator/grpc/wire.ts';
import { FarmDriver, fileNamed, step, submitJob } from '../../../support/farm-driver.ts';

const space: FileListSpace = { list: fileNamed('list'), perUnit: 4, count: 10, filesBytes: 99 };
const over = (value: FileListSpace): StepSpec =>
  step('look', { parameters: { kind: { $case: 'fileList', value } } });
const faultOf = (change: Partial<FileListSpace>): string | undefined =>
  faultOfSteps([over({ ...space, ...change })]);

test('units take the list in parts, the last one what is left', () => {
  const driver = new FarmDriver();
  const { number } = driver.submit([over(space)]);
  expect(driver.job(number).steps[0]?.units?.size).toBe(3);
  expect([0, 1, 2].map((unit) => rangeOfUnit(space, unit))).toEqual([
    { from: 0, to: 4 },
    { from: 4, to: 8 },
    { from: 8, to: 10 },
  ]);
});

test('what a list may be', () => {
  expect(faultOf({})).toBeUndefined();
  expect(faultOf({ list: undefined })).toMatch(/names none/);
  expect(faultOf({ count: 0 })).toMatch(/from 1 to 1000000/);
  expect(faultOf({ count: 1_000_001 })).toMatch(/from 1 to 1000000/);
  expect(faultOf({ perUnit: 0 })).toMatch(/from 1 to 10000/);
  expect(faultOf({ perUnit: 10_001 })).toMatch(/from 1 to 10000/);
  expect(faultOf({ filesBytes: -1 })).toMatch(/-1 bytes/);
});

test('a grant is as small for a long list as for a short one, and goes only to who knows of lists', () => {
  const driver = new FarmDriver();
  driver.enrol('old', { attributes: ['tool:command'] });
  driver.submit([over({ ...space, count: 100_000, perUnit: 1 })]);
  driver.place();
  expect(driver.leasesOf('old')).toEqual([]);
  driver.enrol('new');
  const grants = driver.place().map((fact) => ({ fact, slots: slotsBooked(driver.farm, fact) }));
  const [order] = grantOrders(driver.farm, grants);
  const [share] = grantToWire(order!, driver.farm).steps;
  expect(share?.fileList).toEqual({ ...space, count: 100_000, perUnit: 1 });
  expect(share?.leases).toEqual([]);
  expect(share?.runs).toHaveLength(1);
  expect(TAKES_LISTS).toBe(agentsWord);
});

test('a submit is refused for what its list names, and its repeat is not', () => {
  const driver = new FarmDriver();
  const missing = { reason: 'BLOB_MISSING', message: '2 of the 10 files …' } as const;
  const submit = submitJob([over(space)]);
  expect(driver.ask({ ...submit, listFault: missing })).toMatchObject({
    kind: 'refused',
    code: 'failed-precondition',
    ...missing,
  });
  expect(driver.ask(submit)).toMatchObject({ kind: 'job' });
  expect(driver.ask({ ...submit, listFault: missing })).toMatchObject({ repeated: true });
});

test('quotas count what a list names', () => {
  const driver = new FarmDriver();
  driver.submit([over(space)], { owner: 'mia' });
  expect(storedBytesOf(driver.farm, 'mia')).toBe(99 + fileNamed('list').sizeBytes);
});
