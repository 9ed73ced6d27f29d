/** `quality.json`: the constant quality at which samples of a film are as like it as was wanted. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from './film-fault.ts';

const QUALITY_NAME = 'quality.json';

const probeSchema = z.object({ crf: z.number().int().positive(), ssim: z.number() });

const qualitySchema = z.object({
  version: z.literal(1),
  targetSsim: z.number(),
  /** That the film is encoded with. */
  crf: z.number().int().positive(),
  /** Of the samples, at that quality. */
  ssim: z.number(),
  /** In the order in which they were made. */
  probes: z.array(probeSchema),
});

export type QualityFacts = z.infer<typeof qualitySchema>;
export type QualityProbe = z.infer<typeof probeSchema>;

export async function writeQuality(directory: string, facts: QualityFacts): Promise<void> {
  await writeFile(join(directory, QUALITY_NAME), `${JSON.stringify(facts)}\n`);
}

export async function readQuality(directory: string): Promise<QualityFacts> {
  const text = await readFile(join(directory, QUALITY_NAME), 'utf8').catch(() => undefined);
  if (text === undefined) throw new FilmFault('invalid-input', `${QUALITY_NAME} is missing`);
  const parsed = qualitySchema.safeParse(JSON.parse(text) as unknown);
  if (parsed.success) return parsed.data;
  throw new FilmFault('invalid-input', `${QUALITY_NAME} is not of this version`);
}
