/**
 * The way of a piece's frames through a model, whatever the model makes of them: one ffmpeg decodes them into the
 * worker's pipe, another encodes what comes out of it. Between them are pipes, and nothing is ever written down.
 */
import type { ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import type { ChunkEncoding } from '../../../proto/gen/furrow/v1/task_interpolate.ts';
import { type FrameBits, type FrameSize, PIPE_IN, PIPE_OUT } from '../../models/model-work.ts';
import type { UnitWork } from '../runner.ts';
import { SOURCE_THUMBS } from './check-chunk.ts';
import type { SaidPicture } from './chunk-seal.ts';
import {
  carriesHdr10,
  type EncoderSettings,
  encoderSettings,
  type KnownEncoder,
  knownEncoder,
} from './encoder-settings.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { filmFrameRate, filmTimeBase, pictureBase } from './film-frames.ts';
import { chunkName, type FilmPlan, type PlanPiece } from './film-plan.ts';
import { bookedThreads, type MediaProcess, type MediaRun } from './media-process.ts';
import { frameBits, isHdr, readFrames, takeFrames, withoutGbr } from './model-frames.ts';
import { exactTimes, ownPictureFilters, pieceInput, pieceStream } from './piece-graph.ts';
import { THUMB_FILTER } from './picture-likeness.ts';

/** Two ffmpeg processes, and the decoder's frames. */
export const FFMPEG_BYTES = 160 * 2 ** 20;

/** What goes through a model, and how it is encoded after. */
export interface ModelPassage {
  readonly plan: FilmPlan;
  readonly piece: PlanPiece;
  readonly manifest: ModelManifest;
  /** Of the frames that the worker reads, the right way up. */
  readonly size: FrameSize;
  /** Of the frames after the piece's own so many are read as well. */
  readonly tailFrames: number;
  /** Of those before them; these have no thumbs. */
  readonly leadFrames?: number;
  readonly settings: EncoderSettings;
  /** Of a value in the pipes. */
  readonly bits: FrameBits;
  /** What the film will say of its picture. */
  readonly said: SaidPicture;
}

interface PassageEncoding extends Pick<ModelPassage, 'settings' | 'bits' | 'said'> {
  readonly encoder: KnownEncoder;
}

/** As deep as the source is. Throws FilmFault `invalid-input` for an encoder that is not known. */
export function passageEncoding(
  plan: FilmPlan,
  video: ChunkEncoding | undefined,
  work: UnitWork,
): PassageEncoding {
  const encoder = knownEncoder(video?.encoder ?? '');
  if (encoder === undefined) {
    throw new FilmFault('invalid-input', `encoder ${video?.encoder} is not known`);
  }
  const { crf = 0, preset = '' } = video ?? {};
  const unlimited = { encoder, crf, preset, width: 0, height: 0, threads: 0 };
  const bits = frameBits(plan);
  // Frames come the right way up; what colours they are in is said where they are taken.
  const source = {
    ...plan.source,
    frameRate: filmFrameRate(plan),
    pixelFormat: bits === 16 ? 'yuv420p10le' : 'yuv420p',
    orientation: [1, 0, 0, 1],
    colour: { range: 'unknown', space: 'unknown', transfer: 'unknown', primaries: 'unknown' },
  };
  const settings = encoderSettings(encoder, unlimited, source, bookedThreads(work));
  const { masteringDisplay, contentLight } = plan.source;
  const { colour } = withoutGbr(plan.source);
  const said = carriesHdr10(encoder)
    ? { colour, masteringDisplay, contentLight }
    : { colour, masteringDisplay: '', contentLight: '' };
  return { encoder, settings, bits, said };
}

/** What people should know of a film through a model, in the log of its first piece. */
export function passageWords({ plan, piece, said }: ModelPassage, encoder: string): string[] {
  if (piece.firstFrame > 0) return [];
  const { source } = plan;
  const words: string[] = [];
  if (isHdr(plan)) {
    const what = `${source.name} is HDR (${source.colour.transfer})`;
    words.push(`${what}: the model sees its coded values, though it learned of SDR pictures`);
  }
  if (
    source.masteringDisplay !== said.masteringDisplay ||
    source.contentLight !== said.contentLight
  ) {
    words.push(`${encoder} writes no HDR10 data, libx265 and libsvtav1 do: the film has none`);
  }
  return words;
}

/** Into PIPE_IN; thumbs of the same frames into SOURCE_THUMBS. */
export async function decodeIntoPipe(
  media: MediaProcess,
  { plan, piece, manifest, size, tailFrames, leadFrames = 0 }: ModelPassage,
  signal: AbortSignal,
): Promise<MediaRun> {
  const { filters, format } = readFrames(plan, size, manifest);
  const own = [...ownPictureFilters(plan, piece, tailFrames, leadFrames), ...filters].join(',');
  const graph =
    `${pieceStream(plan)}${own},split[film][copy];` +
    `[film]${format}[frames];[copy]trim=start_frame=${leadFrames},${THUMB_FILTER}[thumbs]`;
  const raw = [...exactTimes(pictureBase(plan).den), '-f', 'rawvideo'];
  const wanted = leadFrames + piece.frames + tailFrames;
  let found = 0;
  const run = await media.ffmpeg(
    [pieceInput(plan, piece)],
    [
      {
        name: { file: PIPE_IN },
        options: ['-filter_complex', graph, '-map', '[frames]', ...raw],
      },
      { name: { file: SOURCE_THUMBS }, options: ['-map', '[thumbs]', ...raw] },
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

/** From PIPE_OUT into the piece's chunk. */
export async function encodeFromPipe(
  media: MediaProcess,
  passage: ModelPassage,
  modelName: string,
  signal: AbortSignal,
): Promise<void> {
  const { plan, piece, settings } = passage;
  const { den } = filmTimeBase(plan);
  const filters = await takeFrames(media, plan, piece, passage);
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
  if (!run.ok) throw processFault(run, `encoding what ${modelName} made of ${piece.name}`);
}
