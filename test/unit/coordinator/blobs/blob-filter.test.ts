import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { BlobFilter } from '../../../../coordinator/blobs/blob-filter.ts';

const shaOf = (text: string): string => createHash('sha256').update(text).digest('hex');

test('knows all that was added, also beyond its first size, and takes few others for known', () => {
  const filter = new BlobFilter();
  const count = 70_000;
  for (let i = 0; i < count; i += 1) filter.add(shaOf(`in ${i}`));
  let [unknown, mistaken] = [0, 0];
  for (let i = 0; i < count; i += 1) if (!filter.has(shaOf(`in ${i}`))) unknown += 1;
  for (let i = 0; i < 10_000; i += 1) if (filter.has(shaOf(`out ${i}`))) mistaken += 1;
  expect(unknown).toBe(0);
  expect(mistaken).toBeLessThan(100);
});
