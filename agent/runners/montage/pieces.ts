/**
 * `piece-00012.json`: how the frames of a shot are got out of `piece-00012.nut`, which was cut out of its clip.
 * `piece-00012.gray` has a tiny copy of each of them, as a decoding of the whole clip showed it.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from '../film/film-fault.ts';
import { clipPictureSchema } from './clip-facts.ts';
import { shotNumber } from './cut-list.ts';

const integer = z.number().int();

const pieceSchema = z.object({
  version: z.literal(1),
  shot: integer.nonnegative(),
  picture: clipPictureSchema,
  /** First frame of the clip, and how many, at the film's rate. */
  from: integer.nonnegative(),
  frames: integer.positive(),
  /** In ticks of the piece's file; absent where it holds just those frames already. */
  packets: z
    .object({
      /** Pictures from here … */
      startTicks: integer,
      /** … to before here. */
      endTicks: integer,
      /** Where frame 0 of the clip would be. */
      zeroTicks: integer,
    })
    .optional(),
});

export type Piece = z.infer<typeof pieceSchema>;

/** A piece as its shot is rendered from it. */
export interface Footage extends Piece {
  /** Its frames from this one on lie beside it, made larger by a model; absent where it is taken as it is. */
  readonly largeFrom?: number;
}

/** File that holds the footage's frames, and the tiny copies that they are held against. */
export function footageFiles({ shot, largeFrom }: Footage): { frames: string; thumbs: string } {
  return largeFrom === undefined
    ? { frames: pieceName(shot), thumbs: pieceThumbsName(shot) }
    : { frames: largeName(shot), thumbs: largeThumbsName(shot) };
}

export const pieceName = (shot: number): string => `piece-${shotNumber(shot)}.nut`;
export const pieceThumbsName = (shot: number): string => `piece-${shotNumber(shot)}.gray`;
/** Frames of a piece that a model made larger, as large as they fill the film, without loss; tiny copies of them. */
const largeName = (shot: number): string => `large-${shotNumber(shot)}.nut`;
const largeThumbsName = (shot: number): string => `large-${shotNumber(shot)}.gray`;
export const soundName = (shot: number): string => `sound-${shotNumber(shot)}.pcm`;
export const chunkFileName = (shot: number): string => `chunk-${shotNumber(shot)}.mp4`;
export const sealFileName = (shot: number): string => `seal-${shotNumber(shot)}.json`;
/** `small`: a model is needed for it. */
export const shotFileName = (shot: number, isSmall: boolean): string =>
  `${isSmall ? 'small' : 'shot'}-${shotNumber(shot)}.json`;

/** The number of the shot that a file of `shotFileName` is about; NaN for other names. */
export function shotOfFile(name: string): number {
  return Number(/^(?:shot|small)-(\d{5})\.json$/.exec(name)?.[1] ?? NaN);
}

const pieceFactsName = (shot: number): string => `piece-${shotNumber(shot)}.json`;

export async function writePiece(directory: string, piece: Piece): Promise<void> {
  const text = `${JSON.stringify(pieceSchema.parse(piece))}\n`;
  await writeFile(join(directory, pieceFactsName(piece.shot)), text);
}

/** Throws FilmFault `invalid-input` when it is not there or says something else. */
export async function readPiece(directory: string, shot: number): Promise<Piece> {
  const name = pieceFactsName(shot);
  const text = await readFile(join(directory, name), 'utf8').catch(() => {
    throw new FilmFault('bad-output', `${name} is missing`);
  });
  const parsed = pieceSchema.safeParse(JSON.parse(text) as unknown);
  if (parsed.success) return parsed.data;
  throw new FilmFault('invalid-input', `${name} is not of this version`);
}
