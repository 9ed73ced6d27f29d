/**
 * Renders one shot into a chunk of exactly its frames, and vouches for it: that its clip's frames are those that
 * the look at the whole clip saw there, that the chunk holds what was rendered, and that it decodes.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MontageFilm } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { writeSeal } from '../film/chunk-seal.ts';
import { encoderSettings, knownEncoder, type EncoderSettings } from '../film/encoder-settings.ts';
import { FilmFault, processFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { digestOrder, digestPackets } from '../film/packet-digest.ts';
import { checkShotChunk } from './check-shot-chunk.ts';
import { rateText } from './conform.ts';
import { type CutList, readCutList } from './cut-list.ts';
import {
  chunkFileName,
  type Footage,
  footageFiles,
  pieceName,
  readPiece,
  sealFileName,
  shotOfFile,
  type Piece,
} from './pieces.ts';
import { refuseOtherThumbs } from './planned-thumbs.ts';
import { isSteadied, motionGraph, shotGraph } from './shot-graph.ts';

type ShotAttempt = Pick<FilmAttempt<unknown>, 'media' | 'work' | 'context'>;

const SOURCE_THUMBS = 'thumbs-source.gray';
const RENDERED_THUMBS = 'thumbs-rendered.gray';

/** What is counted goes on from one pass over the frames to the next: more than any shot has. */
const PASS = 1_000_000;

/** Where a clip's colour samples lay goes with its frames into the header, which all shots must share. */
const SAME_HEADER = {
  libx264: 'h264_metadata=chroma_sample_loc_type=0',
  libx265: 'hevc_metadata=chroma_sample_loc_type=0',
} as const;

export const renderShotRunner = filmRunner('renderShot', (attempt) =>
  renderShot(attempt, attempt.task.film, async (_, piece) => piece),
);

/** Of a shot's own piece, or that of the shot before. */
type FootageOf = (list: CutList, piece: Piece, isBefore: boolean) => Promise<Footage>;

interface ShotWork {
  readonly film: MontageFilm;
  readonly list: CutList;
  readonly own: Footage;
  readonly before: Footage | undefined;
  /** Of the chunk. */
  readonly frames: number;
}

/** `footageOf`: what is rendered of a piece. */
export async function renderShot(
  attempt: ShotAttempt,
  film: MontageFilm | undefined,
  footageOf: FootageOf,
): Promise<void> {
  const { work } = attempt;
  if (film === undefined) throw new FilmFault('invalid-input', 'the task has no film');
  const list = await readCutList(work.directory);
  const index = shotOfFile(work.item);
  const shot = list.shots[index];
  if (shot === undefined)
    throw new FilmFault('invalid-input', `${work.item} is no shot of the list`);
  const own = await footageOf(list, await readPiece(work.directory, index), false);
  const before =
    shot.transition === 'cut'
      ? undefined
      : await footageOf(list, await readPiece(work.directory, index - 1), true);
  const job: ShotWork = { film, list, own, before, frames: shot.frames };
  for (const [pass, piece] of [own, ...(before === undefined ? [] : [before])].entries()) {
    if (isSteadied(film, piece)) await watchMotion(attempt, job, piece, pass);
  }
  const settings = settingsFor(film, list);
  await encode(attempt, job, settings);
  await refuseOtherFrames(attempt, job);
  const { header, packets, likeness } = await checkShotChunk(attempt, {
    shot: index,
    frames: shot.frames,
    rate: list.rate,
    renderedThumbs: RENDERED_THUMBS,
  });
  await writeSeal(work.directory, sealFileName(index), {
    version: 1,
    piece: pieceName(index),
    frames: shot.frames,
    packetsSha256: digestPackets(packets),
    orderSha256: digestOrder(packets),
    ...header,
    pixelFormat: settings.pixelFormat,
    meanDifference: likeness.meanDifference,
    worstDifference: likeness.worstDifference,
    ...(own.largeFrom !== undefined && { enlarged: true }),
  });
  for (const name of [SOURCE_THUMBS, RENDERED_THUMBS]) {
    await rm(join(work.directory, name));
  }
}

type ShotSettings = EncoderSettings & { readonly encoder: keyof typeof SAME_HEADER };

