/**
 * A small copy of a clip to edit with: frame k of it is frame k of the list, with the clip's timecode. Made only
 * of clips of which a shot is used.
 */
import { mkdir, rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { MakeProxyTask } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { FilmFault, processFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { readPackets } from '../film/frame-index.ts';
import { decodeLimitMs } from '../film/media-limits.ts';
import { uprightFilters } from '../film/picture.ts';
import { readClipAnalysis } from './analyses.ts';
import { clipStart } from './analyze-clip.ts';
import { conformFilters } from './conform.ts';
import { readCutList } from './cut-list.ts';
import { shownSize } from './picture-filters.ts';
import { rateOf } from './rate.ts';
import { timecode } from './timecode.ts';

const LONG_SIDE = 640;
const MADE = 'made-proxy.mp4';

export const makeProxyRunner = filmRunner('makeProxy', makeProxy);

async function makeProxy({
  task,
  work,
  media,
  context,
}: FilmAttempt<MakeProxyTask>): Promise<void> {
  const list = await readCutList(work.directory);
  if (!list.shots.some(({ clip }) => clip === task.index)) {
    context.progress(1, 1, 'no shot of it');
    return;
  }
  const rate = rateOf(task.rate);
  const analysis = await readClipAnalysis(work.directory, task.index);
  const { picture, stream, startTicks } = analysis;
  const { width, height } = shownSize(picture);
  const scale = Math.min(1, LONG_SIDE / Math.max(width, height));
  const even = (pixels: number): number => Math.max(2, 2 * Math.round((pixels * scale) / 2));
  const filters = [
    ...clipStart(startTicks),
    ...conformFilters(rate),
    ...uprightFilters(picture.orientation),
    `scale=${even(width)}:${even(height)}:flags=bicubic`,
    'setsar=1',
    'format=yuv420p',
  ].join(',');
  const run = await media.ffmpeg(
    [
      {
        name: task.clip,
        options: ['-noautorotate', ...(startTicks === undefined ? [] : ['-copyts'])],
      },
    ],
    [
      {
        name: { file: MADE },
        options: [
          ['-map', `0:${stream}`, '-vf', filters, '-fps_mode', 'passthrough'],
          ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '26', '-g', '15', '-bf', '0'],
          ['-threads', '1', '-frames:v', String(analysis.frames)],
          ['-timecode', timecode(analysis.startFrames, rate)],
          ['-map_metadata', '-1', '-map_chapters', '-1', '-movflags', '+faststart', '-f', 'mp4'],
        ].flat(),
      },
    ],
    ({ frame, fps }) =>
      context.progress(Math.min(1, frame / analysis.frames), frame, `${Math.round(fps)} fps`),
    { limitMs: decodeLimitMs(analysis.frames, picture.width * picture.height) },
  );
  if (!run.ok) throw processFault(run, `making the proxy of ${task.clip}`);
  const made = await readPackets(media, MADE, 'v:0');
  if (made.packets.length !== analysis.frames) {
    throw new FilmFault(
      'bad-output',
      `the proxy of ${task.clip} has ${made.packets.length} frames, not ${analysis.frames}`,
    );
  }
  const name = basename(task.clip);
  await mkdir(join(work.directory, 'proxies'), { recursive: true });
  await rename(
    join(work.directory, MADE),
    join(work.directory, 'proxies', /\.mp4$/i.test(name) ? name : `${name}.mp4`),
  );
}
