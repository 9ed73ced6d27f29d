/** `seal-film.json`: what the unit that made a film of frames vouches for. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from '../film/film-fault.ts';
import { readFacts } from '../film/read-facts.ts';

const SEAL_NAME = 'seal-film.json';

const sealSchema = z.object({
  version: z.literal(1),
  sha256: z.string(),
  frames: z.number().int().positive(),
  frameRate: z.string(),
  /** Grey levels, between each frame and what the film shows. */
  meanDifference: z.number(),
  worstDifference: z.number(),
});

export type FilmSeal = z.infer<typeof sealSchema>;

export async function writeFilmSeal(directory: string, seal: FilmSeal): Promise<void> {
  await writeFile(join(directory, SEAL_NAME), `${JSON.stringify(seal)}\n`);
}

/** Throws FilmFault `invalid-input` where it is none. */
export async function readFilmSeal(directory: string): Promise<FilmSeal> {
  const parsed = sealSchema.safeParse(await readFacts(directory, SEAL_NAME));
  if (parsed.success) return parsed.data;
  throw new FilmFault('invalid-input', `${SEAL_NAME} is none of this version`);
}
