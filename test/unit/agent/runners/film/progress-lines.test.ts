import { expect, test } from 'vitest';
import {
  progressReader,
  type ProgressBlock,
} from '../../../../../agent/runners/film/progress-lines.ts';

test('one block for each progress line, with nothing left over from the one before', () => {
  const blocks: ProgressBlock[] = [];
  const read = progressReader((block) => blocks.push(block));
  const text = `frame=12
fps=47.5
out_time_us=480000
out_time_ms=480000
progress=continue
frame= 25
fps=0.00
out_time_us=N/A
progress=end`;
  for (const line of text.split('\n')) read(line);
  expect(blocks).toEqual([
    { frame: 12, fps: 47.5, outTimeUs: 480_000, ended: false },
    { frame: 25, fps: 0, outTimeUs: 0, ended: true },
  ]);
});
