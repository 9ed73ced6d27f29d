/**
 * How the bits of a film are shared out to its pieces. Encoded apart, each with the film's average, a still
 * would get as many as a storm: what each takes at one and the same quality says how many it needs.
 * `measure-*.json` are written for each piece, `rates.json` for all.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from './film-fault.ts';
import type { PlanPiece } from './film-plan.ts';

const RATES_NAME = 'rates.json';

const measureSchema = z.object({
  version: z.literal(1),
  piece: z.string(),
  /** That it took at the quality that all are measured at. */
  bits: z.number().positive(),
});

const ratesSchema = z.object({
  version: z.literal(1),
  /** Of the film, on average. */
  bitrateBps: z.number().positive(),
  /** In the plan's order. */
  pieces: z.array(z.object({ name: z.string(), bitrateBps: z.number().int().positive() })),
});

export type Measure = z.infer<typeof measureSchema>;
export type Rates = z.infer<typeof ratesSchema>;

/** `piece-00003.nut` → `measure-00003.json`. */
function measureName(piece: Pick<PlanPiece, 'name'>): string {
  return piece.name.replace(/^piece-(\d+)\..*$/, 'measure-$1.json');
}

export async function writeMeasure(directory: string, measure: Measure): Promise<void> {
  const name = measureName({ name: measure.piece });
  await writeFile(join(directory, name), `${JSON.stringify(measure)}\n`);
}

export function readMeasure(directory: string, piece: PlanPiece): Promise<Measure> {
  return read(directory, measureName(piece), measureSchema);
}

export async function writeRates(directory: string, rates: Rates): Promise<void> {
  await writeFile(join(directory, RATES_NAME), `${JSON.stringify(rates)}\n`);
}

export function readRates(directory: string): Promise<Rates> {
  return read(directory, RATES_NAME, ratesSchema);
}

export function rateOf({ pieces }: Rates, piece: string): number {
  const found = pieces.find(({ name }) => name === piece);
  if (found !== undefined) return found.bitrateBps;
  throw new FilmFault('invalid-input', `${RATES_NAME} has no rate for ${piece}`);
}

async function read<Value>(
  directory: string,
  name: string,
  schema: z.ZodType<Value>,
): Promise<Value> {
  const text = await readFile(join(directory, name), 'utf8').catch(() => undefined);
  if (text === undefined) throw new FilmFault('invalid-input', `${name} is missing`);
  const parsed = schema.safeParse(JSON.parse(text) as unknown);
  if (parsed.success) return parsed.data;
  throw new FilmFault('invalid-input', `${name} is not of this version`);
}

/** A piece that is asked to be. */
export interface MeasuredPiece {
  /** That the film shows it. */
  readonly seconds: number;
  /** That it took at the quality that all are measured at. */
  readonly bits: number;
}

/** No piece gets less than this part of the average: black has sound beside it, and a level to keep. */
const LEAST_SHARE = 0.02;

/**
 * Bits a second for each piece, so that all have one quality and the film has `bitrateBps` on average.
 * Whole numbers; each rounded, so that the sum is right to a bit a piece and second.
 */
export function apportion(pieces: readonly MeasuredPiece[], bitrateBps: number): number[] {
  const seconds = pieces.reduce((sum, piece) => sum + piece.seconds, 0);
  const least = bitrateBps * LEAST_SHARE;
  const measured = pieces.reduce((sum, piece) => sum + piece.bits, 0);
  // What is over when each has the least.
  const rest = (bitrateBps - least) * seconds;
  return pieces.map((piece) =>
    Math.max(1, Math.round(least + (rest * piece.bits) / measured / piece.seconds)),
  );
}
