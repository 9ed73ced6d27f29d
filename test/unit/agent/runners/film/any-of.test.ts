import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { anyOf } from '../../../../../agent/runners/film/any-of.ts';

/** Frames of a hundred seconds that ffmpeg itself chooses by it. */
function chosenBy(expression: string): number[] {
  const source = 'testsrc2=s=16x16:r=25:d=100';
  const filter = `select='${expression}',settb=1/25`;
  const argv = ['-v', 'error', '-f', 'lavfi', '-i', source, '-vf', filter];
  const output = ['-fps_mode', 'passthrough', '-enc_time_base', '1/25', '-f', 'framecrc', '-'];
  const lines = execFileSync('ffmpeg', [...argv, ...output], { encoding: 'utf8' }).split('\n');
  return lines.flatMap((line) => (/^\d/.test(line) ? [Number(line.split(',')[2])] : []));
}

test.each([1, 16, 17, 120, 1_200])('of %d conditions one is enough', (count) => {
  const frames = Array.from({ length: count }, (_, n) => n * 2);
  expect(chosenBy(anyOf(frames.map((frame) => `eq(n,${frame})`)))).toEqual(frames);
});
