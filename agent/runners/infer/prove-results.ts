/**
 * Reads the joined results once more, as whoever gets them will, and holds them against what was to be looked at:
 * one line for each, in order, each whole, the same in the table's rows where there is one, and the summary's counts.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Check } from '../../../kit/proof-report.ts';
import type { ProveResultsTask } from '../../../proto/gen/furrow/v1/task_infer.ts';
import { FilmFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { firstFinding, provenFile, writeProof } from '../proof-report.ts';
import { SUMMARY } from './join-results.ts';
import { linesOf } from './line-files.ts';
import { ResultCounts } from './result-counts.ts';
import { keptResults, RESULTS, TABLE } from './result-formats.ts';
import { parseResultLine, type ResultLine } from './result-line.ts';
import { subjectsOf } from './subjects.ts';
import { TableProof } from './table-proof.ts';

const PROGRESS_LINES = 1_000;

const summarySchema = z.object({
  images: z.number(),
  failed: z.number(),
  found: z.number(),
  imagesPerSecond: z.number(),
});

export const proveResultsRunner = filmRunner('proveResults', proveResults);

async function proveResults({ work, task, context }: FilmAttempt<ProveResultsTask>): Promise<void> {
  const { directory } = work;
  const reading = new Reading();
  const kept = keptResults(task.format);
  const table = kept.includes(TABLE) ? await TableProof.open(join(directory, TABLE)) : undefined;
  const lines = linesOf([join(directory, RESULTS)]);
  for await (const subject of subjectsOf(directory, task)) {
    const { done, value } = await lines.next();
    reading.take(subject.name, done === true ? undefined : value, (line) => subject.isOf(line));
    if (done !== true) await table?.next(value);
    if (reading.expected % PROGRESS_LINES === 0) context.progress(0, reading.expected, 'proving');
  }
  for await (const line of lines) reading.takeExtra(line);
  const summary = summarySchema.safeParse(
    JSON.parse(await readFile(join(directory, SUMMARY), 'utf8')) as unknown,
  ).data;
  const checks = [
    ...reading.checks(),
    ...(table?.checks() ?? []),
    countsCheck(reading.counts, summary),
  ];
  const { failed, found } = reading.counts;
  await writeProof(directory, {
    files: await Promise.all(kept.map((name) => provenFile(directory, name))),
    checks,
    facts: {
      images: reading.expected,
      failed,
      found,
      imagesPerSecond: summary?.imagesPerSecond,
    },
  });
  const finding = firstFinding(checks);
  if (finding !== undefined) throw new FilmFault('bad-output', finding);
}

class Reading {
  readonly counts = new ResultCounts();
  expected = 0;
  #lines = 0;
  #inOrder = 0;
  #boxes = 0;
  #inside = 0;
  #orderFinding: string | undefined;
  #boxFinding: string | undefined;

  take(name: string, text: string | undefined, isOf: (line: ResultLine) => boolean): void {
    this.expected += 1;
    if (text === undefined) return;
    this.#lines += 1;
    const line = parseResultLine(text);
    if (line === undefined || !isOf(line)) {
      this.#orderFinding ??= `line ${this.#lines} of ${RESULTS} is not the result of ${JSON.stringify(name)}`;
      return;
    }
    this.#inOrder += 1;
    this.counts.add(line);
    if ('error' in line) return;
    const { width, height } = line;
    for (const { box } of line.found) {
      if (box === undefined) continue;
      this.#boxes += 1;
      const [left, top, right, bottom] = box;
      const isInside = left >= 0 && top >= 0 && right <= width && bottom <= height;
      if (isInside && left <= right && top <= bottom) this.#inside += 1;
      else this.#boxFinding ??= `line ${this.#lines} of ${RESULTS} has a box outside its picture`;
    }
  }

  takeExtra(_text: string): void {
    this.#lines += 1;
  }

  checks(): readonly Check[] {
    const { expected } = this;
    const tooMany = `${RESULTS} has ${this.#lines} lines for ${expected} inputs`;
    return [
      {
        check: 'lines',
        expected,
        found: this.#lines,
        finding: this.#lines === expected ? undefined : tooMany,
      },
      {
        check: 'lines that name their input, in order',
        expected,
        found: this.#inOrder,
        finding: this.#orderFinding ?? (this.#inOrder === expected ? undefined : tooMany),
      },
      {
        check: 'boxes inside their pictures',
        expected: this.#boxes,
        found: this.#inside,
        finding: this.#boxFinding,
      },
    ];
  }
}

function countsCheck(
  counts: ResultCounts,
  summary: z.infer<typeof summarySchema> | undefined,
): Check {
  const said = (of: { images: number; failed: number; found: number }): string =>
    `${of.images} images, ${of.failed} failed, ${of.found} found`;
  const found = said({ images: counts.lines, failed: counts.failed, found: counts.found });
  const expected = summary === undefined ? 'none' : said(summary);
  const finding =
    expected === found ? undefined : `${SUMMARY} says ${expected}; ${RESULTS} has ${found}`;
  return { check: `counts of ${SUMMARY}`, expected, found, finding };
}
