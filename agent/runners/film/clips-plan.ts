/** `clips.json`: what each clip of a joined film is and becomes, beside the film's own `plan.json`. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from './film-fault.ts';

const CLIPS_NAME = 'clips.json';

const count = z.number().int().nonnegative();
const positive = z.number().int().positive();

const clipsSchema = z.object({
  version: z.literal(1),
  form: z.object({
    width: positive,
    height: positive,
    rateNum: positive,
    rateDen: positive,
    sampleRate: count,
    channels: count,
  }),
  clips: z
    .array(
      z.object({
        /** As people call it. */
        name: z.string(),
        /** Of its own, that can be decoded. */
        sourceFrames: positive,
        /** Microseconds from its container's start to its first frame. */
        delayUs: z.number().int(),
        /** Of its sound in the film. */
        samples: count,
      }),
    )
    .min(1),
});

export type ClipsPlan = z.infer<typeof clipsSchema>;

export async function writeClips(directory: string, clips: ClipsPlan): Promise<void> {
  await writeFile(join(directory, CLIPS_NAME), `${JSON.stringify(clipsSchema.parse(clips))}\n`);
}

export async function readClips(directory: string): Promise<ClipsPlan> {
  const text = await readFile(join(directory, CLIPS_NAME), 'utf8').catch(() => {
    throw new FilmFault('bad-output', `${CLIPS_NAME} is missing`);
  });
  const parsed = clipsSchema.safeParse(JSON.parse(text) as unknown);
  if (parsed.success) return parsed.data;
  throw new FilmFault('invalid-input', `${CLIPS_NAME} is not of this version`);
}

/** `piece-00003.bin` → 3. */
export function clipNumber(piece: string): number {
  return Number(/^piece-(\d+)\./.exec(piece)?.[1]);
}

/** `piece-00003.bin` → `sound-00003.mp4`. */
export function soundOf(piece: string): string {
  return piece.replace(/^piece-(\d+)\..*$/, 'sound-$1.mp4');
}
