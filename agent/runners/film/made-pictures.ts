/** `pictures.json`: what the pictures of a film must be, for the unit that proves them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from './film-fault.ts';

export const PICTURES_NAME = 'pictures.json';

const seconds = z.number().nonnegative();

const picturesSchema = z.object({
  version: z.literal(1),
  /** Of the film, from its first frame. */
  durationSeconds: seconds,
  /** From the container's start to the first frame. */
  delaySeconds: seconds,
  frames: z.number().int().positive(),
  pictures: z
    .array(
      z.object({
        name: z.string().regex(/^[a-z]+(-\d+)?\.(jpg|png|webp)$/),
        width: z.number().int().positive(),
        height: z.number().int().positive(),
        /** Mean of its grey levels before it was coded. */
        meanGrey: z.number(),
      }),
    )
    .min(1),
  /** Where sprites were made: how many stretches of the film their list must name. */
  sprites: z
    .object({ cues: z.number().int().positive(), intervalMs: z.number().positive() })
    .optional(),
});

export type MadePictures = z.infer<typeof picturesSchema>;

export async function readMadePictures(directory: string): Promise<MadePictures> {
  const text = await readFile(join(directory, PICTURES_NAME), 'utf8').catch(() => {
    throw new FilmFault('bad-output', `${PICTURES_NAME} is missing`);
  });
  const parsed = picturesSchema.safeParse(JSON.parse(text) as unknown);
  if (parsed.success) return parsed.data;
  throw new FilmFault('invalid-input', `${PICTURES_NAME} is not of this version`);
}
