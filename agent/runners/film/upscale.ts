/**
 * Makes one piece of a film larger by a model, and vouches for the chunk as `encode.ts` does: the piece's
 * frames, at their times, each like its source. One ffmpeg decodes, the model's process makes larger frames
 * of what comes, another ffmpeg encodes; between them are pipes, and nothing is ever written down.
 */
import type { ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import type { UpscaleTask } from '../../../proto/gen/furrow/v1/task_upscale.ts';
import { MAX_PIXELS } from '../../../kit/film-fence.ts';
import { type FrameSize, type ModelWork, PIPE_IN, PIPE_OUT } from '../../models/model-work.ts';
import { throughModel } from '../../models/through-model.ts';
import { upscalingManifest } from '../../models/upscaling-manifest.ts';
import { checkChunk, ENCODE_SHARE, sealChunk, SOURCE_THUMBS } from './check-chunk.ts';
import { type EncoderSettings, encoderSettings, knownEncoder } from './encoder-settings.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { chunkFrames, filmTimeBase } from './film-frames.ts';
import { chunkName, readPlan, type FilmPlan, type PlanPiece } from './film-plan.ts';
import { bookedThreads, type MediaRun } from './media-process.ts';
import { refuseHdr, readFrames, takeFrames, uprightSize } from './model-frames.ts';
import { THUMB_FILTER } from './picture-likeness.ts';
import { ownFrameFilters } from './piece-graph.ts';
import { packTimes } from './timeline.ts';

type UpscaleAttempt = FilmAttempt<UpscaleTask>;

export const upscaleRunner = filmRunner('upscale', upscale, { usesModel: true });

/** What encoders hold for each pixel of a frame: frames to look ahead, and those that others refer to. */
const ENCODER_BYTES_A_PIXEL = { libx264: 110, libx265: 160, libsvtav1: 220, 'libvpx-vp9': 110 };
/** Two ffmpeg processes, and the decoder's frames. */
const FFMPEG_BYTES = 160 * 2 ** 20;

async function upscale(attempt: UpscaleAttempt): Promise<void> {
  const { work, task } = attempt;
  const manifest = upscalingManifest(task.use?.model);
  const plan = await readPlan(work.directory);
  const piece = plan.pieces.find((candidate) => candidate.name === work.item);
  if (piece === undefined) {
    throw new FilmFault('invalid-input', `${work.item} is not a piece of the plan`);
  }
  if (plan.film !== undefined) {
    throw new FilmFault('invalid-input', 'the plan wants other frames than those of the source');
  }
  refuseHdr(plan);
  const passage = passageOf(attempt, plan, piece, manifest);
  const complaints = await sendThrough(attempt, passage);
  const checked = await checkChunk(attempt, plan, piece, { complaints });
  const { header } = checked;
  const { width, height } = evened(passage.large, passage.encoder);
  if (header.width !== width || header.height !== height) {
    const found = `${header.width}x${header.height}`;
    throw new FilmFault('bad-output', `${chunkName(piece)} is ${found}, not ${width}x${height}`);
  }
  await sealChunk(work.directory, piece, checked, passage.settings.pixelFormat);
}

interface Passage {
  readonly plan: FilmPlan;
  readonly piece: PlanPiece;
  readonly manifest: ModelManifest;
  /** Of the frames, the right way up. */
  readonly size: FrameSize;
  readonly large: FrameSize;
  readonly encoder: keyof typeof ENCODER_BYTES_A_PIXEL;
  readonly settings: EncoderSettings;
}

function passageOf(
  { task, work }: UpscaleAttempt,
  plan: FilmPlan,
  piece: PlanPiece,
  manifest: ModelManifest,
): Passage {
  const video = task.video ?? { encoder: '', crf: 0, preset: '' };
  const encoder = knownEncoder(video.encoder);
  if (encoder === undefined) {
    throw new FilmFault('invalid-input', `encoder ${video.encoder} is not known`);
  }
  const size = uprightSize(plan);
  const { scale } = manifest;
  const large = { width: size.width * scale, height: size.height * scale };
  if (large.width * large.height > MAX_PIXELS) {
    const what = `${plan.source.name} would become ${large.width}x${large.height}`;
    throw new FilmFault('invalid-input', `${what}, beyond 8K: choose a model of a smaller scale`);
  }
  const unlimited = { width: 0, height: 0, threads: 0 };
  // Its colours come as the model left them, the right way up, in eight bits.
  const source = {
    ...plan.source,
    pixelFormat: 'yuv420p',
    orientation: [1, 0, 0, 1],
    colour: { range: 'unknown', space: 'unknown', transfer: 'unknown', primaries: 'unknown' },
    masteringDisplay: '',
    contentLight: '',
  };
  const threads = bookedThreads(work);
  const settings = encoderSettings(encoder, { ...video, ...unlimited }, source, threads);
  return { plan, piece, manifest, size, large, encoder, settings };
}

/** Answers what the decoder complained of. */
async function sendThrough(attempt: UpscaleAttempt, passage: Passage): Promise<readonly string[]> {
  const { context, task } = attempt;
  const { size, large, encoder, piece } = passage;
  const pixels = large.width * large.height;
  let complaints: readonly string[] = [];
  await throughModel(context, {
    request: {
      model: task.use!.model!,
      provider: task.use!.provider,
      reservedBytes: FFMPEG_BYTES + pixels * ENCODER_BYTES_A_PIXEL[encoder],
    },
    otherBytes: (size.width * size.height + pixels) * 3,
    workOf: (roomPixels) => workOf(passage, roomPixels),
    feed: async (signal) => {
      const run = await decode(attempt, passage, signal);
      ({ complaints } = run);
    },
    drain: (signal) => encode(attempt, passage, signal),
    onTold: (told) => {
      if (told.event !== 'progress') return;
      const fraction = ENCODE_SHARE * Math.min(1, told.done / piece.frames);
      // Parts of a frame count: one may take minutes.
      context.progress(fraction, Math.ceil(told.done * 100), '');
    },
  });
  return complaints;
}

function workOf({ plan, piece, size }: Passage, roomPixels: number): ModelWork {
  const { timeBase, times: ticks } = chunkFrames(plan, piece);
  const times = { timeBase, ...packTimes(ticks) };
  return { kind: 'upscale', ...size, frames: piece.frames, times, roomPixels };
}

async function decode(
  { media }: UpscaleAttempt,
  { plan, piece, size, manifest }: Passage,
  signal: AbortSignal,
): Promise<MediaRun> {
  const stream = plan.mode === 'whole' ? plan.source.stream : 'v:0';
  const { filters, format } = readFrames(plan, size, manifest);
  const graph =
    `[0:${stream}]${[...ownFrameFilters(plan, piece), ...filters].join(',')},split[film][copy];` +
    `[film]${format}[frames];[copy]${THUMB_FILTER}[thumbs]`;
  const passthrough = ['-fps_mode', 'passthrough'];
  let frames = 0;
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
      frames = frame;
    },
    { limitMs: Infinity, signal },
  );
  if (!run.ok) throw processFault(run, `decoding ${piece.name}`);
  if (frames < piece.frames) {
    const what = `${piece.name} has ${piece.frames} frames, of which ${frames} can be decoded`;
    const why = run.complaints[0] === undefined ? '' : `: ${run.complaints[0]}`;
    throw new FilmFault('invalid-input', `${plan.source.name} is damaged: ${what}${why}`);
  }
  return run;
}

