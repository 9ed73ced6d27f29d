/**
 * `plan.json`: what a film is made of and how it is cut. Written by split, read by encode, concat and
 * the proof, which may all run on different machines; so it is parsed, not believed. Words of it go into
 * filter graphs and encoders' parameters, in which a colon or a comma would begin another: one that names
 * a file to read or to write. No word with such a letter passes.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Retime } from '../../../proto/gen/furrow/v1/task.ts';
import { FilmFault } from './film-fault.ts';
import { MAX_FRAMES, MAX_SIDE_PIXELS } from './media-limits.ts';
import { picturesEach, pictureTimeline } from './film-frames.ts';
import { retimed, retimedCount, stretchOf } from './retime.ts';
import { readFacts } from './read-facts.ts';
import { unpackTimes } from './timeline.ts';

export const PLAN_NAME = 'plan.json';

/** Rates are fractions of whole numbers below a million; no camera or filter makes more of a frame. */
const MAX_RATE_TERM = 1_000_000;
const MAX_FACTOR = 64;

const count = z.number().int().nonnegative();
const integer = z.number().int();
const side = count.max(MAX_SIDE_PIXELS);
/** As ffmpeg names things. */
const word = z.string().regex(/^[A-Za-z0-9_-]*$/);

const timeBaseSchema = z.object({
  num: z.number().int().positive(),
  den: z.number().int().positive(),
});

const pieceSchema = z.object({
  /** Such as `piece-00003.nut`. */
  name: z.string().regex(/^piece-\d{5}\.[a-z0-9]+$/),
  /** Index of its first frame in the film. */
  firstFrame: count,
  frames: z.number().int().positive(),
  /** The piece's file counts in ticks of its own, finer than the source's or equal. */
  timeBase: timeBaseSchema,
  /** Times in the piece's file = times in the source + this, in the file's ticks. */
  shiftTicks: integer,
  /** Frames that its file holds before and after its own; absent for none. */
  leadFrames: count.optional(),
  tailFrames: count.optional(),
  /** The film's frames that are made of its own, where the film's frames are not the source's. */
  film: z.object({ firstFrame: count, frames: z.number().int().positive() }).optional(),
});

/** Frames that the film has instead of the source's pictures. */
const filmSchema = z.object({
  retime: z.object({
    rateNum: count.max(MAX_RATE_TERM),
    rateDen: count.max(MAX_RATE_TERM),
    factor: count.max(MAX_FACTOR),
    between: z.boolean(),
  }),
  frames: z.number().int().positive().max(MAX_FRAMES),
});

const trackSchema = z.object({
  /** As the container numbers its streams. */
  index: count,
  /** `video`, `audio`, `subtitle`, `attachment` … */
  type: z.string().optional(),
  codec: z.string().optional(),
  language: z.string().optional(),
  title: z.string().optional(),
  /** Of audio. */
  channels: count.optional(),
  /** Such as `default`, `forced`, `comment`. */
  dispositions: z.array(z.string().regex(/^[a-z_]+$/)).optional(),
});

const planSchema = z.object({
  /** 2 where the film has other frames or pictures than the source: who knows version 1 only would not see it. */
  version: z.union([z.literal(1), z.literal(2)]),
  source: z.object({
    name: z.string(),
    codec: word,
    width: side,
    height: side,
    pixelFormat: word,
    /** Index of the video stream in the source. */
    stream: count,
    /** Average frames a second, as a fraction. */
    frameRate: z.string().regex(/^[1-9]\d{0,9}\/[1-9]\d{0,9}$/),
    /** Matrix that turns the stored picture into the shown one: [a, b, c, d] of ±1 and 0. */
    orientation: z.array(integer).length(4),
    colour: z.object({
      range: word,
      space: word,
      transfer: word,
      primaries: word,
    }),
    /** Width to height of a pixel; absent where nothing says it. */
    sampleAspect: z
      .string()
      .regex(/^\d{1,9}:\d{1,9}$/)
      .optional(),
    /** HDR10 in x265's notation; empty when the source has none. */
    masteringDisplay: z.string().regex(/^[GBRWPL(),\d-]*$/),
    contentLight: z.string().regex(/^(\d+,\d+)?$/),
    /** Its header says that frames hold two fields each; absent where it does not. */
    interlaced: z.boolean().optional(),
    audioTracks: count,
    /** Every stream; absent in plans of older versions. */
    tracks: z.array(trackSchema).optional(),
    /** Of the first frame, such as `01:00:00:00`. */
    timecode: z
      .string()
      .regex(/^[\d:;.]+$/)
      .optional(),
  }),
  timeBase: timeBaseSchema,
  /** Microseconds from the container's start to the first frame. */
  videoDelayUs: integer,
  frames: z.number().int().positive().max(MAX_FRAMES),
  /** Presentation times of all frames. */
  times: z.object({ first: integer, runs: z.array(z.tuple([integer, count])) }),
  /** How long the last frame is shown. */
  lastFrameTicks: count,
  /**
   * `cut`: pieces hold packets of the source, at its own times.
   * `whole`: the one piece is the source itself, at the times that ffmpeg gives it.
   */
  mode: z.enum(['cut', 'whole']),
  pieces: z.array(pieceSchema).min(1),
  /** Frames hold two fields, of which pictures are made. Absent: they are pictures as they are. */
  deinterlace: z
    .object({
      /** Which field of a frame comes first; `auto` where each frame says so itself. */
      parity: z.enum(['auto', 'tff', 'bff']),
      /** Each field becomes a picture, so that there are two for each frame. */
      eachField: z.boolean(),
    })
    .optional(),
  film: filmSchema.optional(),
});

