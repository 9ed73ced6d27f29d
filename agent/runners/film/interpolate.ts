/**
 * Makes the frames of one piece of a film at other times than its source's, and vouches for the chunk as
 * `encode.ts` does. One ffmpeg decodes, the model's process makes what lies between the frames that come, another
 * ffmpeg encodes; between them are pipes, and nothing is ever written down.
 */
import type { InterpolateTask } from '../../../proto/gen/furrow/v1/task_interpolate.ts';
import { ModelKind } from '../../../proto/gen/furrow/v1/model.ts';
import type { InterpolateWork, MadeFrames, WorkerAnswer } from '../../models/model-work.ts';
import { throughModel } from '../../models/through-model.ts';
import { checkChunk, MAKE_SHARE, sealChunk } from './check-chunk.ts';
import { planAndPiece } from './encode.ts';
import { FilmFault } from './film-fault.ts';
import { chunkFrames, type ChunkFrames } from './film-frames.ts';
import { chunkName } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import type { MediaRun } from './media-process.ts';
import { refuseHdr, uprightSize } from './model-frames.ts';
import {
  decodeIntoPipe,
  encodeFromPipe,
  FFMPEG_BYTES,
  type ModelPassage,
  passageEncoding,
} from './model-passage.ts';

type InterpolateAttempt = FilmAttempt<InterpolateTask>;
type Model = NonNullable<NonNullable<InterpolateTask['use']>['model']>;

export const interpolateRunner = filmRunner('interpolate', interpolate, { usesModel: true });

/** What an encoder holds for each pixel: frames to look ahead, and those that others refer to. */
const ENCODER_BYTES_A_PIXEL = 160;
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

interface Passage extends ModelPassage {
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
  refuseHdr(plan);
  return {
    model,
    provider,
    manifest,
    plan,
    piece,
    frames: chunkFrames(plan, piece),
    tailFrames: piece.tailFrames ?? 0,
    size: uprightSize(plan),
    settings: passageEncoding(plan, task.video, work).settings,
  };
}

interface Passed {
  readonly decoding: MediaRun;
  readonly made: MadeFrames;
}

async function sendThrough(attempt: InterpolateAttempt, passage: Passage): Promise<Passed> {
  const { context, media } = attempt;
  const { model, provider, size, frames } = passage;
  const pixels = size.width * size.height;
  let decoding: MediaRun | undefined;
  let made: MadeFrames | undefined;
  const onTold = (told: WorkerAnswer): void => {
    if (told.event === 'result') made = told.value as MadeFrames;
    if (told.event !== 'progress') return;
    const fraction = MAKE_SHARE * Math.min(1, told.done / frames.frames);
    context.progress(fraction, told.done, '');
  };
  await throughModel(context, {
    request: { model, provider, reservedBytes: FFMPEG_BYTES + pixels * ENCODER_BYTES_A_PIXEL },
    otherBytes: pixels * BYTES_A_PIXEL * FRAMES_AT_ONCE,
    needsWhole: true,
    workOf: () => workOf(passage),
    feed: async (signal) => {
      decoding = await decodeIntoPipe(media, passage, signal);
    },
    drain: (signal) => encodeFromPipe(media, passage, model.name, signal),
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