async function encode(
  { media, task }: UpscaleAttempt,
  { plan, piece, manifest, settings }: Passage,
  signal: AbortSignal,
): Promise<void> {
  const { den } = filmTimeBase(plan);
  const filters = await takeFrames(media, plan, piece, { manifest, settings });
  const run = await media.ffmpeg(
    [{ name: PIPE_OUT, pipe: true, options: ['-f', 'nut', '-copyts'] }],
    [
      {
        name: { file: chunkName(piece) },
        options: [
          ['-filter_complex', `[0:v:0]${filters.join(',')}[film]`, '-map', '[film]'],
          ['-fps_mode', 'passthrough', '-enc_time_base', `1/${den}`, ...settings.options],
          ['-video_track_timescale', String(den), '-f', 'mp4'],
        ].flat(),
      },
    ],
    () => undefined,
    { limitMs: Infinity, signal },
  );
  if (!run.ok) {
    const of = task.use?.model?.name ?? 'the model';
    throw processFault(run, `encoding what ${of} made of ${piece.name}`);
  }
}

/** As `encoder-settings.ts` cuts what 4:2:0 does not take. */
function evened({ width, height }: FrameSize, encoder: string): FrameSize {
  if (encoder === 'libvpx-vp9') return { width, height };
  return { width: width - (width % 2), height: height - (height % 2) };
}
