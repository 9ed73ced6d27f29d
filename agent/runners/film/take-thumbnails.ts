/**
 * Makes the pictures of a film: contact sheet, sprite sheets with their WebVTT, poster. Frames are taken one by
 * one (`thumbnail-frames.ts`) and put together in memory; ffmpeg only decodes, scales and codes.
 */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_PIXELS } from '../../../kit/film-fence.ts';
import type { Sprites, TakeThumbnailsTask } from '../../../proto/gen/furrow/v1/task_film.ts';
import {
  asYuv4Mpeg,
  meanGrey,
  newCanvas,
  place,
  textSize,
  writeText,
  type Canvas,
} from './canvas.ts';
import { readTimes, type FilmTimes } from './film-clock.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { PICTURES_NAME, type MadePictures } from './made-pictures.ts';
import { HDR_TO_SDR, shownPicture, type ShownPicture } from './shown-picture.ts';
import { probeAndDecode } from './source-facts.ts';
import { takeFrames, type FrameShape, type FrameSource } from './thumbnail-frames.ts';
import {
  cellOf,
  posterPick,
  sheetPicks,
  spriteCues,
  spriteName,
  webVtt,
  type FilmClock,
  type FramePick,
} from './thumbnail-plan.ts';
import { formatClock, secondsOf } from './timeline.ts';

type ThumbnailAttempt = FilmAttempt<TakeThumbnailsTask>;

/** Everything that is known of the film. */
interface Film {
  readonly source: FrameSource;
  readonly shown: ShownPicture;
  readonly clock: FilmClock;
  /** Seconds from the container's start to the first frame. */
  readonly delaySeconds: number;
}

export const takeThumbnailsRunner = filmRunner('takeThumbnails', takeThumbnails);

async function takeThumbnails(attempt: ThumbnailAttempt): Promise<void> {
  const { work, task, context } = attempt;
  if (!['jpg', 'png', 'webp'].includes(task.format)) {
    throw new FilmFault('invalid-input', `pictures of format ${JSON.stringify(task.format)}`);
  }
  const film = await lookAt(attempt);
  const pictures: MadePictures['pictures'][number][] = [];
  const take = progressing(attempt, film);
  if (task.sheet !== undefined) pictures.push(await makeSheet(attempt, film, take));
  if (task.sprites !== undefined)
    pictures.push(...(await makeSprites(attempt, film, task.sprites, take)));
  if (task.poster !== undefined) pictures.push(await makePoster(attempt, film, take));
  const { clock } = film;
  const made: MadePictures = {
    version: 1,
    durationSeconds: clock.durationSeconds,
    delaySeconds: film.delaySeconds,
    frames: clock.seconds.length,
    pictures,
    sprites: task.sprites && {
      cues: spriteCues(clock, task.sprites).length,
      intervalMs: task.sprites.intervalMs,
    },
  };
  await writeFile(join(work.directory, PICTURES_NAME), `${JSON.stringify(made)}\n`);
  context.log(`${pictures.length} pictures`);
}

async function lookAt(attempt: ThumbnailAttempt): Promise<Film> {
  const { media, task } = attempt;
  const sizeBytes = await media.sizeOf(task.source);
  if (sizeBytes === undefined || sizeBytes === 0) {
    const what = sizeBytes === 0 ? 'is empty' : "is none of the unit's inputs: name it as one";
    throw new FilmFault('invalid-input', `${task.source} ${what}`);
  }
  const facts = await probeAndDecode(media, task.source);
  const shown = shownPicture(task.source, facts);
  const known = await readTimes(attempt, task.source, shown.stream, facts);
  const { timeBase, times, ownClock } = known;
  const start = Number(facts.format.start_time ?? 0);
  const origin = ownClock && Number.isFinite(start) ? start : 0;
  return {
    source: {
      name: task.source,
      stream: shown.stream.index,
      timeBase,
      times: ownClock ? times : undefined,
      frames: times.length,
      pixels: (shown.stream.width ?? 0) * (shown.stream.height ?? 0),
    },
    shown,
    clock: clockOf(known),
    delaySeconds: Math.max(0, secondsOf(times[0]!, timeBase) - origin),
  };
}

function clockOf({ timeBase, times, lastFrameTicks }: FilmTimes): FilmClock {
  const seconds = times.map((time) => secondsOf(time - times[0]!, timeBase));
  const last = secondsOf(lastFrameTicks, timeBase);
  // One frame of no length is still shown.
  return { seconds, durationSeconds: Math.max(seconds.at(-1)! + last, 1e-3) };
}

type Take = (
  picks: readonly FramePick[],
  shape: FrameShape,
) => Promise<ReadonlyMap<number, Canvas>>;

/** Takes frames, and says how many of all there are. */
function progressing(attempt: ThumbnailAttempt, { source, clock }: Film): Take {
  const { task, context } = attempt;
  const counts = [
    task.sheet === undefined ? 0 : task.sheet.columns * task.sheet.rows,
    task.sprites === undefined ? 0 : spriteCues(clock, task.sprites).length,
    task.poster === undefined ? 0 : 1,
  ];
  const all = counts.reduce((sum, count) => sum + count, 0);
  let before = 0;
  return async (picks, shape) => {
    const pictures = await takeFrames(
      attempt,
      source,
      picks.map(({ frame }) => frame),
      shape,
      (count) =>
        context.progress(
          Math.min(1, (before + count) / all),
          before + count,
          `${before + count} of ${all} pictures`,
        ),
    );
    before += picks.length;
    return pictures;
  };
}

