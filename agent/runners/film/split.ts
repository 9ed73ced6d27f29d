/**
 * Indexes a film once and cuts it into pieces that can be encoded apart. What cannot be cut exactly
 * (no times in the container, a clock that jumps) becomes one piece: the source itself.
 */
import { copyFile, link } from 'node:fs/promises';
import { join } from 'node:path';
import type { Retime, SplitTask } from '../../../proto/gen/furrow/v1/task.ts';
import { FilmFault, oneLine, processFault } from './film-fault.ts';
import { filmRunner } from './film-runner.ts';
import {
  frameTimes,
  isSteady,
  readPackets,
  refuseEndless,
  refuseTruncated,
  tooManyFrames,
  type PacketRow,
} from './frame-index.ts';
import { backwards } from './film-clock.ts';
import { PLAN_NAME, writePlan, type FilmPlan, type PlanPiece } from './film-plan.ts';
import { decodeLimitMs, MAX_FRAMES } from './media-limits.ts';
import { cutPieces, INDEX_SHARE, type SplitAttempt } from './cut-pieces.ts';
import { picturesOf, withRetime } from './film-frames.ts';
import { findFields } from './interlace.ts';
import { retimedCount, type Timeline } from './retime.ts';
import {
  pictureStream,
  probeAndDecode,
  streamsOf,
  tracksOf,
  type MediaFacts,
  type MediaStream,
} from './source-facts.ts';
import { describePicture, hasPaletteBeside } from './picture.ts';
import { hiddenDelaySeconds } from './start-anchor.ts';
import { timecodeOf } from './timecode.ts';
import { packTimes, parseTimeBase, secondsOf, type TimeBase } from './timeline.ts';

/** A clock that moves more than this between two packets has jumped. */
const MAX_STEP_SECONDS = 10;

export const splitRunner = filmRunner('split', split);

async function split(attempt: SplitAttempt): Promise<void> {
  const { media, task, work, context } = attempt;
  const sizeBytes = await media.sizeOf(task.source);
  if (sizeBytes === undefined || sizeBytes === 0) {
    const what = sizeBytes === 0 ? 'is empty' : "is none of the unit's inputs: name it as one";
    throw new FilmFault('invalid-input', `${task.source} ${what}`);
  }
  const facts = await probeAndDecode(media, task.source);
  const picture = pictureOf(task.source, facts);
  const base = parseTimeBase(picture.time_base);
  if (base === undefined) throw new FilmFault('invalid-input', `${task.source} has no time base`);
  await refuseUndecodable(attempt, facts, picture);
  context.progress(0.02, 1, 'reading the index');

  const index = await readPackets(media, task.source, String(picture.index), (packets) =>
    context.progress(INDEX_SHARE / 2, packets, `${packets} packets`),
  );
  refuseTruncated(task.source, index);
  if (index.packets.length === 0) {
    throw new FilmFault('invalid-input', `${task.source} has a video stream without any frame`);
  }
  const steady = isSteady(index.packets, (MAX_STEP_SECONDS * base.den) / base.num);
  const times = steady ? frameTimes(index.packets) : undefined;
  if (times !== undefined && times.length > 0) refuseEndless(task.source, times, base);
  const timeline =
    times === undefined || times.length === 0
      ? undefined
      : { timeBase: base, times, lastFrameTicks: lastTicks(index.packets, times) };
  const deinterlace = await fieldsOf(attempt, picture, facts);
  if (timeline !== undefined) refuseEndlessFilm(attempt, timeline, deinterlace);
  const { width = 0, height = 0 } = picture;
  const { codec_name: codec, index: stream } = picture;
  const source = { name: task.source, stream, timeBase: base, codec };
  const pieces =
    timeline === undefined || hasPaletteBeside(picture)
      ? undefined
      : await cutPieces(
          { ...attempt, task: withNeighbours(task, deinterlace) },
          { ...source, packets: index.packets, pixels: width * height },
          timeline,
          deinterlace,
        );
  const described = { facts, picture, base };
  const sourcePlan =
    pieces === undefined || timeline === undefined
      ? await planWhole(attempt, described, index.packets.length, deinterlace)
      : planCut(attempt, described, timeline, pieces);
  const plan = withFilm(sourcePlan, task.retime, deinterlace);
  await writePlan(work.directory, plan);
  context.log(
    `${PLAN_NAME}: ${plan.frames} frames in ${plan.pieces.length} pieces (${plan.mode})` +
      (plan.film === undefined ? '' : `, ${plan.film.frames} frames of the film`),
  );
  context.progress(1, index.packets.length + plan.frames, `${plan.pieces.length} pieces`);
}

