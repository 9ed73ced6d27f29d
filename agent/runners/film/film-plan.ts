/**
 * `plan.json`: what a film is made of and how it is cut. Written by split, read by encode, concat and
 * the proof, which may all run on different machines; so it is parsed, not believed. Words of it go into
 * filter graphs and encoders' parameters, in which a colon or a comma would begin another: one that names
 * a file to read or to write. No word with such a letter passes.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from './film-fault.ts';
import { MAX_FRAMES, MAX_SIDE_PIXELS } from './media-limits.ts';
import { readFacts } from './read-facts.ts';
import { unpackTimes } from './timeline.ts';

export const PLAN_NAME = 'plan.json';

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
});

const trackSchema = z.object({
  /** As the container numbers its streams. */
  index: count,
  /** `video`, `audio`, `subtitle`, `attachment` … */
  type: z.string().optional(),
  codec: z.string().optional(),
  language: z.string().optional(),
  title: z.string().optional(),
});

const planSchema = z.object({
  version: z.literal(1),
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
    /** HDR10 in x265's notation; empty when the source has none. */
    masteringDisplay: z.string().regex(/^[GBRWPL(),\d-]*$/),
    contentLight: z.string().regex(/^(\d+,\d+)?$/),
    audioTracks: count,
    /** Every stream; absent in plans of older versions. */
    tracks: z.array(trackSchema).optional(),
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
  return plan;
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