export type FilmPlan = z.infer<typeof planSchema>;
export type SourceTrack = z.infer<typeof trackSchema>;
export type PlanPiece = z.infer<typeof pieceSchema>;

export async function writePlan(directory: string, plan: FilmPlan): Promise<void> {
  await writeFile(join(directory, PLAN_NAME), `${JSON.stringify(planSchema.parse(plan))}\n`);
}

/** Reads and checks the plan. Throws FilmFault `invalid-input` when it contradicts itself. */
export async function readPlan(directory: string): Promise<FilmPlan> {
  const parsed = planSchema.safeParse(await readFacts(directory, PLAN_NAME));
  if (!parsed.success) {
    throw new FilmFault('invalid-input', `${PLAN_NAME} is not a plan of this version`);
  }
  const plan = parsed.data;
  let next = 0;
  for (const piece of plan.pieces) {
    if (piece.firstFrame !== next) {
      throw new FilmFault('invalid-input', `${PLAN_NAME}: ${piece.name} does not begin at ${next}`);
    }
    next += piece.frames;
  }
  const frames = plan.times.runs.reduce((sum, [, times]) => sum + times, 1);
  if (next !== plan.frames || frames !== plan.frames) {
    throw new FilmFault('invalid-input', `${PLAN_NAME}: its pieces are not its frames`);
  }
  if (plan.film !== undefined) refuseOtherFilm(plan, plan.film.retime);
  else if (picturesEach(plan) > 1) {
    throw new FilmFault('invalid-input', `${PLAN_NAME}: its fields have no film`);
  }
  return plan;
}

/** Its pieces' stretches of the film are computed anew: what rests on them indexes frames by them. */
function refuseOtherFilm(plan: FilmPlan, retime: Retime): void {
  const refuse = (what: string): never => {
    throw new FilmFault('invalid-input', `${PLAN_NAME}: ${what}`);
  };
  const { rateNum, rateDen, factor } = retime;
  if (factor === 0 && (rateNum === 0 || rateDen === 0)) refuse('its film has no frame rate');
  const source = pictureTimeline(plan);
  if (retimedCount(source, retime) !== plan.film?.frames) refuse('its film has other frames');
  const frames = retimed(source, retime);
  const each = picturesEach(plan);
  for (const piece of plan.pieces) {
    const [first, pictures] = [piece.firstFrame * each, piece.frames * each];
    const { firstFrame, frames: count } = stretchOf(frames, first, pictures);
    if (piece.film?.firstFrame !== firstFrame || piece.film.frames !== count) {
      refuse(`${piece.name} becomes other frames of the film`);
    }
  }
}

/** Presentation times of one piece's frames, in the source. */
export function pieceTimes(plan: FilmPlan, piece: PlanPiece): number[] {
  return unpackTimes(plan.times).slice(piece.firstFrame, piece.firstFrame + piece.frames);
}

/** `piece-00003.nut` → `chunk-00003.mp4`. */
export function chunkName(piece: PlanPiece): string {
  return piece.name.replace(/^piece-(\d+)\..*$/, 'chunk-$1.mp4');
}

/** `piece-00003.nut` → `seal-00003.json`. */
export function sealName(piece: PlanPiece): string {
  return piece.name.replace(/^piece-(\d+)\..*$/, 'seal-$1.json');
}
