/**
 * Looks at one clip of a montage, frame by frame at the film's rate: tiny grey copies of all frames, which are
 * measured here and later tell whether a shot shows what it should; sharpness and loudness now and then.
 */
import { rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { AnalyzeClipTask } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { FilmFault, oneLine, processFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import {
  frameTimes,
  isSteady,
  readPackets,
  refuseEndless,
  refuseTruncated,
} from '../film/frame-index.ts';
import { decodeLimitMs } from '../film/media-limits.ts';
import { uprightFilters } from '../film/picture.ts';
import { THUMB_BYTES, THUMB_FILTER } from '../film/picture-likeness.ts';
import { secondsOf } from '../film/timeline.ts';
import { clipThumbsName, writeClipAnalysis } from './analyses.ts';
import { readClipFacts, type ClipFacts } from './clip-facts.ts';
import {
  FrameMeter,
  QUALITY_HEIGHT,
  QUALITY_WIDTH,
  sharpness,
  stepLoudness,
  STEPS_A_SECOND,
} from './clip-measures.ts';
import { conformFilters, frameAt } from './conform.ts';
import { rateOf } from './rate.ts';
import { blocksOf, samplesOf } from './raw-blocks.ts';
import type { Rate } from './timecode.ts';

type LookAttempt = FilmAttempt<AnalyzeClipTask>;

const QUALITY_FILE = 'quality.gray';
const SOUND_FILE = 'loudness.pcm';
const THUMBS_FILE = 'thumbs.gray';

/** Enough to tell loud from soft. */
const SOUND_RATE = 8000;

/** A clip's tiny copies are kept until the job ends; nobody cuts a montage from a longer one. */
const MAX_CLIP_SECONDS = 4 * 3600;

/** A clock that moves more than this between two packets has jumped. */
const MAX_STEP_SECONDS = 10;

export const analyzeClipRunner = filmRunner('analyzeClip', analyzeClip);

async function analyzeClip(attempt: LookAttempt): Promise<void> {
  const { task, work, media, context } = attempt;
  const rate = rateOf(task.rate);
  const clip = await readClipFacts(media, task.clip, rate);
  const times = await readTimes(attempt, clip);
  const expected =
    times === undefined ? 0 : frameAt(times.at(-1)! - times[0]!, clip.timeBase, rate) + 1;
  const damage = await decodeClip(attempt, clip, rate, times?.[0], expected);
  const measures = await measureThumbs(attempt, rate);
  if (measures.frames === 0) {
    throw new FilmFault('invalid-input', `${task.clip} has no frame that can be decoded`);
  }
  // Damaged stretches decode otherwise from their middle on: such a clip is always decoded from its start.
  const last = times === undefined ? 0 : longestStep(times, clip, rate);
  const steady =
    times !== undefined && damage === undefined && Math.abs(measures.frames - expected) <= last + 1;
  await writeClipAnalysis(work.directory, task.index, {
    version: 1,
    name: basename(task.clip),
    rate,
    picture: clip.picture,
    stream: clip.stream,
    timeBase: clip.timeBase,
    ...(steady && { startTicks: times[0]! }),
    startFrames: clip.startFrames,
    hasSound: clip.hasSound,
    ...measures,
    sharpness: await measureSharpness(work.directory),
    loudness: clip.hasSound ? await measureLoudness(work.directory) : [],
  });
  await rename(join(work.directory, THUMBS_FILE), join(work.directory, clipThumbsName(task.index)));
  context.log(
    `${basename(task.clip)}: ${measures.frames} frames, ${measures.cuts.length + 1} scenes`,
  );
  context.progress(1, measures.frames * 2, `${measures.cuts.length + 1} scenes`);
}

/** Times of all shown frames in ticks; undefined where the packets' times cannot be relied on. */
async function readTimes(
  { task, media }: LookAttempt,
  clip: ClipFacts,
): Promise<number[] | undefined> {
  const index = await readPackets(media, task.clip, String(clip.stream));
  refuseTruncated(task.clip, index);
  const { num, den } = clip.timeBase;
  const steady = isSteady(index.packets, (MAX_STEP_SECONDS * den) / num);
  const times = steady ? frameTimes(index.packets) : undefined;
  if (times === undefined || times.length === 0) return undefined;
  refuseEndless(task.clip, times, clip.timeBase);
  if (secondsOf(times.at(-1)! - times[0]!, clip.timeBase) > MAX_CLIP_SECONDS) {
    throw tooLong(task.clip);
  }
  return times;
}

function tooLong(clip: string): FilmFault {
  return new FilmFault(
    'invalid-input',
    `${clip} is longer than the ${MAX_CLIP_SECONDS / 3600} hours that are taken here; cut it first`,
  );
}

/** The longest time for which one frame is shown: the last one may be as long. */
function longestStep(times: readonly number[], clip: ClipFacts, rate: Rate): number {
  const steps = times.slice(1).map((time, i) => time - times[i]!);
  const longest = steps.reduce((most, step) => Math.max(most, step), 0);
  return frameAt(longest, clip.timeBase, rate);
}

/** Answers what the decoder complained of, if it did. */
async function decodeClip(
  { task, media, context }: LookAttempt,
  clip: ClipFacts,
  rate: Rate,
  startTicks: number | undefined,
  expected: number,
): Promise<string | undefined> {
  const frames = Math.ceil((MAX_CLIP_SECONDS * rate.num) / rate.den) + 1;
  const graph = [
    `[0:${clip.stream}]${[...clipStart(startTicks), ...conformFilters(rate), ...uprightFilters(clip.picture.orientation)].join(',')},split[all][some]`,
    `[all]${THUMB_FILTER}[thumbs]`,
    `[some]fps=${STEPS_A_SECOND},scale=${QUALITY_WIDTH}:${QUALITY_HEIGHT}:flags=area,format=gray[quality]`,
  ].join(';');
  const raw = ['-fps_mode', 'passthrough', '-f', 'rawvideo'];
  const sound = ['-map', '0:a:0', '-vn', '-ac', '1', '-ar', String(SOUND_RATE), '-f', 's16le'];
  const { width, height } = clip.picture;
  const run = await media.ffmpeg(
    [
      {
        name: task.clip,
        options: ['-noautorotate', ...(startTicks === undefined ? [] : ['-copyts'])],
      },
    ],
    [
      {
        name: { file: THUMBS_FILE },
        options: [
          '-filter_complex',
          graph,
          '-map',
          '[thumbs]',
          '-frames:v',
          String(frames),
          ...raw,
        ],
      },
      { name: { file: QUALITY_FILE }, options: ['-map', '[quality]', ...raw] },
      ...(clip.hasSound ? [{ name: { file: SOUND_FILE }, options: sound }] : []),
    ],
    ({ frame }) => {
      const share = expected > 0 ? Math.min(1, frame / expected) : 0;
      context.progress(0.9 * share, frame, `${frame} frames`);
    },
    { limitMs: decodeLimitMs(Math.max(expected, 100_000), width * height) },
  );
  if (!run.ok) throw processFault(run, `looking at ${task.clip}`);
  return run.complaints[0] === undefined ? undefined : oneLine(run.complaints[0]);
}

/** Its first picture is at 0. */
export function clipStart(startTicks: number | undefined): string[] {
  return startTicks === undefined ? ['setpts=PTS-STARTPTS'] : [`setpts=PTS-(${startTicks})`];
}

async function measureThumbs(
  { work, task }: LookAttempt,
  rate: Rate,
): Promise<ReturnType<FrameMeter['finish']>> {
  const path = join(work.directory, THUMBS_FILE);
  const { size } = await stat(path);
  if (size / THUMB_BYTES > (MAX_CLIP_SECONDS * rate.num) / rate.den) throw tooLong(task.clip);
  const meter = new FrameMeter(rate.num / rate.den);
  for await (const thumb of blocksOf(path, THUMB_BYTES)) meter.add(thumb);
  return meter.finish();
}

async function measureSharpness(directory: string): Promise<number[]> {
  const path = join(directory, QUALITY_FILE);
  const values: number[] = [];
  for await (const grey of blocksOf(path, QUALITY_WIDTH * QUALITY_HEIGHT)) {
    values.push(sharpness(grey));
  }
  await rm(path);
  return values;
}

async function measureLoudness(directory: string): Promise<number[]> {
  const path = join(directory, SOUND_FILE);
  const step = SOUND_RATE / STEPS_A_SECOND;
  const [sums, counts]: [number[], number[]] = [[], []];
  for await (const block of blocksOf(path, 2 * step, true)) {
    const samples = samplesOf(block);
    sums.push(samples.reduce((sum, sample) => sum + sample * sample, 0));
    counts.push(samples.length);
  }
  await rm(path, { force: true });
  return stepLoudness(sums, counts);
}
