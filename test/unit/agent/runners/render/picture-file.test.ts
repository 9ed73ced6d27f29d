import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parsePictureHeader } from '../../../../../agent/runners/render/picture-file.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-pictures-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function picture(extension: string): Buffer {
  const path = join(folder, `a.${extension}`);
  const source = ['-f', 'lavfi', '-i', 'testsrc2=s=46x32', '-frames:v', '1'];
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...source, path]);
  return readFileSync(path);
}

test.each([
  ['png', 'png'],
  ['jpg', 'jpeg'],
  ['exr', 'exr'],
])('reads the size of a %s', (extension, format) => {
  const bytes = picture(extension);
  expect(parsePictureHeader(bytes)).toEqual({ format, width: 46, height: 32 });
  // However short it is cut, it is read or it is not; nothing is thrown.
  for (let length = 0; length < Math.min(bytes.length, 600); length += 1) {
    const header = parsePictureHeader(bytes.subarray(0, length));
    expect([undefined, { format, width: 46, height: 32 }]).toContainEqual(header);
  }
});

test('other bytes are no picture', () => {
  expect(parsePictureHeader(Buffer.from('<svg></svg>'))).toBeUndefined();
  expect(parsePictureHeader(Buffer.alloc(64))).toBeUndefined();
});
