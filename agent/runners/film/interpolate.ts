/**
 * Makes the frames of one piece of a film at other times than its source's, and vouches for the chunk as
 * `encode.ts` does. One ffmpeg decodes, the model's process makes what lies between the frames that come, another
 * ffmpeg encodes; between them are pipes, and nothing is ever written down.
 */
import type { InterpolateTask } from '../../../proto/gen/furrow/v1/task_interpolate.ts';
import { ModelKind } from '../../../proto/gen/furrow/v1/model.ts';
import {
  type FrameSize,
  type InterpolateWork,
  type MadeFrames,
  PIPE_IN,
  PIPE_OUT,
  type WorkerAnswer,
} from '../../models/model-work.ts';
import { throughModel } from '../../models/through-model.ts';
import { checkChunk, ENCODE_SHARE, sealChunk, SOURCE_THUMBS } from './check-chunk.ts';
import { type EncoderSettings, encoderSettings, knownEncoder } from './encoder-settings.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { chunkFrames, filmFrameRate, type ChunkFrames } from './film-frames.ts';
import { chunkName, readPlan, type FilmPlan, type PlanPiece } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { bookedThreads, type MediaRun } from './media-process.ts';
import { readFrames, refuseHdr, takeFrames, uprightSize } from './model-frames.ts';
import { ownFrameFilters } from './piece-graph.ts';
import { THUMB_FILTER } from './picture-likeness.ts';

type InterpolateAttempt = FilmAttempt<InterpolateTask>;
type Model = NonNullable<NonNullable<InterpolateTask['use']>['model']>;

export const interpolateRunner = filmRunner('interpolate', interpolate, { usesModel: true });

/** What an encoder holds for each pixel: frames to look ahead, and those that others refer to. */
const ENCODER_BYTES_A_PIXEL = 160;
/** Two ffmpeg processes, and the decoder's frames. */
const FFMPEG_BYTES = 160 * 2 ** 20;
/** Frames that the worker has at once: of rgb24, and as numbers for the model. */
const FRAMES_AT_ONCE = 5;
const BYTES_A_PIXEL = 3 + 3 * 4;

async function interpolate(attempt: InterpolateAttempt): Promise<void> {
  const { work, context } = attempt;
  const passage = await passageOf(attempt);
  const { plan, piece, tailFrames, settings } = passage;
  const { decoding, made } = await sendThrough(attempt, passage);
  context.log(
    `${chunkName(piece)}: ${made.source} frames as they were, ${made.made} made, ${made.held} held (${made.cuts} cuts)`,
  );
  const checked = await checkChunk(attempt, plan, piece, decoding, tailFrames);
  await sealChunk(work.directory, piece, checked, settings.pixelFormat);
}

interface Passage {
  readonly model: Model;
  readonly provider: string;
  readonly plan: FilmPlan;
  readonly piece: PlanPiece;
  readonly frames: ChunkFrames;
  /** Of the frames after the piece's own so many are needed. */
  readonly tailFrames: number;
  /** Of the frames, the right way up. */
  readonly size: FrameSize;
  readonly settings: EncoderSettings;
}

/** Throws FilmFault `invalid-input`. */
async function passageOf({ task, work }: InterpolateAttempt): Promise<Passage> {
  const { model, provider = '' } = task.use ?? {};
  if (model?.manifest?.kind !== ModelKind.MODEL_KIND_INTERPOLATE) {
    throw new FilmFault('invalid-input', 'the task names no model that interpolates');
  }
  const plan = await readPlan(work.directory);
  const piece = plan.pieces.find((candidate) => candidate.name === work.item);
  if (piece === undefined) {
    throw new FilmFault('invalid-input', `${work.item} is not a piece of the plan`);
  }
  if (plan.film?.retime.between !== true) {
    throw new FilmFault('invalid-input', 'the plan wants no frames between those of the source');
  }
  refuseHdr(plan);
  const encoder = knownEncoder(task.video?.encoder ?? '');
  if (encoder === undefined) {
    throw new FilmFault('invalid-input', `encoder ${task.video?.encoder} is not known`);
  }
  const { crf = 0, preset = '' } = task.video ?? {};
  const video = { encoder, crf, preset, width: 0, height: 0, threads: 0 };
  // Frames come the right way up and in eight bits; what they are in is said where they are taken.
  const source = {
    ...plan.source,
    frameRate: filmFrameRate(plan),
    pixelFormat: 'yuv420p',
    orientation: [1, 0, 0, 1],
    colour: { range: 'unknown', space: 'unknown', transfer: 'unknown', primaries: 'unknown' },
    masteringDisplay: '',
    contentLight: '',
  };
  return {
    model,
    provider,
    plan,
    piece,
    frames: chunkFrames(plan, piece),
    tailFrames: piece.tailFrames ?? 0,
    size: uprightSize(plan),
    settings: encoderSettings(encoder, video, source, bookedThreads(work)),
  };
}

