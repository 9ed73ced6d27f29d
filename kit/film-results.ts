/**
 * `results.json` and `results.csv`: what became of each film of a job that encodes many. Agents write
 * them and clients show them. Fields are added, never changed.
 */
import { z } from 'zod';

export const RESULTS_JSON = 'results.json';
export const RESULTS_CSV = 'results.csv';

const resultSchema = z.object({
  /** As the user named it. */
  source: z.string(),
  /** Name among the job's outputs, when it was made. */
  film: z.string(),
  /** `proven`: made and proven. `refused`: the source cannot be encoded. `failed`: given up. */
  state: z.enum(['proven', 'refused', 'failed']),
  /** 0 where there is no film. */
  frames: z.number(),
  sourceBytes: z.number(),
  /** 0 where there is no film. */
  filmBytes: z.number(),
  /** Why there is no film, in one line; else empty. */
  reason: z.string(),
});

export type FilmResult = z.infer<typeof resultSchema>;

const resultsSchema = z.object({ version: z.literal(1), films: z.array(resultSchema) });

export function resultsText(films: readonly FilmResult[]): string {
  return `${JSON.stringify({ version: 1, films }, undefined, 2)}\n`;
}

/** Undefined when the text is no table that this version reads. */
export function parseResults(text: string): readonly FilmResult[] | undefined {
  try {
    const parsed = resultsSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data.films : undefined;
  } catch {
    return undefined;
  }
}

/** Size of the film by that of its source; empty where there is none. */
export function ratioOf({ filmBytes, sourceBytes, state }: FilmResult): string {
  return state === 'proven' && sourceBytes > 0 ? (filmBytes / sourceBytes).toFixed(3) : '';
}

const CSV_HEADER = 'source,film,state,frames,source_bytes,film_bytes,ratio,reason';

/** As RFC 4180 has it, with lines that end as everywhere here. */
export function resultsCsv(films: readonly FilmResult[]): string {
  const rows = films.map((result) => {
    const { source, film, state, frames, sourceBytes, filmBytes, reason } = result;
    const cells = [source, film, state, frames, sourceBytes, filmBytes, ratioOf(result), reason];
    return cells.map((cell) => csvCell(String(cell))).join(',');
  });
  return [CSV_HEADER, ...rows, ''].join('\n');
}

/** Spreadsheets take what begins like a formula for one: a quote in front keeps it a text. */
function csvCell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r']/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
