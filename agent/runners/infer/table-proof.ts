/** Holds `results.parquet` against the lines: a row for each, in order, that says the same. */
import { isDeepStrictEqual } from 'node:util';
import type { Check } from '../../../kit/proof-report.ts';
import { RESULTS, TABLE } from './result-formats.ts';
import { parseResultLine, type ResultLine } from './result-line.ts';
import type { ResultTable } from './result-table.ts';

export class TableProof {
  #rows = 0;
  #expected = 0;
  #equal = 0;
  #lines: AsyncGenerator<ResultLine | undefined> | undefined;
  #finding: string | undefined;

  static async open(path: string): Promise<TableProof> {
    const proof = new TableProof();
    const { ResultTable: Table } = await import('./result-table.ts');
    try {
      proof.#take(await Table.open(path));
    } catch (error) {
      proof.#isBroken(error);
    }
    return proof;
  }

  #take(table: ResultTable): void {
    this.#rows = table.rows;
    this.#lines = table.lines();
  }

  /** The next line of the other file. */
  async next(text: string): Promise<void> {
    this.#expected += 1;
    const said = await this.#next();
    if (said !== undefined && isDeepStrictEqual(said, parseResultLine(text))) this.#equal += 1;
    else
      this.#finding ??= `row ${this.#expected} of ${TABLE} does not say what line ${this.#expected} of ${RESULTS} says`;
  }

  async #next(): Promise<ResultLine | undefined> {
    try {
      return (await this.#lines?.next())?.value ?? undefined;
    } catch (error) {
      this.#isBroken(error);
      return undefined;
    }
  }

  /** The library tells of a broken file by whatever error it runs into. */
  #isBroken(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.#finding ??= `${TABLE} cannot be read: ${why}`;
    this.#lines = undefined;
  }

  checks(): readonly Check[] {
    const [rows, expected] = [this.#rows, this.#expected];
    const otherRows = `${TABLE} has ${rows} rows for ${expected} lines`;
    return [
      {
        check: `rows of ${TABLE}`,
        expected,
        found: rows,
        finding: rows === expected ? undefined : (this.#finding ?? otherRows),
      },
      {
        check: `rows that say what ${RESULTS} says, in order`,
        expected,
        found: this.#equal,
        finding: this.#finding,
      },
    ];
  }
}
