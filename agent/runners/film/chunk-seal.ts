/**
 * `seal-00003.json`: what the encoder of a chunk vouches for. The proof holds the film against the
 * seals, so that it needs the film and not the chunks as well.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from './film-fault.ts';
import { readFacts } from './read-facts.ts';

const sealSchema = z.object({
  version: z.literal(1),
  piece: z.string(),
  frames: z.number().int().positive(),
  /** Digest over the chunk's packets in order. */
  packetsSha256: z.string(),
  /** Digest over the order in which they are shown; absent in seals of version 0.1. */
  orderSha256: z.string().optional(),
  /** The codec's header; the same for all chunks of a film. */
  extradataHash: z.string(),
  width: z.number().int(),
  height: z.number().int(),
  pixelFormat: z.string(),
  /** What the film is to say of its picture; absent where nobody promised it. */
  said: z
    .object({
      /** As ffmpeg names them; `unknown` where nothing is to be said. */
      colour: z.object({
        range: z.string(),
        space: z.string(),
        transfer: z.string(),
        primaries: z.string(),
      }),
      /** HDR10 in x265's notation; empty where there is none, or where the encoder writes none. */
      masteringDisplay: z.string(),
      contentLight: z.string(),
    })
    .optional(),
  /** Grey levels between source and chunk, over tiny copies of the frames. */
  meanDifference: z.number(),
  worstDifference: z.number(),
  /** What the decoder of the source complained of first; absent where all was well. */
  sourceDamage: z.string().optional(),
  /** A model made the frames larger: said of a montage's shots, some of which need it. */
  enlarged: z.boolean().optional(),
  /** What encoded it; absent in seals of version 0.1, and where other steps make chunks. */
  encoder: z.string().optional(),
  /** Why that encoder, and not the one that was to do it; absent where it was. */
  fallback: z.string().optional(),
});

export type ChunkSeal = z.infer<typeof sealSchema>;
export type SaidPicture = NonNullable<ChunkSeal['said']>;

/** Who encoded a chunk, and what the film is to say of its picture, which its proof looks for. */
export type SealNotes = Pick<ChunkSeal, 'encoder' | 'fallback' | 'said'>;

/** Who encoded a chunk. */
export type MadeBy = Pick<ChunkSeal, 'fallback'> & { readonly encoder: string };

export async function writeSeal(directory: string, name: string, seal: ChunkSeal): Promise<void> {
  await writeFile(join(directory, name), `${JSON.stringify(seal)}\n`);
}

export async function readSeal(directory: string, name: string): Promise<ChunkSeal> {
  const facts = await readFacts(directory, name);
  if (facts === undefined) {
    throw new FilmFault('bad-output', `${name} is missing: its chunk was not vouched for`);
  }
  return sealSchema.parse(facts);
}