/** Full range and the matrix of JPEG, for every format: canvases are in it. */
function shapeOf({ shown }: Film, width: number, height: number): FrameShape {
  const tone = shown.isHdr ? HDR_TO_SDR : [];
  return {
    width,
    height,
    filters: [
      ...shown.colours,
      ...shown.upright,
      ...tone,
      `scale=${width}:${height}:flags=area+accurate_rnd+full_chroma_int:out_color_matrix=bt601:out_range=pc`,
      'format=yuv444p',
      'setsar=1',
    ],
  };
}

function tileOf({ shown }: Film, width: number): { width: number; height: number } {
  const height = Math.max(2, Math.round((width * shown.height) / shown.width / 2) * 2);
  return { width, height };
}

async function makeSheet(
  attempt: ThumbnailAttempt,
  film: Film,
  take: Take,
): Promise<MadePictures['pictures'][number]> {
  const { sheet, format, source } = attempt.task;
  if (sheet === undefined) throw new Error('no sheet was asked for');
  const tile = tileOf(film, sheet.width);
  const picks = sheetPicks(film.clock, sheet);
  const canvas = boundedCanvas(source, sheet.columns * tile.width, sheet.rows * tile.height);
  const pictures = await take(picks, shapeOf(film, tile.width, tile.height));
  const dot = Math.max(1, Math.round(tile.width / 160));
  for (const [i, pick] of picks.entries()) {
    const { x, y } = cellOf(i, sheet, tile);
    place(canvas, pictures.get(pick.frame)!, x, y);
    if (sheet.withoutTimes) continue;
    const text = formatClock(pick.seconds + film.delaySeconds);
    const box = textSize(text, dot);
    writeText(canvas, text, x + 2 * dot, y + tile.height - box.height - 2 * dot, dot);
  }
  return code(attempt, canvas, `sheet.${format}`);
}

async function makeSprites(
  attempt: ThumbnailAttempt,
  film: Film,
  sprites: Sprites,
  take: Take,
): Promise<MadePictures['pictures']> {
  const { work, task } = attempt;
  const cues = spriteCues(film.clock, sprites);
  const tile = tileOf(film, sprites.width);
  const inSheet = sprites.columns * sprites.rows;
  const made: MadePictures['pictures'][number][] = [];
  for (let from = 0; from < cues.length; from += inSheet) {
    const some = cues.slice(from, from + inSheet);
    // The last sheet is no taller than its pictures need.
    const rows = Math.ceil(some.length / sprites.columns);
    const columns = Math.min(sprites.columns, cues.length);
    const canvas = boundedCanvas(task.source, columns * tile.width, rows * tile.height);
    const picks = some.map(({ pick }) => pick);
    const pictures = await take(picks, shapeOf(film, tile.width, tile.height));
    for (const [i, pick] of picks.entries()) {
      const { x, y } = cellOf(i, sprites, tile);
      place(canvas, pictures.get(pick.frame)!, x, y);
    }
    made.push(await code(attempt, canvas, spriteName(from / inSheet, task.format)));
  }
  const vtt = webVtt(cues, sprites, tile, task.format, film.delaySeconds);
  await writeFile(join(work.directory, 'thumbnails.vtt'), vtt);
  return made;
}

async function makePoster(
  attempt: ThumbnailAttempt,
  film: Film,
  take: Take,
): Promise<MadePictures['pictures'][number]> {
  const { poster, format, source } = attempt.task;
  const { shown } = film;
  const pick = posterPick(film.clock, poster ?? {});
  boundedCanvas(source, shown.width, shown.height);
  const pictures = await take([pick], shapeOf(film, shown.width, shown.height));
  return code(attempt, pictures.get(pick.frame)!, `poster.${format}`);
}

/** Throws FilmFault `invalid-input` for one that no viewer would open. */
function boundedCanvas(source: string, width: number, height: number): Canvas {
  if (width * height <= MAX_PIXELS && Math.max(width, height) <= 16_383)
    return newCanvas(width, height);
  const message = `a picture of ${width}x${height} would be made of ${source}: ask for fewer or smaller ones`;
  throw new FilmFault('invalid-input', message);
}

const CODERS: Readonly<Record<string, readonly string[]>> = {
  jpg: ['-pix_fmt', 'yuvj444p', '-c:v', 'mjpeg', '-q:v', '3'],
  png: ['-pix_fmt', 'rgb24', '-c:v', 'png'],
  webp: ['-c:v', 'libwebp', '-quality', '85'],
};

const CANVAS = 'canvas.y4m';

async function code(
  { media, work, task }: ThumbnailAttempt,
  canvas: Canvas,
  name: string,
): Promise<MadePictures['pictures'][number]> {
  await writeFile(join(work.directory, CANVAS), asYuv4Mpeg(canvas));
  const run = await media.ffmpeg(
    [{ name: CANVAS }],
    [
      {
        name: { file: name },
        options: ['-frames:v', '1', ...CODERS[task.format]!, '-f', 'image2', '-update', '1'],
      },
    ],
  );
  await rm(join(work.directory, CANVAS));
  if (!run.ok) throw processFault(run, `coding ${name}`);
  const { width, height } = canvas;
  return { name, width, height, meanGrey: meanGrey(canvas) };
}
