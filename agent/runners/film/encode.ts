/**
 * Encodes one piece into a chunk with exactly the frames that the plan gives it, and vouches for the
 * chunk. All of it here, so that the checks run in parallel on the agents.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { EncodeTask, VideoEncoding } from '../../../proto/gen/furrow/v1/task.ts';
import type { UnitWork } from '../runner.ts';
import { MAKE_SHARE, SOURCE_THUMBS, vouchFor } from './check-chunk.ts';
import type { MadeBy } from './chunk-seal.ts';
import {
  DEFAULT_ENCODING,
  PASS_LOG,
  refuseTooSmall,
  settingsFor,
  type EncoderSettings,
} from './encoder-settings.ts';
import type { MediaOutput } from './ffmpeg-argv.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { chunkFrames, filmTimeBase, pictureBase, pieceFrames } from './film-frames.ts';
import { chunkName, readPlan, type FilmPlan, type PlanPiece } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { bookedThreads, type MediaRun } from './media-process.ts';
import { evenStep, exactTimes, ownPictureFilters, rateFilters } from './piece-graph.ts';
import { THUMB_FILTER } from './picture-likeness.ts';
import type { ProgressBlock } from './progress-lines.ts';
import { oneFormFilters } from './one-form.ts';
import { withoutRgb } from './rgb-source.ts';
import { readQuality } from './quality-facts.ts';
import { bitsOf, isDeep } from './pixel-depth.ts';
import { rateOf, readRates } from './rate-plan.ts';
import { steadyFilters } from './steady.ts';

type EncodeAttempt = FilmAttempt<EncodeTask>;
type ChunkAttempt = FilmAttempt<unknown>;

export const encodeRunner = filmRunner('encode', encode);

async function encode(attempt: EncodeAttempt): Promise<void> {
  const { work, task } = attempt;
  const { plan, piece } = await planAndPiece(work);
  refuseTooSmall(task.video ?? DEFAULT_ENCODING, plan.source);
  if (task.steady === true) sayDepth(attempt, plan, piece);
  const steady = task.steady === true ? await steadyFilters(work.directory, plan, piece) : [];
  const encoding = await encodingOf(attempt, piece);
  const { source, filters } = withoutRgb(plan.source);
  const threads = task.video?.threads || bookedThreads(work);
  const settings = settingsFor(encoding, { ...plan, source }, threads);
  const made = madeBy(encoding.encoder, task, work);
  const before = [...filters, ...steady];
  const form = oneFormFilters(plan.source, encoding);
  await makeChunk(attempt, plan, piece, { settings, before, form, made });
}

/** What the seal says of who encoded the chunk, and why. */
function madeBy(encoder: string, { inPlaceOf }: EncodeTask, { because }: UnitWork): MadeBy {
  if (inPlaceOf === undefined) return { encoder };
  const fallback = `in place of ${inPlaceOf}: ${because ?? 'it failed'}`;
  return { encoder, fallback };
}

/** What holds a film still sees eight bits, whatever the film has: people should know. */
function sayDepth({ context }: EncodeAttempt, { source }: FilmPlan, piece: PlanPiece): void {
  if (piece.firstFrame > 0 || !isDeep(source.pixelFormat)) return;
  const what = `${source.name} has ${bitsOf(source.pixelFormat)} bits a value`;
  context.log(`${what}: vid.stab works in eight, and so finely are the steady pictures made`);
}

/** How a chunk is made of its piece. */
export interface ChunkMaking {
  readonly settings: EncoderSettings;
  /** Filters before those of the settings, on the picture as it is stored. */
  readonly before?: readonly string[];
  /** Filters after those of the settings, by which all pieces of the film have one form. */
  readonly form?: readonly string[];
  /** Chunks are MP4, but for codecs that only QuickTime carries. */
  readonly muxer?: 'mp4' | 'mov';
  /** Where the piece's frames lie; default: as the plan has them. */
  readonly source?: PieceSource;
  readonly made?: MadeBy;
  /** Written from the same decoded picture. */
  readonly besides?: readonly MediaOutput[];
}

interface PieceSource {
  readonly stream: string;
  readonly inputOptions: readonly string[];
  /** From decoded frames to those of the piece, the first at 0, in ticks of the plan. */
  readonly filters: readonly string[];
}

/** The plan, and the piece of it that is the unit's item. Throws FilmFault. */
export async function planAndPiece(work: UnitWork): Promise<{ plan: FilmPlan; piece: PlanPiece }> {
  const plan = await readPlan(work.directory);
  const piece = plan.pieces.find((candidate) => candidate.name === work.item);
  if (piece !== undefined) return { plan, piece };
  throw new FilmFault('invalid-input', `${work.item} is not a piece of the plan`);
}

/** Writes the piece's `chunk-*` and `seal-*`. Throws FilmFault. */
export async function makeChunk(
  attempt: ChunkAttempt,
  plan: FilmPlan,
  piece: PlanPiece,
  making: ChunkMaking,
): Promise<void> {
  refuseBetween(plan);
  const frames = chunkFrames(plan, piece);
  const decoded = await encodePiece(attempt, plan, piece, making);
  const { pixelFormat } = making.settings;
  const { made } = making;
  await vouchFor(attempt, { plan, piece, frames, pixelFormat, decoded, made });
}

