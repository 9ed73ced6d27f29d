/**
 * Indexes a film once and cuts it into pieces that can be encoded apart. What cannot be cut exactly
 * (no times in the container, a clock that jumps) becomes one piece: the source itself.
 */
import { copyFile, link, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FilmFault, oneLine, processFault } from './film-fault.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import {
  frameTimes,
  isSteady,
  readPackets,
  refuseEndless,
  refuseTruncated,
  tooManyFrames,
} from './frame-index.ts';
import { PLAN_NAME, writePlan, type FilmPlan, type PlanPiece } from './film-plan.ts';
import { decodeLimitMs, MAX_FRAMES } from './media-limits.ts';
import { cutPiece, type CutSource, type PieceClock } from './piece-cut.ts';
import { cutInOnePass, type CutList } from './piece-pass.ts';
import {
  pictureStream,
  probeAndDecode,
  streamsOf,
  tracksOf,
  type MediaFacts,
  type MediaStream,
} from './source-facts.ts';
import { describePicture } from './picture.ts';
import { timecodeOf } from './timecode.ts';
import { packTimes, parseTimeBase, pieceStarts, secondsOf, type TimeBase } from './timeline.ts';

type SplitAttempt = FilmAttempt<{ readonly source: string; readonly pieceMs: number }>;

/** A clock that moves more than this between two packets has jumped. */
const MAX_STEP_SECONDS = 10;

const DEFAULT_PIECE_MS = 10_000;

/** An attempt may leave 4,000 outputs; a very long film gets longer pieces instead. */
const MAX_PIECES = 3000;

/** Finding and cutting share the bar by what they cost on a large file. */
const INDEX_SHARE = 0.3;

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
  const cut =
    times === undefined || times.length === 0
      ? undefined
      : await cutAll(
          attempt,
          { name: task.source, stream: picture.index, timeBase: base, packets: index.packets },
          times,
        );
  const described = { facts, picture, base };
  const plan =
    cut === undefined || times === undefined
      ? await planWhole(attempt, described, index.packets.length)
      : planCut(attempt, described, times, cut, index.packets.at(-1)!.duration);
  await writePlan(work.directory, plan);
  context.log(`${PLAN_NAME}: ${plan.frames} frames in ${plan.pieces.length} pieces (${plan.mode})`);
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

interface CutResult {
  readonly pieces: readonly PlanPiece[];
}

/** Cuts all pieces; undefined when one of them cannot be cut exactly. */
async function cutAll(
  attempt: SplitAttempt,
  source: CutSource,
  times: readonly number[],
): Promise<CutResult | undefined> {
  const { task } = attempt;
  const { num, den } = source.timeBase;
  const pieceMs = task.pieceMs > 0 ? task.pieceMs : DEFAULT_PIECE_MS;
  const keyTimes = source.packets
    .filter((packet) => packet.key && !packet.discarded)
    .map((packet) => packet.pts!)
    .sort((a, b) => a - b);
  const shortest = (times.at(-1)! - times[0]!) / MAX_PIECES;
  const pieceTicks = Math.max((pieceMs * den) / (1000 * num), shortest);
  const starts = pieceStarts(times, keyTimes, pieceTicks);
  // NUT keeps any time base; Matroska's is a millisecond, and its own files survive it best.
  const extension = num === 1 && den === 1000 ? 'mkv' : 'nut';
  const names = starts.map((_, i) => `piece-${String(i).padStart(5, '0')}.${extension}`);
  const ranges = starts.map((start, i) => ({
    fromPts: times[start]!,
    untilPts: times[starts[i + 1] ?? times.length] ?? times.at(-1)! + 1,
  }));
  const list = { ranges, names, pattern: `piece-%05d.${extension}` };
  const clocks =
    (await cutTogether(attempt, source, list)) ?? (await cutEach(attempt, source, list));
  if (clocks === undefined) return undefined;
  return {
    pieces: names.map((name, i) => ({
      name,
      firstFrame: starts[i]!,
      frames: (starts[i + 1] ?? times.length) - starts[i]!,
      ...clocks[i]!,
    })),
  };
}

async function cutTogether(
  attempt: SplitAttempt,
  source: CutSource,
  list: CutList,
): Promise<readonly PieceClock[] | undefined> {
  const { media, work, context } = attempt;
  const count = source.packets.length;
  const clocks = await cutInOnePass(media, work.directory, source, list, (packets) =>
    context.progress(
      INDEX_SHARE + (1 - INDEX_SHARE) * Math.min(1, packets / count),
      count + packets,
      'cutting',
    ),
  );
  if (clocks === undefined) {
    await removePieces(attempt);
    context.log('no one pass cuts exactly here: each piece is cut by itself');
  }
  return clocks;
}

/** Undefined when one piece cannot be cut exactly. */
async function cutEach(
  attempt: SplitAttempt,
  source: CutSource,
  { names, ranges }: CutList,
): Promise<readonly PieceClock[] | undefined> {
  const { media, context } = attempt;
  const clocks: PieceClock[] = [];
  for (const [i, name] of names.entries()) {
    const clock = await cutPiece(media, source, ranges[i]!, name);
    if (clock === undefined) {
      await removePieces(attempt);
      context.log(`${name} cannot be cut exactly: the film stays in one piece`);
      return undefined;
    }
    clocks.push(clock);
    const share = clocks.length / names.length;
    context.progress(
      INDEX_SHARE + (1 - INDEX_SHARE) * share,
      // Beyond what one pass over all of them had counted.
      source.packets.length * 2 + clocks.length,
      `${clocks.length} of ${names.length} pieces`,
    );
  }
  return clocks;
}

/** What was cut before the cutting failed is no output. */
async function removePieces({ work }: SplitAttempt): Promise<void> {
  for (const name of await readdir(work.directory)) {
    if (name.startsWith('piece-')) await rm(join(work.directory, name));
  }
}

interface Described {
  readonly facts: MediaFacts;
  readonly picture: MediaStream;
  readonly base: TimeBase;
}

function planCut(
  attempt: SplitAttempt,
  described: Described,
  times: readonly number[],
  cut: CutResult,
  lastDuration: number,
): FilmPlan {
  const { facts, base } = described;
  const start = Number(facts.format.start_time ?? 0);
  const delaySeconds = secondsOf(times[0]!, base) - (Number.isFinite(start) ? start : 0);
  return {
    ...commonPlan(attempt, described, times),
    videoDelayUs: Math.round(delaySeconds * 1e6),
    lastFrameTicks: lastDuration > 0 ? lastDuration : typicalStep(times),
    mode: 'cut',
    pieces: [...cut.pieces],
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
): Promise<FilmPlan> {
  const { media, task, work, context } = attempt;
  const { base, picture } = described;
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
    throw new FilmFault(
      'invalid-input',
      `${task.source} has frames whose times run backwards; remux it first (ffmpeg -i in -c copy out.mkv)`,
    );
  }
  refuseEndless(task.source, times, base);
  // Its bytes say what it is, not what it was called.
  const name = 'piece-00000.bin';
  const from = join(work.directory, task.source);
  await link(from, join(work.directory, name)).catch(() =>
    copyFile(from, join(work.directory, name)),
  );
  return {
    ...commonPlan(attempt, described, times),
    videoDelayUs: Math.round(secondsOf(times[0]!, base) * 1e6),
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

/** The median step, for a last frame whose length the container does not say. */
function typicalStep(times: readonly number[]): number {
  const steps = times.slice(1).map((time, i) => time - times[i]!);
  steps.sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] ?? 0;
}
