/**
 * `audio.json`: what the unit that encoded the audio knows of it. When the source's audio begins and
 * ends was measured on the very samples that went to the encoder, so that nobody has to decode the
 * source's audio again.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from './film-fault.ts';
import { readFacts } from './read-facts.ts';

const AUDIO_FACTS_NAME = 'audio.json';

const audioFactsSchema = z.object({
  version: z.literal(1),
  /** Where the encoded file begins by its own clock. */
  fileStartUs: z.number().int(),
  /** Each track that was encoded, in order; absent where an older version encoded all of them. */
  tracks: z
    .array(
      z.object({
        /** Of the stream in the source. */
        index: z.number().int(),
        /** As it is in the encoded file. */
        codec: z.string(),
        channels: z.number().int(),
      }),
    )
    .optional(),
  /** Each of these tracks as it is in the source, in seconds from the start of its container. */
  source: z.array(
    z.object({
      startSeconds: z.number(),
      endSeconds: z.number(),
      codecFrameSeconds: z.number(),
    }),
  ),
});

export type AudioFacts = z.infer<typeof audioFactsSchema>;

export async function writeAudioFacts(directory: string, facts: AudioFacts): Promise<void> {
  await writeFile(join(directory, AUDIO_FACTS_NAME), `${JSON.stringify(facts)}\n`);
}

/** Undefined when there are none: the source is silent, or an older version encoded its audio. */
export async function readAudioFacts(directory: string): Promise<AudioFacts | undefined> {
  const facts = await readFacts(directory, AUDIO_FACTS_NAME);
  if (facts === undefined) return undefined;
  const parsed = audioFactsSchema.safeParse(facts);
  if (!parsed.success) {
    throw new FilmFault('invalid-input', `${AUDIO_FACTS_NAME} is not of this version`);
  }
  return parsed.data;
}
