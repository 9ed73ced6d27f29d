import { beforeEach, expect, test } from 'vitest';
import { referencedBlobs, unreferenced } from '../../../../coordinator/domain/blob-references.ts';
import type { AddModel } from '../../../../coordinator/domain/commands.ts';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../../coordinator/journal/snapshot-codec.ts';
import { MANIFEST } from '../../../support/models.ts';
import { FarmDriver } from '../../../support/farm-driver.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const TERMS = { nowMs: 0, outputRetentionMs: 0 };

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
});

const fileOf = (sha256: string) => ({ name: 'x.onnx', sha256, sizeBytes: 9 });
const add = (name: string, sha256 = A, over: Partial<AddModel> = {}) =>
  driver.ask({
    type: 'AddModel',
    name,
    file: fileOf(sha256),
    manifest: MANIFEST,
    replace: false,
    missingBlobs: [],
    ...over,
  });

test('a model is kept until it is removed, and its file with it', () => {
  expect(add('anime')).toEqual({ kind: 'done' });
  expect([...referencedBlobs(driver.farm, TERMS)]).toEqual([A]);
  expect([...unreferenced(driver.farm, [A, B], TERMS)]).toEqual([B]);
  expect(driver.ask({ type: 'RemoveModel', name: 'anime' })).toEqual({ kind: 'done' });
  expect([...referencedBlobs(driver.farm, TERMS)]).toEqual([]);
  expect(driver.ask({ type: 'RemoveModel', name: 'anime' })).toMatchObject({
    reason: 'MODEL_UNKNOWN',
  });
});

test('the same again changes nothing; another of that name only when that is said', () => {
  add('anime');
  expect(add('anime')).toEqual({ kind: 'done' });
  expect(driver.facts.filter(({ type }) => type === 'ModelAdded')).toHaveLength(1);
  expect(add('anime', B)).toMatchObject({ code: 'conflict', reason: 'MODEL_EXISTS' });
  const otherwise = { manifest: { ...MANIFEST, halo: 7 } };
  expect(add('anime', A, otherwise)).toMatchObject({ reason: 'MODEL_EXISTS' });
  expect(add('anime', B, { replace: true })).toEqual({ kind: 'done' });
  expect(driver.farm.models.get('anime')?.file.sha256).toBe(B);
  expect([...referencedBlobs(driver.farm, TERMS)]).toEqual([B]);
});

test.each([
  ['', {}],
  ['../x', {}],
  ['two words', {}],
  ['x', { file: { ...fileOf('A'.repeat(64)) } }],
  ['x', { file: { ...fileOf(A), sizeBytes: 0 } }],
  ['x', { file: { ...fileOf(A), name: '/etc/passwd' } }],
  ['x', { manifest: { ...MANIFEST, kind: 9 } }],
  ['x', { manifest: { ...MANIFEST, labels: ['x'.repeat(70_000)] } }],
])('refuses %j with %j', (name, over) => {
  expect(add(name, A, over)).toMatchObject({ reason: 'MODEL_INVALID' });
  expect(driver.farm.models.size).toBe(0);
});

test('one whose file is not stored is refused', () => {
  expect(add('anime', A, { missingBlobs: [A] })).toMatchObject({ reason: 'BLOB_MISSING' });
});

test('a snapshot has them, in their order', () => {
  add('b', B);
  add('a');
  const tail = { farmId: 'farm', epoch: 1, reignId: '', number: 1, sequence: 1, hash: A };
  const bytes = encodeSnapshot({ farm: captureFarm(driver.farm), tail });
  expect(farmImage(restoreFarm(decodeSnapshot(bytes).farm))).toBe(farmImage(driver.farm));
  expect(farmImage(driver.farm)).toContain('x.onnx');
});
