/**
 * `scene.json`: what a scan found in a Blender file, and which frames are rendered of it. Written on one machine
 * and read on others, so that it is parsed, not believed. Pure, but for reading and writing it.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { FrameRange } from '../../../proto/gen/furrow/v1/task_render.ts';
import { FilmFault } from '../film/film-fault.ts';
import { readFacts } from '../film/read-facts.ts';

const SCENE_NAME = 'scene.json';

/** Kept outputs of one job; a longer film is rendered in parts. */
const MAX_FRAMES = 20_000;
/** Outputs of one unit, but for a few. */
const MAX_UNITS = 3900;
const MAX_FRAME = 1_048_574;

/** As Blender's script prints it. */
const printedSchema = z.object({
  name: z.string(),
  first: z.number().int(),
  last: z.number().int(),
  step: z.number().int().positive(),
  /** Frames, and of how many seconds. */
  frameRate: z.tuple([z.number().positive(), z.number().positive()]),
  engine: z.string(),
  width: z.number().int().positive(),
  height: z.number().int().positive(),
  /** A part of the picture is rendered, so that frames are smaller than they say. */
  hasBorder: z.boolean(),
});

export type PrintedScene = z.infer<typeof printedSchema>;

const frameSchema = z.number().int().nonnegative().max(MAX_FRAME);
const sceneSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  engine: z.string(),
  width: z.number().int().positive(),
  height: z.number().int().positive(),
  hasBorder: z.boolean(),
  format: z.enum(['png', 'jpeg', 'exr']),
  frameRate: z.string().regex(/^[1-9]\d{0,9}\/[1-9]\d{0,9}$/),
  /** Ascending. */
  frames: z.array(frameSchema).min(1).max(MAX_FRAMES),
});

export type SceneFacts = z.infer<typeof sceneSchema>;

const unitSchema = z.object({ frames: z.array(frameSchema).min(1).max(MAX_FRAMES) });

/** Undefined for a text that the script did not print. */
export function parseScene(text: string): PrintedScene | undefined {
  try {
    return printedSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** Ascending, none twice. Throws FilmFault `invalid-input`. */
export function framesOf(ranges: readonly FrameRange[], scene: PrintedScene): readonly number[] {
  const wanted = ranges.length > 0 ? ranges : [scene];
  const frames = new Set<number>();
  for (const { first, last, step } of wanted) {
    if (first < 0) throw new FilmFault('invalid-input', `frame ${first} is below 0: say --frames`);
    for (let frame = first; frame <= last && frames.size <= MAX_FRAMES; frame += step || 1) {
      frames.add(frame);
    }
  }
  if (frames.size > MAX_FRAMES) {
    const message = `more than ${MAX_FRAMES} frames: render them in parts, with --frames`;
    throw new FilmFault('invalid-input', message);
  }
  if (frames.size === 0) {
    const message = `its frames go from ${scene.first} to ${scene.last}: there is none to render`;
    throw new FilmFault('invalid-input', message);
  }
  return [...frames].sort((a, b) => a - b);
}

/** Frames of each unit. More for each than was wanted where there would be too many units. */
export function unitsOf(frames: readonly number[], wanted: number): readonly (readonly number[])[] {
  const size = Math.max(1, wanted, Math.ceil(frames.length / MAX_UNITS));
  const units = [];
  for (let at = 0; at < frames.length; at += size) units.push(frames.slice(at, at + size));
  return units;
}

/** Blender counts frames in so many seconds, such as 30 in 1.001. */
export function rateOf([frames, seconds]: readonly [number, number]): string {
  let [num, den] = [Math.round(frames * 1e6), Math.round(seconds * 1e6)];
  for (let [a, b] = [num, den]; ; [a, b] = [b, a % b]) {
    if (b !== 0) continue;
    [num, den] = [num / a, den / a];
    return `${num}/${den}`;
  }
}

function unitName(index: number): string {
  return `frames-${String(index).padStart(5, '0')}.json`;
}

export async function writeScene(
  directory: string,
  scene: SceneFacts,
  framesPerUnit: number,
): Promise<number> {
  const units = unitsOf(scene.frames, framesPerUnit);
  for (const [i, frames] of units.entries()) {
    await writeFile(join(directory, unitName(i)), `${JSON.stringify({ frames })}\n`);
  }
  await writeFile(join(directory, SCENE_NAME), `${JSON.stringify(sceneSchema.parse(scene))}\n`);
  return units.length;
}

export async function readScene(directory: string): Promise<SceneFacts> {
  return read(directory, SCENE_NAME, sceneSchema);
}

/** Frames of the unit that this file stands for. */
export async function readUnitFrames(directory: string, name: string): Promise<readonly number[]> {
  return (await read(directory, name, unitSchema)).frames;
}

async function read<Value>(
  directory: string,
  name: string,
  schema: z.ZodType<Value>,
): Promise<Value> {
  const parsed = schema.safeParse(await readFacts(directory, name));
  if (parsed.success) return parsed.data;
  throw new FilmFault('invalid-input', `${name} is none of this version`);
}