interface Passed {
  readonly decoding: MediaRun;
  readonly made: MadeFrames;
}

async function sendThrough(attempt: InterpolateAttempt, passage: Passage): Promise<Passed> {
  const { context } = attempt;
  const { model, provider, size, frames } = passage;
  const pixels = size.width * size.height;
  let decoding: MediaRun | undefined;
  let made: MadeFrames | undefined;
  const onTold = (told: WorkerAnswer): void => {
    if (told.event === 'result') made = told.value as MadeFrames;
    if (told.event !== 'progress') return;
    const fraction = ENCODE_SHARE * Math.min(1, told.done / frames.frames);
    context.progress(fraction, told.done, '');
  };
  await throughModel(context, {
    request: { model, provider, reservedBytes: FFMPEG_BYTES + pixels * ENCODER_BYTES_A_PIXEL },
    otherBytes: pixels * BYTES_A_PIXEL * FRAMES_AT_ONCE,
    needsWhole: true,
    workOf: () => workOf(passage),
    feed: async (signal) => {
      decoding = await decode(attempt, passage, signal);
    },
    drain: (signal) => encode(attempt, passage, signal),
    onTold,
  });
  if (decoding === undefined || made === undefined) throw new Error('a work ended without a word');
  return { decoding, made };
}

function workOf({ piece, frames, tailFrames, size }: Passage): InterpolateWork {
  const { timeBase, times, from, part } = frames;
  const film = { timeBase, ticks: times.map((time) => time - times[0]!), from, part };
  return { kind: 'interpolate', ...size, frames: piece.frames + tailFrames, film };
}

async function decode(
  { media }: InterpolateAttempt,
  { plan, piece, tailFrames, size, model }: Passage,
  signal: AbortSignal,
): Promise<MediaRun> {
  const stream = plan.mode === 'whole' ? plan.source.stream : 'v:0';
  const { filters, format } = readFrames(plan, size, model.manifest!);
  const graph =
    `[0:${stream}]${[...ownFrameFilters(plan, piece, tailFrames), ...filters].join(',')},split[film][copy];` +
    `[film]${format}[frames];[copy]${THUMB_FILTER}[thumbs]`;
  const passthrough = ['-fps_mode', 'passthrough'];
  const wanted = piece.frames + tailFrames;
  let found = 0;
  const run = await media.ffmpeg(
    [
      {
        name: piece.name,
        options: ['-noautorotate', ...(plan.mode === 'cut' ? ['-copyts'] : [])],
      },
    ],
    [
      {
        name: { file: PIPE_IN },
        options: ['-filter_complex', graph, '-map', '[frames]', ...passthrough, '-f', 'rawvideo'],
      },
      {
        name: { file: SOURCE_THUMBS },
        options: ['-map', '[thumbs]', ...passthrough, '-f', 'rawvideo'],
      },
    ],
    ({ frame }) => {
      found = frame;
    },
    // A model may take as long as it takes; that frames come is what the step's limits watch.
    { limitMs: Infinity, signal },
  );
  if (!run.ok) throw processFault(run, `decoding ${piece.name}`);
  if (found >= wanted) return run;
  const why = run.complaints[0] === undefined ? '' : `: ${run.complaints[0]}`;
  const what = `${piece.name} has ${wanted} frames, of which ${found} can be decoded`;
  throw new FilmFault('invalid-input', `${plan.source.name} is damaged: ${what}${why}`);
}

async function encode(
  { media }: InterpolateAttempt,
  { plan, piece, model, settings, frames }: Passage,
  signal: AbortSignal,
): Promise<void> {
  const den = String(frames.timeBase.den);
  const manifest = model.manifest!;
  const filters = await takeFrames(media, plan, piece, { manifest, settings });
  const run = await media.ffmpeg(
    [{ name: PIPE_OUT, pipe: true, options: ['-f', 'nut', '-copyts'] }],
    [
      {
        name: { file: chunkName(piece) },
        options: [
          ['-filter_complex', `[0:v:0]${filters.join(',')}[film]`, '-map', '[film]'],
          ['-fps_mode', 'passthrough', '-enc_time_base', `1/${den}`, ...settings.options],
          ['-video_track_timescale', den, '-f', 'mp4'],
        ].flat(),
      },
    ],
    () => undefined,
    { limitMs: Infinity, signal },
  );
  if (!run.ok) throw processFault(run, `encoding what ${model.name} made of ${piece.name}`);
}