function settingsFor(film: MontageFilm, list: CutList): ShotSettings {
  const encoder = knownEncoder(film.encoder);
  if (encoder !== 'libx264' && encoder !== 'libx265') {
    throw new FilmFault('invalid-input', `encoder ${film.encoder} is not known`);
  }
  if (!/^[a-z0-9]*$/.test(film.preset)) {
    throw new FilmFault('invalid-input', `preset ${film.preset} is not known`);
  }
  const video = {
    encoder,
    crf: film.crf,
    preset: film.preset,
    width: 0,
    height: 0,
    threads: film.threads,
  };
  const threads = Math.max(1, film.threads);
  return { ...encoderSettings(encoder, video, sourceOf(film, list), threads), encoder };
}

/** All shots come to the encoder alike, whatever their clips were. */
function sourceOf(film: MontageFilm, list: CutList): Parameters<typeof encoderSettings>[2] {
  return {
    name: film.name,
    codec: 'rawvideo',
    width: film.width,
    height: film.height,
    pixelFormat: 'yuv420p',
    stream: 0,
    frameRate: rateText(list.rate),
    orientation: [1, 0, 0, 1],
    colour: { range: 'tv', space: 'bt709', transfer: 'bt709', primaries: 'bt709' },
    masteringDisplay: '',
    contentLight: '',
    audioTracks: 0,
  };
}

async function watchMotion(
  { media, context }: ShotAttempt,
  { film, list, frames }: ShotWork,
  piece: Footage,
  pass: number,
): Promise<void> {
  const run = await media.ffmpeg(
    [{ name: footageFiles(piece).frames, options: inputOptions(piece) }],
    [
      {
        name: 'null',
        options: ['-map', '0:v:0', '-vf', motionGraph(film, list, piece), '-f', 'null'],
      },
    ],
    ({ frame }) =>
      context.progress(0.1 * (pass + Math.min(1, frame / frames)), pass * PASS + frame, 'watching'),
    { limitMs: Infinity },
  );
  if (!run.ok) throw processFault(run, `watching ${footageFiles(piece).frames} move`);
}

function inputOptions({ packets, largeFrom }: Footage): string[] {
  const isCut = packets !== undefined && largeFrom === undefined;
  return ['-noautorotate', ...(isCut ? ['-copyts'] : [])];
}

async function encode(
  { media, context }: ShotAttempt,
  { film, list, own, before, frames }: ShotWork,
  settings: ShotSettings,
): Promise<void> {
  const { num } = list.rate;
  const exact = ['-fps_mode', 'passthrough', '-enc_time_base', `1/${num}`];
  const graph = shotGraph(film, list, own, before, settings.filters);
  const raw = [...exact, '-f', 'rawvideo'];
  const run = await media.ffmpeg(
    [own, ...(before === undefined ? [] : [before])].map((piece) => ({
      name: footageFiles(piece).frames,
      options: inputOptions(piece),
    })),
    [
      {
        name: { file: chunkFileName(own.shot) },
        options: [
          ['-filter_complex', graph, '-map', '[film]', ...exact, ...settings.options],
          ['-bsf:v', SAME_HEADER[settings.encoder]],
          ['-map_metadata', '-1', '-map_chapters', '-1'],
          ['-video_track_timescale', String(num), '-f', 'mp4'],
        ].flat(),
      },
      { name: { file: RENDERED_THUMBS }, options: ['-map', '[copy]', ...raw] },
      { name: { file: SOURCE_THUMBS }, options: ['-map', '[source]', ...raw] },
    ],
    ({ frame, fps }) =>
      context.progress(
        0.2 + 0.75 * Math.min(1, frame / frames),
        2 * PASS + frame,
        fps > 0 ? `${Math.round(fps)} fps` : '',
      ),
    // That frames come is what the step's limits watch.
    { limitMs: Infinity },
  );
  if (!run.ok) throw processFault(run, `rendering shot ${own.shot + 1}`);
}

/** The footage's frames against those that it should have: see `planned-thumbs.ts`. */
async function refuseOtherFrames({ work }: ShotAttempt, { own }: ShotWork): Promise<void> {
  const { frames, thumbs } = footageFiles(own);
  const seen = await readFile(join(work.directory, SOURCE_THUMBS));
  refuseOtherThumbs(frames, await readFile(join(work.directory, thumbs)), seen, own.frames);
}
