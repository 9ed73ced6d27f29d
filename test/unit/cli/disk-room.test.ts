import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { partOf } from '../../../cli/blobs.ts';
import { checkRoom, diskFault } from '../../../cli/disk-room.ts';

const PIB = 1024 ** 5;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'furrow-room-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const placed = (sizeBytes: number) => ({
  path: join(folder, 'film.mp4'),
  file: { name: 'film.mp4', sha256: 'a'.repeat(64), sizeBytes },
});

test('what surely does not fit is refused before it is begun', async () => {
  await expect(checkRoom([placed(PIB)])).rejects.toMatchObject({ reason: 'DISK_FULL' });
  await expect(checkRoom([placed(1024)])).resolves.toBeUndefined();
  await expect(checkRoom([])).resolves.toBeUndefined();
});

test('what an earlier run brought counts as there', async () => {
  const placement = placed(3);
  await writeFile(partOf(placement.path, placement.file), 'abc');
  await expect(checkRoom([placement])).resolves.toBeUndefined();
});

test('a disk that fills up meanwhile is told with the way on', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  expect(diskFault(full, placed(1).path, 'j7')).toMatchObject({
    code: 'exhausted',
    message: expect.stringMatching(/is full: free some, then furrow fetch j7 goes on/) as string,
  });
  const other = new Error('something else');
  expect(diskFault(other, placed(1).path, 'j7')).toBe(other);
});
