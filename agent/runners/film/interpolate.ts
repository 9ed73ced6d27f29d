/**
 * Makes the frames of one piece of a film at other times than its source's, and vouches for the chunk as
 * `encode.ts` does. One ffmpeg decodes, the model's process makes what lies between the frames that come, another
 * ffmpeg encodes; between them are pipes, and nothing is ever written down.
 */
import type { InterpolateTask } from '../../../proto/gen/furrow/v1/task_interpolate.ts';
import { ModelKind } from '../../../proto/gen/furrow/v1/model.ts';
import type {
  InterpolateWork,
  MadeFrames,
  SmoothedRuns,
  WorkerAnswer,
} from '../../models/model-work.ts';
import { throughModel } from '../../models/through-model.ts';
import { checkChunk, MAKE_SHARE, sealChunk } from './check-chunk.ts';
import { planAndPiece } from './encode.ts';
import { FilmFault } from './film-fault.ts';
import { chunkFrames, type ChunkFrames, filmFrameRate } from './film-frames.ts';
import { chunkName } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import type { MediaRun } from './media-process.ts';
import { refuseCinema, uprightSize } from './model-frames.ts';
import type { ShownFrames } from './picture-likeness.ts';
import { unpackTimes } from './timeline.ts';
import {
  decodeIntoPipe,
  encodeFromPipe,
  FFMPEG_BYTES,
  type ModelPassage,
  passageEncoding,
  passageWords,
} from './model-passage.ts';

type InterpolateAttempt = FilmAttempt<InterpolateTask>;
type Model = NonNullable<NonNullable<InterpolateTask['use']>['model']>;

export const interpolateRunner = filmRunner('interpolate', interpolate, { usesModel: true });

/** What an encoder holds for each pixel of eight bits: frames to look ahead, and those that others refer to. */
const ENCODER_BYTES_A_PIXEL = 160;
/** Frames that the worker has at once: as they come, and as numbers for the model. */
const FRAMES_AT_ONCE = 5;
/** A picture that is shown longer is a still one: drawings on fours at 24 frames a second are not. */
const MOST_RUN = 6;
const MOST_RUNS_A_SECOND = 6;
const FLOAT_BYTES = 4;

async function interpolate(attempt: InterpolateAttempt): Promise<void> {
  const { work, context } = attempt;
  const passage = await passageOf(attempt);
  const { plan, piece, tailFrames, settings, smooths } = passage;
  for (const line of passageWords(passage, passage.encoder)) context.log(line);
  const { decoding, made, smoothed } = await sendThrough(attempt, passage);
  context.log(
    `${chunkName(piece)}: ${made.source} frames as they were, ${made.made} made, ${made.held} held (${made.cuts} cuts)`,
  );
  if (smooths)
    context.log(`${chunkName(piece)}: ${smoothed.length} runs of the same picture became motion`);
  const checked = await checkChunk(attempt, plan, piece, decoding, {
    tailFrames,
    ...(smooths && { shown: shownBy(passage, smoothed) }),
  });
  await sealChunk(work.directory, piece, checked, settings.pixelFormat, {
    said: passage.said,
  });
}

interface Passage extends ModelPassage {
  readonly encoder: string;
  readonly leadFrames: number;
  /** Short runs of frames that show the same are one frame each. */
  readonly smooths: boolean;
  readonly model: Model;
  readonly provider: string;
  readonly frames: ChunkFrames;
}

/** Throws FilmFault `invalid-input`. */
async function passageOf({ task, work }: InterpolateAttempt): Promise<Passage> {
  const { model, provider = '' } = task.use ?? {};
  const manifest = model?.manifest;
  if (model === undefined || manifest?.kind !== ModelKind.MODEL_KIND_INTERPOLATE) {
    throw new FilmFault('invalid-input', 'the task names no model that interpolates');
  }
  const { plan, piece } = await planAndPiece(work);
  if (plan.film?.retime.between !== true) {
    throw new FilmFault('invalid-input', 'the plan wants no frames between those of the source');
  }
  refuseCinema(plan);
  const smooths = task.smoothDuplicates === true;
  return {
    model,
    provider,
    manifest,
    plan,
    piece,
    frames: chunkFrames(plan, piece),
    tailFrames: piece.tailFrames ?? 0,
    leadFrames: smooths ? (piece.leadFrames ?? 0) : 0,
    smooths,
    size: uprightSize(plan),
    ...passageEncoding(plan, task.video, work),
  };
}

