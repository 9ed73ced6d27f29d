/**
 * Encodes one piece into a chunk with exactly the frames that the plan gives it, and vouches for the
 * chunk. All of it here, so that the checks run in parallel on the agents.
 */
import type { EncodeTask } from '../../../proto/gen/furrow/v1/task.ts';
import type { UnitWork } from '../runner.ts';
import { MAKE_SHARE, SOURCE_THUMBS, vouchFor } from './check-chunk.ts';
import { encoderSettings, knownEncoder, type EncoderSettings } from './encoder-settings.ts';
import type { MediaOutput } from './ffmpeg-argv.ts';
import { FilmFault, processFault } from './film-fault.ts';
import {
  chunkFrames,
  filmFrameRate,
  filmTimeBase,
  pictureBase,
  pieceFrames,
} from './film-frames.ts';
import { chunkName, readPlan, type FilmPlan, type PlanPiece } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { bookedThreads, type MediaRun } from './media-process.ts';
import { ownPictureFilters, rateFilters } from './piece-graph.ts';
import { THUMB_FILTER } from './picture-likeness.ts';
import { steadyFilters } from './steady.ts';

type EncodeAttempt = FilmAttempt<EncodeTask>;
type ChunkAttempt = FilmAttempt<unknown>;

export const encodeRunner = filmRunner('encode', encode);

async function encode(attempt: EncodeAttempt): Promise<void> {
  const { work, task } = attempt;
  const { plan, piece } = await planAndPiece(work);
  const before = task.steady === true ? await steadyFilters(work.directory, plan, piece) : [];
  await makeChunk(attempt, plan, piece, { settings: settingsFor(attempt, plan), before });
}

/** How a chunk is made of its piece. */
export interface ChunkMaking {
  readonly settings: EncoderSettings;
  /** Filters before those of the settings, on the picture as it is stored. */
  readonly before?: readonly string[];
  /** Chunks are MP4, but for codecs that only QuickTime carries. */
  readonly muxer?: 'mp4' | 'mov';
  /** Where the piece's frames lie; default: as the plan has them. */
  readonly source?: PieceSource;
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
  await vouchFor(attempt, { plan, piece, frames, pixelFormat, decoded });
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

function settingsFor({ task, work }: EncodeAttempt, plan: FilmPlan): EncoderSettings {
  const video = task.video ?? {
    encoder: '',
    crf: 0,
    preset: '',
    width: 0,
    height: 0,
    threads: 0,
  };
  const encoder = knownEncoder(video.encoder);
  if (encoder === undefined) {
    throw new FilmFault('invalid-input', `encoder ${video.encoder} is not known`);
  }
  const threads = video.threads || bookedThreads(work);
  return encoderSettings(
    encoder,
    video,
    { ...plan.source, frameRate: filmFrameRate(plan) },
    threads,
  );
}

async function encodePiece(
  { media, context }: ChunkAttempt,
  plan: FilmPlan,
  piece: PlanPiece,
  { settings, before = [], muxer = 'mp4', source, besides = [] }: ChunkMaking,
): Promise<MediaRun> {
  const { den } = filmTimeBase(plan);
  const { frames } = pieceFrames(piece);
  const { stream, inputOptions, filters } = source ?? plannedSource(plan, piece);
  const graph =
    `[0:${stream}]${[...filters, ...before, ...settings.filters].join(',')},split[own][copy];` +
    `[own]${[...rateFilters(plan, piece), 'null'].join(',')}[film];[copy]${THUMB_FILTER}[thumbs]`;
  const timedIn = (ticksPerSecond: number): string[] =>
    [['-fps_mode', 'passthrough'], '-enc_time_base', `1/${ticksPerSecond}`].flat();
  const run = await media.ffmpeg(
    [{ name: piece.name, options: ['-noautorotate', ...inputOptions] }],
    [
      {
        name: { file: chunkName(piece) },
        options: [
          ['-filter_complex', graph, '-map', '[film]', ...timedIn(den), ...settings.options],
          [
            '-map_metadata',
            '-1',
            '-map_chapters',
            '-1',
            '-video_track_timescale',
            String(den),
            '-f',
            muxer,
          ],
        ].flat(),
      },
      {
        name: { file: SOURCE_THUMBS },
        options: ['-map', '[thumbs]', ...timedIn(pictureBase(plan).den), '-f', 'rawvideo'],
      },
      ...besides,
    ],
    ({ frame, fps }) =>
      context.progress(
        MAKE_SHARE * Math.min(1, frame / frames),
        frame,
        fps > 0 ? `${Math.round(fps)} fps` : '',
      ),
    // An encoder may take as long as it was told to; that frames come is what its step's limits watch.
    { limitMs: Infinity },
  );
  if (!run.ok) throw filterFault(run) ?? processFault(run, `encoding ${piece.name}`);
  return run;
}

/** Some builds of ffmpeg leave filters out; another agent may have them. */
function filterFault({ complaints }: MediaRun): FilmFault | undefined {
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
