/**
 * Joins what units found into one file with a line for each picture or frame, in order, and a table with a row for
 * each where that is asked for. What a unit that failed was to look at has a line, too, where the job bears such
 * units.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JoinResultsTask } from '../../../proto/gen/furrow/v1/task_infer.ts';
import { FilmFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { LineFile, linesOf } from './line-files.ts';
import { ResultCounts } from './result-counts.ts';
import { keptResults, RESULTS, TABLE } from './result-formats.ts';
import { parseResultLine, type ResultLine, textOf } from './result-line.ts';
import type { RowKind } from './result-row.ts';
import type { ResultTableFile } from './result-table.ts';
import { subjectsOf } from './subjects.ts';
import { parseTime, PART, TIME } from './unit-part.ts';

export const SUMMARY = 'summary.json';
const FAILURES = 'failures.csv';
const NO_RESULT = 'its unit failed';
const PROGRESS_LINES = 1_000;

export const joinResultsRunner = filmRunner('joinResults', joinResults);

async function joinResults({ work, task, context }: FilmAttempt<JoinResultsTask>): Promise<void> {
  const { directory } = work;
  const inDirectory = (name: string): string => join(directory, name);
  const names = (await readdir(directory)).toSorted();
  const parts = new PartLines(names.filter((name) => PART.test(name)).map(inDirectory));
  const files = await ResultFiles.create(directory, task);
  const counts = new ResultCounts();
  let next = await parts.next();
  for await (const subject of subjectsOf(directory, task)) {
    const isKnown = next !== undefined && subject.isOf(next);
    const line = isKnown ? next! : subject.failed(NO_RESULT);
    if (isKnown) next = await parts.next();
    counts.add(line);
    await files.write(line);
    if (counts.lines % PROGRESS_LINES === 0) context.progress(0, counts.lines, 'joining');
  }
  await files.end();
  if (next !== undefined) {
    const message = `units told of ${JSON.stringify(nameOf(next))}, which is not what comes next`;
    throw new FilmFault('bad-output', message);
  }
  const times = await timesOf(names.filter((name) => TIME.test(name)).map(inDirectory));
  await writeFile(inDirectory(SUMMARY), summaryText(counts, times));
}

/** What results are written into as they come. Rejects with what the disk says. */
class ResultFiles {
  readonly #results: LineFile;
  readonly #failures: LineFile;
  readonly #table: ResultTableFile | undefined;

  private constructor(directory: string, table: ResultTableFile | undefined) {
    this.#results = new LineFile(join(directory, RESULTS));
    this.#failures = new LineFile(join(directory, FAILURES));
    this.#table = table;
  }

  static async create(directory: string, task: JoinResultsTask): Promise<ResultFiles> {
    const kind = task.list === '' ? 'frame' : 'image';
    const table = keptResults(task.format).includes(TABLE)
      ? await createTable(join(directory, TABLE), kind)
      : undefined;
    const files = new ResultFiles(directory, table);
    await files.#failures.write(`${kind},error\r\n`);
    return files;
  }

  async write(line: ResultLine): Promise<void> {
    await this.#results.write(textOf(line));
    await this.#table?.write(line);
    if (!('error' in line)) return;
    await this.#failures.write(`${csvField(nameOf(line))},${csvField(line.error)}\r\n`);
  }

  async end(): Promise<void> {
    await this.#results.end();
    await this.#failures.end();
    await this.#table?.end();
  }
}

async function createTable(path: string, kind: RowKind): Promise<ResultTableFile> {
  const { ResultTableFile: TableFile } = await import('./result-table.ts');
  return TableFile.create(path, kind);
}

/** Lines of results, checked. */
class PartLines {
  readonly #lines: AsyncGenerator<string>;

  constructor(paths: readonly string[]) {
    this.#lines = linesOf(paths);
  }

  /** Undefined after the last. Throws FilmFault `bad-output`. */
  async next(): Promise<ResultLine | undefined> {
    const { done, value } = await this.#lines.next();
    if (done === true) return undefined;
    const line = parseResultLine(value);
    if (line !== undefined) return line;
    throw new FilmFault('bad-output', `a unit told what is no result: ${value.slice(0, 100)}`);
  }
}

interface Times {
  /** From the first unit's start to the last one's end, by their agents' clocks. */
  readonly seconds: number;
  /** Of all units together. */
  readonly unitSeconds: number;
}

async function timesOf(paths: readonly string[]): Promise<Times> {
  let [first, last, sum] = [Infinity, -Infinity, 0];
  for (const path of paths) {
    const time = parseTime(await readFile(path, 'utf8'));
    if (time === undefined) continue;
    first = Math.min(first, time.startedAtMs);
    last = Math.max(last, time.endedAtMs);
    sum += Math.max(0, time.endedAtMs - time.startedAtMs);
  }
  return { seconds: Math.max(0, last - first) / 1000, unitSeconds: sum / 1000 };
}

function summaryText(counts: ResultCounts, { seconds, unitSeconds }: Times): string {
  const { lines, failed, found, labels } = counts;
  const perSecond = seconds > 0 ? Math.round(((lines - failed) / seconds) * 10) / 10 : 0;
  const summary = {
    version: 1,
    images: lines,
    failed,
    found,
    labels,
    seconds: Math.round(seconds * 10) / 10,
    unitSeconds: Math.round(unitSeconds * 10) / 10,
    imagesPerSecond: perSecond,
  };
  return `${JSON.stringify(summary, undefined, 2)}\n`;
}

function nameOf(line: ResultLine): string {
  return 'image' in line ? line.image : String(line.frame);
}

function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