function pictureOf(source: string, facts: MediaFacts): MediaStream {
  const picture = pictureStream(facts);
  if (picture === undefined) {
    const only = streamsOf(facts, 'audio').length > 0 ? 'only audio' : 'no video';
    throw new FilmFault('invalid-input', `${source} has ${only}: nothing to encode`);
  }
  if (picture.codec_name === undefined || picture.codec_name === 'unknown') {
    throw new FilmFault(
      'invalid-input',
      `${source} has video of an unknown codec (${picture.codec_tag_string ?? '?'})`,
    );
  }
  return picture;
}

/** One frame is decoded, unless the probe has done so: it tells a missing decoder from a film. */
async function refuseUndecodable(
  attempt: SplitAttempt,
  facts: MediaFacts,
  picture: MediaStream,
): Promise<void> {
  const { media, task } = attempt;
  if (facts.frames.some((frame) => frame.stream_index === picture.index)) return;
  let frames = 0;
  const run = await media.ffmpegLines(
    [{ name: task.source }],
    [
      ['-map', `0:${picture.index}`, '-frames:v', '1'],
      ['-f', 'framecrc'],
    ].flat(),
    (line) => {
      if (!line.startsWith('#')) frames += 1;
    },
    { look: true },
  );
  if (frames > 0) return;
  const text = run.complaints.join('\n');
  if (/Decoder \(codec|no decoder|Decoder not found/i.test(text)) {
    throw new FilmFault(
      'invalid-input',
      `${task.source} has video of codec ${picture.codec_name}, which this ffmpeg cannot decode`,
    );
  }
  if (run.result.exitCode === null) throw processFault(run, `reading ${task.source}`);
  const said = run.complaints[0];
  throw new FilmFault(
    'invalid-input',
    `${task.source} has no frame that can be decoded${said === undefined ? '' : ` (${oneLine(said)})`}`,
  );
}

interface Described {
  readonly facts: MediaFacts;
  readonly picture: MediaStream;
  readonly base: TimeBase;
}

function planCut(
  attempt: SplitAttempt,
  described: Described,
  { times, lastFrameTicks }: Timeline,
  pieces: readonly PlanPiece[],
): FilmPlan {
  const { facts, base } = described;
  const start = Number(facts.format.start_time ?? 0);
  const delaySeconds = secondsOf(times[0]!, base) - (Number.isFinite(start) ? start : 0);
  return {
    ...commonPlan(attempt, described, times),
    videoDelayUs: Math.round(delaySeconds * 1e6),
    lastFrameTicks,
    mode: 'cut',
    pieces: [...pieces],
  };
}

/**
 * The film in one piece, at the times that ffmpeg itself gives it: it fills in missing ones and mends
 * jumps. Costs a decode of the whole.
 */
async function planWhole(
  attempt: SplitAttempt,
  described: Described,
  packets: number,
  deinterlace: Deinterlacing | undefined,
): Promise<FilmPlan> {
  const { media, task, work, context } = attempt;
  const { base, facts, picture } = described;
  const times: number[] = [];
  const tooMany = new AbortController();
  const { width = 0, height = 0 } = picture;
  const run = await media.ffmpegLines(
    [{ name: task.source, options: ['-noautorotate'] }],
    [
      ['-map', `0:${picture.index}`, '-vf', 'scale=16:16', '-fps_mode', 'passthrough'],
      ['-enc_time_base', `${base.num}/${base.den}`, '-f', 'framecrc'],
    ].flat(),
    (line) => {
      const pts = Number(line.split(',')[2]);
      if (line.startsWith('#') || !Number.isFinite(pts)) return;
      if (times.length >= MAX_FRAMES) tooMany.abort();
      else times.push(pts);
      if (times.length % 500 === 0) context.progress(INDEX_SHARE, times.length, 'decoding');
    },
    { limitMs: decodeLimitMs(packets, width * height), signal: tooMany.signal },
  );
  if (tooMany.signal.aborted) throw tooManyFrames(task.source, MAX_FRAMES);
  if (!run.ok) throw processFault(run, `decoding ${task.source}`);
  if (times.length === 0) {
    throw new FilmFault('invalid-input', `${task.source} has no frame that can be decoded`);
  }
  if (times.some((time, i) => i > 0 && time <= times[i - 1]!)) {
    throw backwards(task.source);
  }
  refuseEndless(task.source, times, base);
  const timeline = { timeBase: base, times, lastFrameTicks: typicalStep(times) };
  refuseEndlessFilm(attempt, timeline, deinterlace);
  // Its bytes say what it is, not what it was called.
  const name = 'piece-00000.bin';
  const from = join(work.directory, task.source);
  await link(from, join(work.directory, name)).catch(() =>
    copyFile(from, join(work.directory, name)),
  );
  return {
    ...commonPlan(attempt, described, times),
    // Pieces are read without the other tracks, as the picture was here: its times then count from its own first
    // packet, which no frame need come of where a recording begins between keyframes.
    videoDelayUs: Math.round(
      (secondsOf(times[0]!, base) + hiddenDelaySeconds(facts, picture)) * 1e6,
    ),
    lastFrameTicks: typicalStep(times),
    mode: 'whole',
    pieces: [{ name, firstFrame: 0, frames: times.length, timeBase: base, shiftTicks: 0 }],
  };
}

function commonPlan(
  attempt: SplitAttempt,
  { facts, picture, base }: Described,
  times: readonly number[],
): Pick<FilmPlan, 'version' | 'source' | 'timeBase' | 'frames' | 'times'> {
  return {
    version: 1,
    source: {
      name: attempt.task.source,
      stream: picture.index,
      ...describePicture(picture),
      audioTracks: streamsOf(facts, 'audio').length,
      tracks: tracksOf(facts),
      timecode: timecodeOf(facts),
    },
    timeBase: base,
    frames: times.length,
    times: packTimes(times),
  };
}

type Deinterlacing = NonNullable<FilmPlan['deinterlace']>;

/** As the task asks for, and where it asks only for films that need it, as the source is. */
async function fieldsOf(
  { media, task, context }: SplitAttempt,
  picture: MediaStream,
  facts: MediaFacts,
): Promise<Deinterlacing | undefined> {
  if (task.deinterlace === undefined) return undefined;
  const { always, eachField } = task.deinterlace;
  const seconds = Number(facts.format.duration ?? 0);
  const parity = await findFields(media, task.source, picture, seconds);
  const what = { tff: 'interlaced, top field first', bff: 'interlaced, bottom field first' };
  const found = parity === undefined || parity === 'auto' ? 'not interlaced' : what[parity];
  context.log(`${task.source} is ${found}`);
  if (parity === undefined && !always) return undefined;
  return { parity: parity ?? 'auto', eachField };
}

/** What is made of a frame's fields depends on the frames beside it. */
function withNeighbours(task: SplitTask, deinterlace: Deinterlacing | undefined): SplitTask {
  if (deinterlace === undefined) return task;
  const { leadFrames = 0, tailFrames = 0 } = task;
  return { ...task, leadFrames: Math.max(1, leadFrames), tailFrames: Math.max(1, tailFrames) };
}

/** One frame of the film for each of the source's pictures. */
const AS_THEY_ARE: Retime = { rateNum: 0, rateDen: 0, factor: 1, between: false };

function withFilm(
  plan: FilmPlan,
  retime: Retime | undefined,
  deinterlace: Deinterlacing | undefined,
): FilmPlan {
  if (deinterlace === undefined) return retime === undefined ? plan : withRetime(plan, retime);
  // A frame that is alone has no length that two pictures could share.
  const eachField = deinterlace.eachField && plan.frames > 1;
  const whole: FilmPlan = { ...plan, version: 2, deinterlace: { ...deinterlace, eachField } };
  return retime === undefined && !eachField ? whole : withRetime(whole, retime ?? AS_THEY_ARE);
}

/** Throws FilmFault `invalid-input` where the film that is asked for has more frames than are taken. */
function refuseEndlessFilm(
  { task }: SplitAttempt,
  timeline: Timeline,
  deinterlace: Deinterlacing | undefined,
): void {
  const retime = task.retime ?? AS_THEY_ARE;
  if (retime.factor === 0 && (retime.rateNum === 0 || retime.rateDen === 0)) {
    throw new FilmFault('invalid-input', 'the task asks for a frame rate of 0');
  }
  const frames = retimedCount(picturesOf(timeline, { deinterlace }), retime);
  if (frames > MAX_FRAMES) {
    throw new FilmFault(
      'invalid-input',
      `${task.source} would become a film of ${frames} frames, at most ${MAX_FRAMES} are made; ask for a lower rate`,
    );
  }
}

function lastTicks(packets: readonly PacketRow[], times: readonly number[]): number {
  const { duration } = packets.at(-1)!;
  return duration > 0 ? duration : typicalStep(times);
}

/** The median step, for a last frame whose length the container does not say. */
function typicalStep(times: readonly number[]): number {
  const steps = times.slice(1).map((time, i) => time - times[i]!);
  steps.sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] ?? 0;
}
