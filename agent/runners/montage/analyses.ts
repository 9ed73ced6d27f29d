/** `clip-00000.json` and `music.json`: what was found in clips and music. Parsed, not believed. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from '../film/film-fault.ts';
import { clipPictureSchema } from './clip-facts.ts';
import { shotNumber } from './cut-list.ts';

const count = z.number().int().nonnegative();
const steps = z.array(z.number());

const clipSchema = z.object({
  version: z.literal(1),
  /** Without folder. */
  name: z.string(),
  rate: z.object({ num: z.number().int().positive(), den: z.number().int().positive() }),
  /** Of the film's rate. */
  frames: z.number().int().positive(),
  picture: clipPictureSchema,
  /** Index of its video stream, and the ticks of that. */
  stream: count,
  timeBase: z.object({ num: count.positive(), den: count.positive() }),
  /** Of its first picture; absent where packets' times cannot be relied on: it is decoded from its start. */
  startTicks: z.number().int().optional(),
  /** The timecode of its first frame in frames; 0 where it has none. */
  startFrames: count,
  hasSound: z.boolean(),
  cuts: z.array(count),
  motion: steps,
  brightness: steps,
  contrast: steps,
  sharpness: steps,
  /** Empty without sound. */
  loudness: steps,
});

const musicSchema = z.object({
  version: z.literal(1),
  /** Without folder. */
  name: z.string(),
  seconds: z.number().positive(),
  tempoBpm: z.number().positive(),
  confidence: z.number(),
  beats: z.array(z.number().nonnegative()),
  downbeat: count.max(3),
  /** Twice a second, 0 to 1. */
  energy: z.array(z.number().min(0).max(1)),
});

export type ClipAnalysis = z.infer<typeof clipSchema>;
export type MusicAnalysis = z.infer<typeof musicSchema>;

const MUSIC_NAME = 'music.json';

function clipAnalysisName(index: number): string {
  return `clip-${shotNumber(index)}.json`;
}

/** Thumbs of all frames, one after the other. */
export function clipThumbsName(index: number): string {
  return `clip-${shotNumber(index)}.gray`;
}

export async function writeClipAnalysis(
  directory: string,
  index: number,
  analysis: ClipAnalysis,
): Promise<void> {
  await writeJson(directory, clipAnalysisName(index), clipSchema.parse(analysis));
}

export function readClipAnalysis(directory: string, index: number): Promise<ClipAnalysis> {
  return readJson(directory, clipAnalysisName(index), clipSchema);
}

export async function writeMusicAnalysis(directory: string, music: MusicAnalysis): Promise<void> {
  await writeJson(directory, MUSIC_NAME, musicSchema.parse(music));
}

export function readMusicAnalysis(directory: string): Promise<MusicAnalysis> {
  return readJson(directory, MUSIC_NAME, musicSchema);
}

async function writeJson(directory: string, name: string, value: unknown): Promise<void> {
  await writeFile(join(directory, name), `${JSON.stringify(value)}\n`);
}

/** Throws FilmFault `invalid-input` when it is not there or not of this version. */
async function readJson<Schema extends z.ZodType>(
  directory: string,
  name: string,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const text = await readFile(join(directory, name), 'utf8').catch(() => undefined);
  const parsed = schema.safeParse(parsedJson(text));
  if (parsed.success) return parsed.data;
  const what = text === undefined ? 'is missing' : 'is not of this version';
  throw new FilmFault('invalid-input', `${name} ${what}`);
}

function parsedJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '') as unknown;
  } catch {
    return undefined;
  }
}
