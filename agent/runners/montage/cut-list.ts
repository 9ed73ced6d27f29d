/**
 * `cuts.json`: which frames of which clip the film shows, in order. All counting is in whole frames of the
 * film's rate: frame k of a clip is what it shows k frames after its first picture. A transition belongs to
 * the shot that begins with it; the shot before lends it as many frames beyond its own end. Written by the
 * unit that chooses, read by all that follow on other machines; so it is parsed, not believed.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from '../film/film-fault.ts';

const CUTS_NAME = 'cuts.json';

const count = z.number().int().nonnegative();
const some = z.number().int().positive();

export const TRANSITIONS = ['cut', 'dissolve', 'dip-black', 'dip-white', 'whip', 'zoom'] as const;
export type Transition = (typeof TRANSITIONS)[number];

/** Half, full and double speed go through every program's lists exactly; so do others that we write. */
export const MIN_SPEED_PERCENT = 10;
export const MAX_SPEED_PERCENT = 400;

const shotSchema = z.object({
  /** Number of the clip. */
  clip: count,
  /** First frame of the clip. */
  from: count,
  /** Frames of the film, those of its transition included. */
  frames: some,
  /** Film frame j shows clip frame `from` + ⌊j · percent / 100⌋. */
  speedPercent: z.number().int().min(MIN_SPEED_PERCENT).max(MAX_SPEED_PERCENT),
  transition: z.enum(TRANSITIONS),
  /** 0 for a cut. */
  transitionFrames: count,
});

const cutListSchema = z.object({
  version: z.literal(1),
  rate: z.object({ num: some, den: some }),
  /** Of the film. */
  frames: some,
  /** Where in the music it begins. */
  musicFromMs: count,
  /** By number: names without folder, and how many frames each has. */
  clips: z.array(
    z.object({
      name: z.string(),
      frames: some,
      /** The timecode of its first frame in frames; 0 where it has none. */
      startFrames: count,
    }),
  ),
  shots: z.array(shotSchema).min(1),
});

export type CutList = z.infer<typeof cutListSchema>;
export type Shot = z.infer<typeof shotSchema>;

export async function writeCutList(directory: string, list: CutList): Promise<void> {
  refuseContradictions(list);
  await writeFile(join(directory, CUTS_NAME), `${JSON.stringify(cutListSchema.parse(list))}\n`);
}

/** Throws FilmFault `invalid-input` when it contradicts itself. */
export async function readCutList(directory: string): Promise<CutList> {
  const text = await readFile(join(directory, CUTS_NAME), 'utf8');
  const parsed = cutListSchema.safeParse(JSON.parse(text) as unknown);
  if (!parsed.success) {
    throw new FilmFault('invalid-input', `${CUTS_NAME} is not a list of this version`);
  }
  refuseContradictions(parsed.data);
  return parsed.data;
}

function refuseContradictions(list: CutList): void {
  const fault = faultOfShots(list);
  if (fault !== undefined) throw new FilmFault('invalid-input', `${CUTS_NAME}: ${fault}`);
}

interface PlannedShots {
  readonly shots: readonly Shot[];
  readonly clips: readonly { readonly name: string; readonly frames: number }[];
  readonly frames: number;
}

/** What cannot be, in one line that names the shot by its number from 1. */
export function faultOfShots({ shots, clips, frames }: PlannedShots): string | undefined {
  for (const [index, shot] of shots.entries()) {
    const fault = faultOfShot(shot, shots[index - 1], clips[shot.clip]?.frames);
    if (fault !== undefined) return `shot ${index + 1} ${fault}`;
    const short = missingFrames(shots, index, clips[shot.clip]!.frames);
    if (short > 0) {
      const lent = shots[index + 1]?.transitionFrames ?? 0;
      const beyond = lent === 0 ? '' : `, with the ${lent} that the next transition needs,`;
      return `shot ${index + 1}${beyond} ends ${short} frames after its clip (${clips[shot.clip]!.name}, ${clips[shot.clip]!.frames} frames): shorten it or begin earlier`;
    }
  }
  const sum = shots.reduce((total, shot) => total + shot.frames, 0);
  return sum === frames ? undefined : `its shots have ${sum} frames, not ${frames}`;
}

function faultOfShot(
  { transition, transitionFrames, frames }: Shot,
  before: Shot | undefined,
  clipFrames: number | undefined,
): string | undefined {
  if (clipFrames === undefined) return 'names a clip that is not there';
  if ((transition === 'cut') !== (transitionFrames === 0)) {
    return `has a ${transition} of ${transitionFrames} frames`;
  }
  if (transitionFrames > frames) {
    return `has a transition of ${transitionFrames} frames, more than its ${frames}`;
  }
  return transition !== 'cut' && before === undefined
    ? 'begins with a transition, and nothing is before it'
    : undefined;
}

function missingFrames(shots: readonly Shot[], index: number, clipFrames: number): number {
  const shot = shots[index]!;
  return shot.from + clipFramesOf(shot, materialFrames(shots, index)) - clipFrames;
}

/** Frames of the film that are made of a shot: its own, and those lent to the next transition. */
export function materialFrames(shots: readonly Shot[], index: number): number {
  return shots[index]!.frames + (shots[index + 1]?.transitionFrames ?? 0);
}

/** Frames of the clip, counted from the shot's first, that so many frames of the film go through. */
export function clipFramesOf({ speedPercent }: Pick<Shot, 'speedPercent'>, frames: number): number {
  return Math.floor(((frames - 1) * speedPercent) / 100) + 1;
}

/** Film frames at which the shots begin. */
export function shotStarts({ shots }: Pick<CutList, 'shots'>): number[] {
  let at = 0;
  return shots.map(({ frames }) => {
    const start = at;
    at += frames;
    return start;
  });
}

export function shotNumber(index: number): string {
  return String(index).padStart(5, '0');
}
