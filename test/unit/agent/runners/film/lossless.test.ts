import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { losslessOptions } from '../../../../../agent/runners/film/lossless.ts';
import { MAX_PIXELS, MEMORY_FENCE } from '../../../../../kit/film-fence.ts';

const ffmpeg = (argv: readonly string[]): string =>
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...MEMORY_FENCE, ...argv], { encoding: 'utf8' });

// The sides of 8K; the largest that a film may have.
const LARGEST = '8000x4500';

test.each<[string, string, string]>([
  ['320x180', 'yuv420p', 'ffv1'],
  ['2560x1400', 'yuv420p', 'ffv1'],
  ['2560x1440', 'yuv420p', 'ffvhuff'],
  ['3840x2160', 'yuv420p10le', 'ffvhuff'],
  [LARGEST, 'yuv420p', 'ffvhuff'],
])('%s in %s is kept as it is by %s', (size, format, codec) => {
  const folder = mkdtempSync(join(tmpdir(), 'furrow-lossless-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [width = 0, height = 0] = size.split('x').map(Number);
  const options = losslessOptions(width * height);
  expect(options).toContain(codec);
  const kept = join(folder, 'kept.nut');
  const source = ['-f', 'lavfi', '-i', `testsrc2=s=${size}:r=1:d=1,format=${format}`];
  const hash = ['-map', '0:v', '-f', 'md5', '-'];
  const given = ffmpeg([...source, '-pix_fmt', format, ...hash]);
  ffmpeg([...source, ...options, kept]);
  expect(ffmpeg(['-i', kept, '-pix_fmt', format, ...hash])).toBe(given);
});

test('the largest frame that is taken has room', () => {
  const [width = 0, height = 0] = LARGEST.split('x').map(Number);
  expect(width * height).toBe(MAX_PIXELS);
});