interface Passed {
  readonly decoding: MediaRun;
  readonly made: MadeFrames;
  /** Of the frames that the worker read. */
  readonly smoothed: SmoothedRuns['smoothed'];
}

async function sendThrough(attempt: InterpolateAttempt, passage: Passage): Promise<Passed> {
  const { context, media } = attempt;
  const { model, provider, size, frames, bits, smooths } = passage;
  const pixels = size.width * size.height;
  const valueBytes = bits / 8;
  const framesAtOnce = FRAMES_AT_ONCE + (smooths ? MOST_RUN : 0);
  const reservedBytes = FFMPEG_BYTES + pixels * ENCODER_BYTES_A_PIXEL * valueBytes;
  let decoding: MediaRun | undefined;
  let made: MadeFrames | undefined;
  const smoothed: SmoothedRuns['smoothed'][number][] = [];
  const onTold = (told: WorkerAnswer): void => {
    if (told.event === 'result') {
      const value = told.value as MadeFrames | SmoothedRuns;
      if ('smoothed' in value) smoothed.push(...value.smoothed);
      else made = value;
    }
    if (told.event !== 'progress') return;
    const fraction = MAKE_SHARE * Math.min(1, told.done / frames.frames);
    context.progress(fraction, told.done, '');
  };
  await throughModel(context, {
    request: { model, provider, reservedBytes },
    otherBytes: pixels * 3 * (valueBytes + FLOAT_BYTES) * framesAtOnce,
    needsWhole: true,
    workOf: () => workOf(passage),
    feed: async (signal) => {
      decoding = await decodeIntoPipe(media, passage, signal);
    },
    drain: (signal) => encodeFromPipe(media, passage, model.name, signal),
    onTold,
  });
  if (decoding === undefined || made === undefined) throw new Error('a work ended without a word');
  return { decoding, made, smoothed };
}

function workOf(passage: Passage): InterpolateWork {
  const { plan, piece, frames, tailFrames, leadFrames, size, bits, smooths } = passage;
  const { timeBase, times, from, part } = frames;
  const film = {
    timeBase,
    ticks: times.map((time) => time - times[0]!),
    from: from.map((frame) => frame + leadFrames),
    part,
  };
  const count = leadFrames + piece.frames + tailFrames;
  const first = piece.firstFrame - leadFrames;
  const smooth = {
    ticks: unpackTimes(plan.times).slice(first, first + count),
    most: MOST_RUN,
    mostTicks: plan.timeBase.den / plan.timeBase.num / MOST_RUNS_A_SECOND,
  };
  return {
    kind: 'interpolate',
    ...size,
    frames: count,
    bits,
    frameRate: filmFrameRate(plan),
    film,
    ...(smooths && { smooth }),
  };
}

/** What the frames of the film show, where runs of the source's became motion. */
function shownBy({ frames, leadFrames }: Passage, smoothed: Passed['smoothed']): ShownFrames {
  const from = [...frames.from];
  const part = [...frames.part];
  const to = from.map((frame) => frame + 1);
  let at = 0;
  for (const [i, frame] of frames.from.entries()) {
    while (at < smoothed.length && smoothed[at]![1] - leadFrames <= frame) at += 1;
    const [first = Infinity, next = Infinity] = smoothed[at]?.map((n) => n - leadFrames) ?? [];
    if (frame < first) continue;
    // Of a run that began before the piece any frame shows what the first did.
    from[i] = Math.max(0, first);
    to[i] = next;
    if (frame > first) part[i] = Math.max(part[i]!, SOME);
  }
  return { from, part, to };
}

/** Whatever is above 0: it is made of two. */
const SOME = 0.5;
