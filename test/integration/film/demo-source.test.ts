/** The demo looks into a film of the user on the user's own machine: the same fence holds there. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { countFrames, filmLengthMs } from '../../../cli/demo/media.ts';
import { Clips } from '../../support/clips.ts';
import { pngOf, scripts } from '../../support/hostile-films.ts';
import { Traps } from '../../support/traps.ts';

let folder: string;
let traps: Traps;
let clips: Clips;
const { signal } = new AbortController();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'furrow-demo-source-'));
  traps = await Traps.set();
  clips = await Clips.open();
});

afterAll(async () => {
  await traps.close();
  await clips.close();
  await rm(folder, { recursive: true, force: true });
});

test('a film is measured', async () => {
  const path = await clips.path('silent');
  expect(await filmLengthMs(path, signal)).toBe(3000);
  expect(await countFrames(path, signal)).toBe(75);
});

test.each(['HLS playlist', 'concat script', 'DASH manifest', 'a picture'])(
  '%s is not followed',
  async (kind) => {
    const path = join(folder, 'holiday.mp4');
    const script = scripts(traps.secret, traps.url)[kind];
    await writeFile(path, script ?? pngOf(65_535));
    await expect(filmLengthMs(path, signal)).rejects.toMatchObject({ reason: 'NOT_A_VIDEO' });
    await expect(countFrames(path, signal)).rejects.toMatchObject({ reason: 'TOOL_FAILED' });
    expect(await traps.sprung()).toEqual([]);
  },
);
