/**
 * Makes a film of rendered frames: each once, in order, for one tick of the frame rate. Holds the film against the
 * frames, picture by picture, and vouches for it.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256File } from '../../../kit/sha256-file.ts';
import type { FilmFramesTask } from '../../../proto/gen/furrow/v1/task.ts';
import { containerOf, muxerOptions } from '../film/container.ts';
import { encoderSettings, knownEncoder } from '../film/encoder-settings.ts';
import { FilmFault, oneLine, processFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { decodeLimitMs } from '../film/media-limits.ts';
import { bookedThreads } from '../film/media-process.ts';
import { THUMB_BYTES, THUMB_FILTER, type Likeness } from '../film/picture-likeness.ts';
import { compareThumbFiles } from '../film/thumb-files.ts';
import { writeFilmSeal } from './film-seal.ts';
import { lookAtFrames, sequenceOf, type SeenFrame } from './frame-files.ts';
import { readScene } from './scene-facts.ts';

type FilmAttemptOfFrames = FilmAttempt<FilmFramesTask>;

const FRAME_THUMBS = 'thumbs-frames.gray';
const FILM_THUMBS = 'thumbs-film.gray';
const ENCODE_SHARE = 0.85;

/** What screens show, whatever the frames' own numbers: full-range RGB becomes what players expect. */
const TO_VIDEO = 'scale=out_color_matrix=bt709:out_range=tv';
const VIDEO_COLOURS = 'setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709';

export const filmFramesRunner = filmRunner('filmFrames', makeFilm);

async function makeFilm(attempt: FilmAttemptOfFrames): Promise<void> {
  const { work, task, media } = attempt;
  const scene = await readScene(work.directory);
  const size = scene.hasBorder ? undefined : scene;
  const frames = await lookAtFrames(media, { frames: scene.frames, format: scene.format, size });
  const frameRate = task.frameRate || scene.frameRate;
  await encode(attempt, frames, frameRate);
  const likeness = await compare(attempt, frames);
  const { sha256 } = await sha256File(join(work.directory, task.film));
  const { meanDifference, worstDifference } = likeness;
  await writeFilmSeal(work.directory, {
    version: 1,
    sha256,
    frames: frames.length,
    frameRate,
    meanDifference,
    worstDifference,
  });
  for (const name of [FRAME_THUMBS, FILM_THUMBS]) await rm(join(work.directory, name));
}

async function encode(
  { work, task, media, context }: FilmAttemptOfFrames,
  frames: readonly SeenFrame[],
  frameRate: string,
): Promise<void> {
  const container = containerOf(task.film);
  const encoder = knownEncoder(task.video?.encoder ?? '');
  if (container === undefined || encoder === undefined || task.video === undefined) {
    throw new FilmFault('invalid-input', `${task.film}: its container or encoder is not known`);
  }
  const { width, height } = frames[0]!;
  const source = sourceOf(width, height, frameRate);
  const settings = encoderSettings(encoder, task.video, source, bookedThreads(work));
  const graph =
    `[0:v]${[TO_VIDEO, ...settings.filters, VIDEO_COLOURS].join(',')},split[film][copy];` +
    `[copy]${THUMB_FILTER}[thumbs]`;
  const exact = ['-fps_mode', 'passthrough'];
  const colours = ['-colorspace', 'bt709', '-color_primaries', 'bt709', '-color_trc', 'bt709'];
  const run = await media.ffmpeg(
    [await sequenceOf(work.directory, frames, frameRate)],
    [
      {
        name: { file: task.film },
        options: [
          ['-filter_complex', graph, '-map', '[film]', ...exact, ...settings.options],
          [...colours, '-color_range', 'tv', ...muxerOptions(container)],
        ].flat(),
      },
      {
        name: { file: FRAME_THUMBS },
        options: ['-map', '[thumbs]', ...exact, '-f', 'rawvideo'],
      },
    ],
    ({ frame, fps }) =>
      context.progress(
        ENCODE_SHARE * Math.min(1, frame / frames.length),
        frame,
        fps > 0 ? `${Math.round(fps)} fps` : '',
      ),
    // An encoder may take as long as it was told to; that frames come is what its step's limits watch.
    { limitMs: Infinity },
  );
  if (!run.ok) throw processFault(run, `encoding ${task.film}`);
  if (run.complaints.length > 0) {
    throw new FilmFault('bad-output', `a frame does not decode: ${oneLine(run.complaints[0]!)}`);
  }
}

function sourceOf(
  width: number,
  height: number,
  frameRate: string,
): Parameters<typeof encoderSettings>[2] {
  const unknown = 'unknown';
  return {
    name: 'frames',
    codec: 'png',
    width,
    height,
    frameRate,
    pixelFormat: 'rgb24',
    stream: 0,
    orientation: [1, 0, 0, 1],
    colour: {
      range: unknown,
      space: unknown,
      transfer: unknown,
      primaries: unknown,
    },
    masteringDisplay: '',
    contentLight: '',
    audioTracks: 0,
  };
}

/** The film, decoded whole, against the frames of which it was made. */
async function compare(
  { work, task, media, context }: FilmAttemptOfFrames,
  frames: readonly SeenFrame[],
): Promise<Likeness> {
  const { width, height } = frames[0]!;
  const run = await media.ffmpeg(
    [{ name: task.film, options: ['-err_detect', 'explode'] }],
    [
      {
        name: { file: FILM_THUMBS },
        options: [
          ['-map', '0:v:0', '-vf', THUMB_FILTER, '-fps_mode', 'passthrough'],
          ['-f', 'rawvideo'],
        ].flat(),
      },
    ],
    ({ frame }) =>
      context.progress(
        ENCODE_SHARE + (1 - ENCODE_SHARE) * Math.min(1, frame / frames.length),
        frames.length + frame,
        'checking',
      ),
    { limitMs: decodeLimitMs(frames.length, width * height) },
  );
  if (!run.ok) throw processFault(run, `checking ${task.film}`);
  const [made, shown] = [FRAME_THUMBS, FILM_THUMBS].map((name) => join(work.directory, name));
  const shownFrames = (await stat(shown!)).size / THUMB_BYTES;
  const madeFrames = (await stat(made!)).size / THUMB_BYTES;
  if (shownFrames !== frames.length || madeFrames !== frames.length || run.complaints.length > 0) {
    const message = `${task.film} shows ${shownFrames} frames, not ${frames.length}`;
    throw new FilmFault('bad-output', message);
  }
  const likeness = await compareThumbFiles(made!, shown!, frames.length);
  if (likeness.fault === undefined) return likeness;
  throw new FilmFault('bad-output', `${task.film}: ${likeness.fault}`);
}