/** The piece's own frames as the plan has them. */
export function plannedSource(plan: FilmPlan, piece: PlanPiece): PieceSource {
  return {
    stream: plan.mode === 'whole' ? String(plan.source.stream) : 'v:0',
    inputOptions: plan.mode === 'cut' ? ['-copyts'] : [],
    filters: ownPictureFilters(plan, piece),
  };
}

/** Only other steps make frames that the source does not have. */
function refuseBetween({ film }: FilmPlan): void {
  if (film === undefined || (film.retime.factor <= 1 && !film.retime.between)) return;
  throw new FilmFault('invalid-input', 'the plan wants frames between those of the source');
}

/** As the task has it, with the bits or the quality that steps before this one found for the piece. */
async function encodingOf(
  { task, work, context }: EncodeAttempt,
  piece: PlanPiece,
): Promise<VideoEncoding> {
  const video = task.video ?? DEFAULT_ENCODING;
  if ((video.bitrateBps ?? 0) > 0) {
    const bitrateBps = rateOf(await readRates(work.directory), piece.name);
    context.log(`${piece.name}: ${Math.round(bitrateBps / 1000)} kbit/s`);
    return { ...video, bitrateBps };
  }
  if ((video.targetSsim ?? 0) === 0) return video;
  const { crf, ssim } = await readQuality(work.directory);
  context.log(`${piece.name}: crf ${crf}, at which samples have an SSIM of ${ssim.toFixed(4)}`);
  return { ...video, crf };
}

/** Once at constant quality; twice for a number of bits, where the encoder can. */
async function encodePiece(
  attempt: ChunkAttempt,
  plan: FilmPlan,
  piece: PlanPiece,
  { settings, before = [], form = [], muxer = 'mp4', source, besides = [], made }: ChunkMaking,
): Promise<MediaRun> {
  const { media, work } = attempt;
  const { den } = filmTimeBase(plan);
  const { frames } = pieceFrames(piece);
  const { stream, inputOptions, filters } = source ?? plannedSource(plan, piece);
  const options = [...(settings.device ?? []), '-noautorotate', ...inputOptions];
  const input = { name: piece.name, options };
  const exact = exactTimes(den, settings.ticksAreFrames === true ? evenStep(plan) : 1);
  const own = `[0:${stream}]${[...filters, ...before, ...settings.filters, ...form].join(',')}`;
  const rate = [...rateFilters(plan, piece), 'null', ...(settings.upload ?? [])].join(',');
  if (settings.firstPass !== undefined) {
    const graph = ['-filter_complex', `${own},${rate}[film]`, '-map', '[film]', ...exact];
    const output: MediaOutput = {
      name: 'null',
      options: [...graph, ...settings.firstPass, '-f', 'null'],
    };
    const onFrames = progressFrom(attempt, frames, 0, FIRST_PASS_SHARE);
    const run = await media.ffmpeg([input], [output], onFrames, { limitMs: Infinity });
    if (!run.ok) throw filterFault(run) ?? processFault(run, `measuring ${piece.name}`);
  }
  const graph = `${own},split[own][copy];[own]${rate}[film];[copy]${THUMB_FILTER}[thumbs]`;
  const container = ['-map_metadata', '-1', '-map_chapters', '-1', '-f', muxer];
  const film = {
    name: { file: chunkName(piece) },
    options: [
      ['-filter_complex', graph, '-map', '[film]', ...exact, ...settings.options],
      ['-video_track_timescale', String(den), ...container],
    ].flat(),
  };
  const thumbs = {
    name: { file: SOURCE_THUMBS },
    options: ['-map', '[thumbs]', ...exactTimes(pictureBase(plan).den), '-f', 'rawvideo'],
  };
  const done = settings.firstPass === undefined ? 0 : FIRST_PASS_SHARE;
  const run = await media.ffmpeg(
    [input],
    [film, thumbs, ...besides],
    progressFrom(attempt, frames, done, 1),
    // An encoder may take as long as it was told to; that frames come is what its step's limits watch.
    { limitMs: Infinity },
  );
  if (!run.ok) {
    const by = made === undefined ? '' : ` with ${made.encoder}`;
    throw filterFault(run) ?? processFault(run, `encoding ${piece.name}${by}`);
  }
  for (const name of await readdir(work.directory)) {
    if (name.startsWith(PASS_LOG)) await rm(join(work.directory, name));
  }
  return run;
}

/** Of what comes before the check; a first pass is quicker than the second. */
const FIRST_PASS_SHARE = 0.4;

function progressFrom(
  { context }: ChunkAttempt,
  frames: number,
  from: number,
  until: number,
): (block: ProgressBlock) => void {
  const before = from > 0 ? frames : 0;
  return ({ frame, fps }) =>
    context.progress(
      MAKE_SHARE * (from + (until - from) * Math.min(1, frame / frames)),
      before + frame,
      fps > 0 ? `${Math.round(fps)} fps` : '',
    );
}

/** Some builds of ffmpeg leave filters out; another agent may have them. */
export function filterFault({ complaints }: MediaRun): FilmFault | undefined {
  const missing = complaints
    .map((line) => /No such filter: '(\w+)'/.exec(line)?.[1])
    .find((filter) => filter !== undefined);
  return missing === undefined
    ? undefined
    : new FilmFault(
        'failed',
        `this agent's ffmpeg has no filter ${missing}: install a build with it (zscale is in those with libzimg)`,
      );
}
