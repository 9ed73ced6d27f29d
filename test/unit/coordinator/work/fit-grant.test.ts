import { expect, test } from 'vitest';
import { fitGrant } from '../../../../coordinator/work/fit-grant.ts';
import type { File } from '../../../../proto/gen/furrow/v1/step.ts';
import { Grant } from '../../../../proto/gen/furrow/work/v1/work.ts';
import { commandShare } from '../../../support/work.ts';

const MAX_BYTES = 2 ** 20;
const LIST: File = { name: 'inputs', sha256: 'b'.repeat(64), sizeBytes: 7 };

const inputs = (count: number): File[] =>
  Array.from({ length: count }, (_, n) => {
    return { name: `chunk-${n}.mp4`, sha256: 'a'.repeat(64), sizeBytes: n };
  });

function grantOf(...steps: Grant['steps'][number][]): Grant {
  return { farmId: 'farm', epoch: 1, number: 3, steps };
}

const noList = (): Promise<File> => Promise.reject(new Error('no list is wanted'));

test('a grant that fits goes as it is', async () => {
  const grant = grantOf(commandShare(['true'], { inputs: inputs(300), counters: [1] }));
  const { bytes, left } = await fitGrant(grant, MAX_BYTES, noList);
  expect(Grant.decode(bytes)).toEqual(grant);
  expect(left).toEqual([]);
});

test('inputs that do not fit go as a blob, and short lists stay', async () => {
  const stored: (readonly File[])[] = [];
  const storeList = (files: readonly File[]): Promise<File> => {
    stored.push(files);
    return Promise.resolve(LIST);
  };
  const many = commandShare(['true'], { inputs: inputs(59_000), counters: [1, 2] });
  const few = commandShare(['true'], { inputs: inputs(2), counters: [3] });
  const { bytes, left } = await fitGrant(grantOf(many, few), MAX_BYTES, storeList);
  expect(bytes.length).toBeLessThan(MAX_BYTES);
  expect(Grant.decode(bytes).steps).toEqual([{ ...many, inputs: [], inputList: LIST }, few]);
  expect(stored).toEqual([many.inputs]);
  expect(left).toEqual([]);
});

test('leases that do not fit are left, and the message is as full as it may be', async () => {
  const long = 'x'.repeat(200_000);
  const shares = [1, 2, 3, 4, 5, 6, 7, 8].map((counter) =>
    commandShare([long], { counters: [counter] }),
  );
  const { bytes, left } = await fitGrant(grantOf(...shares), MAX_BYTES, noList);
  expect(bytes.length).toBeLessThanOrEqual(MAX_BYTES);
  expect(Grant.decode(bytes).steps).toEqual(shares.slice(0, 5));
  expect(left.map(({ counter }) => counter)).toEqual([6, 7, 8]);
});

test('of one step as many leases as fit', async () => {
  const counters = Array.from({ length: 100 }, (_, n) => n + 1);
  const share = commandShare(['true'], { counters });
  const leases = share.leases.map((lease) => ({ ...lease, value: 'y'.repeat(1_000) }));
  const { bytes, left } = await fitGrant(grantOf({ ...share, leases }), 50_000, noList);
  expect(bytes.length).toBeLessThanOrEqual(50_000);
  const sent = Grant.decode(bytes).steps[0]?.leases ?? [];
  expect(sent).toEqual(leases.slice(0, sent.length));
  expect(sent.length).toBeGreaterThan(40);
  expect(left).toEqual(leases.slice(sent.length).map(({ token }) => token));
});
