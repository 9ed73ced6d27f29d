/** `sound.json`: what sound files must hold, as the unit that made them counted it. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { unsafeName } from '../../../kit/safe-name.ts';
import { FilmFault } from './film-fault.ts';

const SOUND_NAME = 'sound.json';

const count = z.number().int().nonnegative();

const trackSchema = z.object({
  /** Of the source's, from 1. */
  number: z.number().int().positive(),
  codec: z.string(),
  channels: z.number().int().positive(),
  sampleRate: z.number().int().positive(),
  /** That went into the coder; of a copy: that the source's packets decode to. */
  samples: count,
  /** Of these samples, where the coder loses nothing. */
  md5: z.string().optional(),
  /** Samples of a second that the codec may add at the end or the beginning. */
  slackSamples: count,
  /** Where one was asked for. */
  loudness: z
    .object({
      targetLufs: z.number(),
      truePeakDbtp: z.number(),
      /** Silence has no loudness; nothing was done to it. */
      isSilent: z.boolean(),
      isLimited: z.boolean(),
      gainDb: z.number(),
      sourceLufs: z.number().optional(),
    })
    .optional(),
});

const soundSchema = z.object({
  version: z.literal(1),
  files: z.array(z.object({ name: z.string(), tracks: z.array(trackSchema).min(1) })).min(1),
});

export type MadeSound = z.infer<typeof soundSchema>;
export type MadeTrack = z.infer<typeof trackSchema>;

export async function writeMadeSound(directory: string, made: MadeSound): Promise<void> {
  await writeFile(join(directory, SOUND_NAME), `${JSON.stringify(soundSchema.parse(made))}\n`);
}

export async function readMadeSound(directory: string): Promise<MadeSound> {
  const text = await readFile(join(directory, SOUND_NAME), 'utf8').catch(() => {
    throw new FilmFault('bad-output', `${SOUND_NAME} is missing`);
  });
  const parsed = soundSchema.safeParse(JSON.parse(text) as unknown);
  if (!parsed.success || parsed.data.files.some(({ name }) => unsafeName(name) !== undefined)) {
    throw new FilmFault('invalid-input', `${SOUND_NAME} is not of this version`);
  }
  return parsed.data;
}
