/**
 * Takes out of one clip what the shots need, so that the units that render them need not have the whole of it:
 * packets as they are where that is exact, else the frames themselves, losslessly. Each piece comes with tiny
 * copies of its frames from the look at the whole clip, against which its shot is held.
 */
import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TakePiecesTask } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { FilmFault, processFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { frameTimes, readPackets, type PacketRow } from '../film/frame-index.ts';
import { losslessOptions } from '../film/lossless.ts';
import { decodeLimitMs, soundLimitMs } from '../film/media-limits.ts';
import { THUMB_BYTES } from '../film/picture-likeness.ts';
import { cutPiece } from '../film/piece-cut.ts';
import { showsItsFirst } from '../film/piece-opening.ts';
import { formatUs, rescale, secondsOf } from '../film/timeline.ts';
import { clipThumbsName, readClipAnalysis, type ClipAnalysis } from './analyses.ts';
import { clipStart } from './analyze-clip.ts';
import { conformFilters, shownFrames } from './conform.ts';
import { clipFramesOf, materialFrames, readCutList, shotStarts, type CutList } from './cut-list.ts';
import { pieceName, pieceThumbsName, soundName, writePiece, type Piece } from './pieces.ts';
import { SOUND_CHANNELS, SOUND_RATE, soundSamples } from './sound.ts';

type TakeAttempt = FilmAttempt<TakePiecesTask>;

/** What is counted goes on from one piece to the next: more than any piece has frames. */
const PASS = 1_000_000;

export const takePiecesRunner = filmRunner('takePieces', takePieces);

interface Source {
  readonly clip: ClipAnalysis;
  readonly list: CutList;
  readonly packets: readonly PacketRow[];
  /** Of all shown frames, in ticks; undefined where the clip is to be decoded from its start. */
  readonly times: readonly number[] | undefined;
}

/** The stretch of the clip that a shot needs, at the film's rate. */
interface Stretch {
  readonly shot: number;
  readonly from: number;
  readonly frames: number;
}

async function takePieces(attempt: TakeAttempt): Promise<void> {
  const { task, work, media, context } = attempt;
  const list = await readCutList(work.directory);
  const stretches = list.shots.flatMap(({ clip, from }, shot): Stretch[] =>
    clip === task.index
      ? [{ shot, from, frames: clipFramesOf(list.shots[shot]!, materialFrames(list.shots, shot)) }]
      : [],
  );
  if (stretches.length === 0) {
    context.progress(1, 1, 'no shot of it');
    return;
  }
  const clip = await readClipAnalysis(work.directory, task.index);
  const { packets } = await readPackets(media, task.clip, String(clip.stream));
  const times = clip.startTicks === undefined ? undefined : frameTimes(packets);
  const source: Source = { clip, list, packets, times };
  for (const [done, stretch] of stretches.entries()) {
    await takePiece(attempt, source, stretch, done / stretches.length, done * PASS);
    await takeThumbs(attempt, stretch);
    if (task.sound) await takeSound(attempt, source, stretch);
    context.progress(
      (done + 1) / stretches.length,
      (done + 1) * PASS,
      `${done + 1} of ${stretches.length}`,
    );
  }
}

async function takePiece(
  attempt: TakeAttempt,
  source: Source,
  stretch: Stretch,
  fraction: number,
  counted: number,
): Promise<void> {
  const { work, context } = attempt;
  const { shot, from, frames } = stretch;
  const packets = await cutPackets(attempt, source, stretch);
  if (packets === undefined) {
    context.log(`${pieceName(shot)} is decoded: the clip cannot be cut exactly`);
    await decodePiece(attempt, source, stretch, (frame) =>
      attempt.context.progress(fraction, counted + frame, `decoding ${frame} of ${frames}`),
    );
  }
  const piece: Piece = {
    version: 1,
    shot,
    picture: source.clip.picture,
    from,
    frames,
    ...(packets !== undefined && { packets }),
  };
  await writePiece(work.directory, piece);
}

/** Undefined where the clip cannot be cut exactly. */
async function cutPackets(
  { media, task }: TakeAttempt,
  { clip, list, packets, times }: Source,
  { shot, from, frames }: Stretch,
): Promise<Piece['packets']> {
  if (times === undefined) return undefined;
  const { timeBase } = clip;
  const { first, last } = shownFrames(times, timeBase, list.rate, from, from + frames);
  const range = { fromPts: times[first]!, untilPts: times[last + 1] ?? times[last]! + 1 };
  const source = { name: task.clip, stream: clip.stream, timeBase, packets };
  const clock = await cutPiece(media, source, range, pieceName(shot));
  if (clock === undefined) return undefined;
  const piece = { name: pieceName(shot), clock, fromPts: range.fromPts };
  if (!(await showsItsFirst(media, source, piece))) return undefined;
  const inPiece = (ticks: number): number =>
    rescale(ticks, timeBase, clock.timeBase) + clock.shiftTicks;
  return {
    startTicks: inPiece(range.fromPts),
    endTicks: inPiece(range.untilPts),
    zeroTicks: inPiece(times[0]!),
  };
}

/** From the clip's start, as the look at it did: only so are a damaged clip's frames the same. */
async function decodePiece(
  { media, task }: TakeAttempt,
  { clip, list, times, packets }: Source,
  { shot, from, frames }: Stretch,
  onFrame: (frame: number) => void,
): Promise<void> {
  const { num } = list.rate;
  const isSteady = times !== undefined;
  const graph = [
    ...clipStart(times?.[0]),
    ...conformFilters(list.rate),
    `trim=start_pts=${from}:end_pts=${from + frames}`,
    'setpts=PTS-STARTPTS',
    `settb=1/${num}`,
  ].join(',');
  const { width, height } = clip.picture;
  const run = await media.ffmpeg(
    [{ name: task.clip, options: ['-noautorotate', ...(isSteady ? ['-copyts'] : [])] }],
    [
      {
        name: { file: pieceName(shot) },
        options: [
          ['-map', `0:${clip.stream}`, '-vf', graph, '-fps_mode', 'passthrough'],
          ['-enc_time_base', `1/${num}`, ...losslessOptions(width * height), '-f', 'nut'],
        ].flat(),
      },
    ],
    ({ frame }) => onFrame(frame),
    { limitMs: decodeLimitMs(Math.max(packets.length, clip.frames), width * height) },
  );
  if (!run.ok) throw processFault(run, `decoding ${task.clip}`);
}

/** The part of the clip's tiny copies that the piece has. */
async function takeThumbs({ work, task }: TakeAttempt, stretch: Stretch): Promise<void> {
  const { shot, from, frames } = stretch;
  const bytes = Buffer.alloc(frames * THUMB_BYTES);
  const thumbs = await open(join(work.directory, clipThumbsName(task.index)));
  try {
    let at = 0;
    while (at < bytes.length) {
      const position = from * THUMB_BYTES + at;
      const { bytesRead } = await thumbs.read(bytes, at, bytes.length - at, position);
      if (bytesRead === 0) {
        throw new FilmFault('invalid-input', `${clipThumbsName(task.index)} ends too soon`);
      }
      at += bytesRead;
    }
  } finally {
    await thumbs.close();
  }
  const part = await open(join(work.directory, pieceThumbsName(shot)), 'w');
  try {
    await part.writeFile(bytes);
  } finally {
    await part.close();
  }
}

/** The clip's own sound while its shot is seen, to the sample; silence where there is none or speed is another. */
async function takeSound(
  { media, task, work }: TakeAttempt,
  { clip, list, times }: Source,
  { shot, from }: Stretch,
): Promise<void> {
  const { frames, speedPercent } = list.shots[shot]!;
  const start = shotStarts(list)[shot]!;
  const samples = soundSamples(start + frames, list.rate) - soundSamples(start, list.rate);
  const path = join(work.directory, soundName(shot));
  const bytes = samples * SOUND_CHANNELS * 2;
  const isHeard = clip.hasSound && speedPercent === 100;
  if (isHeard) {
    const pictureStart = times === undefined ? 0 : secondsOf(times[0]!, clip.timeBase);
    const at = pictureStart + (from * list.rate.den) / list.rate.num;
    const run = await media.ffmpeg(
      [
        {
          name: task.clip,
          options: [
            ...(times === undefined ? [] : ['-seek_timestamp', '1']),
            '-ss',
            formatUs(Math.round(at * 1e6)),
          ],
        },
      ],
      [
        {
          name: { file: soundName(shot) },
          options: [
            ['-map', '0:a:0', '-vn', '-af', soundFilter(samples)],
            ['-f', 's16le', '-c:a', 'pcm_s16le'],
          ].flat(),
        },
      ],
      undefined,
      { limitMs: soundLimitMs(samples / SOUND_RATE, 1) },
    );
    if (!run.ok) throw processFault(run, `the sound of ${task.clip}`);
  } else {
    await rm(path, { force: true });
  }
  // Silence behind it: a track that ends before its picture gives less than was asked for.
  const file = await open(path, 'a');
  try {
    await file.truncate(bytes);
  } finally {
    await file.close();
  }
  if ((await stat(path)).size !== bytes) throw new Error(`${path} is not ${bytes} bytes`);
}

/** Cut sound clicks where it begins and ends loud: ten milliseconds of fading are not heard. */
function soundFilter(samples: number): string {
  const fade = Math.min(SOUND_RATE / 100, Math.floor(samples / 2));
  return [
    `aresample=${SOUND_RATE}:async=1:first_pts=0`,
    'aformat=sample_fmts=s16:channel_layouts=stereo',
    'apad',
    `atrim=end_sample=${samples}`,
    `afade=t=in:start_sample=0:nb_samples=${fade}`,
    `afade=t=out:start_sample=${samples - fade}:nb_samples=${fade}`,
  ].join(',');
}
