/**
 * Makes one piece of a film larger by a model, and vouches for the chunk as `encode.ts` does: the piece's
 * frames, at their times, each like its source. One ffmpeg decodes, the model's process makes larger frames
 * of what comes, another ffmpeg encodes; between them are pipes, and nothing is ever written down.
 */
import type { ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import type { UpscaleTask } from '../../../proto/gen/furrow/v1/task_upscale.ts';
import { MAX_PIXELS } from '../../../kit/film-fence.ts';
import type { FrameSize, ModelWork } from '../../models/model-work.ts';
import { throughModel } from '../../models/through-model.ts';
import { upscalingManifest } from '../../models/upscaling-manifest.ts';
import { checkChunk, MAKE_SHARE, sealChunk } from './check-chunk.ts';
import { planAndPiece } from './encode.ts';
import { FilmFault } from './film-fault.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { chunkFrames, filmFrameRate } from './film-frames.ts';
import { chunkName, type FilmPlan, type PlanPiece } from './film-plan.ts';
import { refuseCinema, uprightSize } from './model-frames.ts';
import {
  decodeIntoPipe,
  encodeFromPipe,
  FFMPEG_BYTES,
  type ModelPassage,
  passageEncoding,
  passageWords,
} from './model-passage.ts';
import { packTimes } from './timeline.ts';

type UpscaleAttempt = FilmAttempt<UpscaleTask>;

export const upscaleRunner = filmRunner('upscale', upscale, { usesModel: true });

/** What encoders hold for each pixel of a frame of eight bits: frames to look ahead, and those that others refer to. */
const ENCODER_BYTES_A_PIXEL = { libx264: 110, libx265: 160, libsvtav1: 220, 'libvpx-vp9': 110 };

async function upscale(attempt: UpscaleAttempt): Promise<void> {
  const { work, task } = attempt;
  const manifest = upscalingManifest(task.use?.model);
  const { plan, piece } = await planAndPiece(work);
  if (plan.film !== undefined) {
    throw new FilmFault('invalid-input', 'the plan wants other frames than those of the source');
  }
  refuseCinema(plan);
  const passage = passageOf(attempt, plan, piece, manifest);
  for (const line of passageWords(passage, passage.encoder)) attempt.context.log(line);
  const complaints = await sendThrough(attempt, passage);
  const checked = await checkChunk(attempt, plan, piece, { complaints });
  const { header } = checked;
  const { width, height } = evened(passage.large, passage.encoder);
  if (header.width !== width || header.height !== height) {
    const found = `${header.width}x${header.height}`;
    throw new FilmFault('bad-output', `${chunkName(piece)} is ${found}, not ${width}x${height}`);
  }
  await sealChunk(work.directory, piece, checked, passage.settings.pixelFormat, {
    said: passage.said,
  });
}

interface Passage extends ModelPassage {
  readonly large: FrameSize;
  readonly encoder: keyof typeof ENCODER_BYTES_A_PIXEL;
}

function passageOf(
  { task, work }: UpscaleAttempt,
  plan: FilmPlan,
  piece: PlanPiece,
  manifest: ModelManifest,
): Passage {
  const encoding = passageEncoding(plan, task.video, work);
  const size = uprightSize(plan);
  const { scale } = manifest;
  const large = { width: size.width * scale, height: size.height * scale };
  if (large.width * large.height > MAX_PIXELS) {
    const what = `${plan.source.name} would become ${large.width}x${large.height}`;
    throw new FilmFault('invalid-input', `${what}, beyond 8K: choose a model of a smaller scale`);
  }
  return { ...encoding, plan, piece, manifest, size, tailFrames: 0, large };
}

/** Answers what the decoder complained of. */
async function sendThrough(attempt: UpscaleAttempt, passage: Passage): Promise<readonly string[]> {
  const { context, task, media } = attempt;
  const { size, large, encoder, piece, bits } = passage;
  const model = task.use!.model!;
  const pixels = large.width * large.height;
  const valueBytes = bits / 8;
  let complaints: readonly string[] = [];
  await throughModel(context, {
    request: {
      model,
      provider: task.use!.provider,
      reservedBytes: FFMPEG_BYTES + pixels * ENCODER_BYTES_A_PIXEL[encoder] * valueBytes,
    },
    otherBytes: (size.width * size.height + pixels) * 3 * valueBytes,
    workOf: (roomPixels) => workOf(passage, roomPixels),
    feed: async (signal) => {
      ({ complaints } = await decodeIntoPipe(media, passage, signal));
    },
    drain: (signal) => encodeFromPipe(media, passage, model.name || 'the model', signal),
    onTold: (told) => {
      if (told.event !== 'progress') return;
      const fraction = MAKE_SHARE * Math.min(1, told.done / piece.frames);
      // Parts of a frame count: one may take minutes.
      context.progress(fraction, Math.ceil(told.done * 100), '');
    },
  });
  return complaints;
}

function workOf({ plan, piece, size, bits }: Passage, roomPixels: number): ModelWork {
  const { timeBase, times: ticks } = chunkFrames(plan, piece);
  const times = { timeBase, ...packTimes(ticks) };
  const frameRate = filmFrameRate(plan);
  return { kind: 'upscale', ...size, frames: piece.frames, bits, times, frameRate, roomPixels };
}

/** As `encoder-settings.ts` cuts what 4:2:0 does not take. */
function evened({ width, height }: FrameSize, encoder: string): FrameSize {
  if (encoder === 'libvpx-vp9') return { width, height };
  return { width: width - (width % 2), height: height - (height % 2) };
}
