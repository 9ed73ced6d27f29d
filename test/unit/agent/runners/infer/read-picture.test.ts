import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readPicture } from '../../../../../agent/runners/infer/read-picture.ts';
import { jpegHeader, tiffHeader } from '../../../../support/exif.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-read-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const COMPRESSION = 259;
const TILE_WIDTH = 322;

test.each([
  ['a JPEG held upside down', jpegHeader(3), { kind: 'jpg', orientation: 3, layout: '' }],
  [
    'a TIFF in strips',
    tiffHeader({ [COMPRESSION]: 5 }),
    { kind: 'tif', orientation: 1, layout: expect.any(String) },
  ],
  // ffmpeg makes black of the one and stripes of the other, and says nothing.
  [
    'a TIFF of JPEGs',
    tiffHeader({ [COMPRESSION]: 7 }),
    { error: expect.stringMatching(/JPEG.*PNG/) },
  ],
  [
    'a TIFF in tiles',
    tiffHeader({ [TILE_WIDTH]: 256 }, 'MM'),
    { error: expect.stringMatching(/tiles.*PNG/) },
  ],
  ['nothing', Buffer.alloc(0), { error: 'it is empty' }],
])('%s', async (_what, bytes, expected) => {
  const path = join(folder, 'picture');
  writeFileSync(path, bytes);
  expect(await readPicture(path)).toEqual(expected);
});
