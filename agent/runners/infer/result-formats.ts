/** Names of the files that results come in, by the format that was asked for. */

export const RESULTS = 'results.jsonl';
export const TABLE = 'results.parquet';

/** What the user gets; lines for a format that is not said, or not known here. */
export function keptResults(format: string | undefined): readonly string[] {
  switch (format) {
    case 'parquet':
      return [TABLE];
    case 'both':
      return [RESULTS, TABLE];
    default:
      return [RESULTS];
  }
}
