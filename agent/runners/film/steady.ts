/**
 * `moves.json`: how each frame of a film is moved so that the film is steady. Made once for the whole film;
 * each piece takes its own stretch of it. Only numbers of it reach ffmpeg.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from './film-fault.ts';
import type { FilmPlan, PlanPiece } from './film-plan.ts';

const MOVES_NAME = 'moves.json';

/** The stretch of one piece, as vid.stab's second pass reads it. */
const STRETCH_NAME = 'moves-here.trf';

const finite = z.number().refine(Number.isFinite);

const movesSchema = z.object({
  version: z.literal(1),
  /** Percent by which the picture is enlarged. */
  zoomPercent: finite,
  /** Frames to each side over which the camera's path was smoothed. */
  radiusFrames: z.number().int().nonnegative(),
  /** Of each frame: pixels right, pixels down, radians. */
  moves: z.array(z.tuple([finite, finite, finite])),
});

export type SteadyPlan = z.infer<typeof movesSchema>;

export async function writeMoves(directory: string, moves: SteadyPlan): Promise<void> {
  await writeFile(join(directory, MOVES_NAME), `${JSON.stringify(moves)}\n`);
}

/**
 * Filters that hold a piece's picture still, and the file that they read, which is written to `directory`.
 * They stand where the piece's frames are, upright or not, as they are stored. Throws FilmFault.
 */
export async function steadyFilters(
  directory: string,
  plan: FilmPlan,
  piece: PlanPiece,
): Promise<readonly string[]> {
  const { moves, zoomPercent } = await readMoves(directory);
  if (moves.length !== plan.frames) {
    const message = `${MOVES_NAME} has ${moves.length} frames, the film ${plan.frames}`;
    throw new FilmFault('bad-output', message);
  }
  const lines = moves
    .slice(piece.firstFrame, piece.firstFrame + piece.frames)
    .map(([x, y, angle]) => `0 ${fixed(x)} ${fixed(y)} ${fixed(angle)} ${fixed(zoomPercent)} 0`);
  await writeFile(join(directory, STRETCH_NAME), `${lines.join('\n')}\n`);
  return [
    steadyFormat(plan.source),
    // Nothing of its own: no smoothing, no sum, no zoom. The moves are what is done.
    `vidstabtransform=input=${STRETCH_NAME}:smoothing=0:relative=0:optzoom=0:zoom=0:crop=black`,
  ];
}

/**
 * vid.stab works in eight bits, and aborts on pictures of an odd size: their last column or row is cut off. A film that
 * changes its size in the middle keeps its first. Said here so that detection and transformation see the same pixels.
 */
export function steadyFormat({ width, height }: FilmPlan['source']): string {
  return `scale=${width}:${height}:flags=bicubic,crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0,format=yuv420p`;
}

async function readMoves(directory: string): Promise<SteadyPlan> {
  const text = await readFile(join(directory, MOVES_NAME), 'utf8').catch(() => {
    throw new FilmFault('bad-output', `${MOVES_NAME} is missing: nothing says how to hold still`);
  });
  const parsed = movesSchema.safeParse(JSON.parse(text) as unknown);
  if (parsed.success) return parsed.data;
  throw new FilmFault('invalid-input', `${MOVES_NAME} is not of this version`);
}

/** No exponents, which not every reader takes. */
function fixed(value: number): string {
  return value.toFixed(6);
}
