/**
 * Joins what units found into one file with a line for each picture or frame, in order. What a unit that failed was
 * to look at has a line, too, where the job bears such units.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JoinResultsTask } from '../../../proto/gen/furrow/v1/task_infer.ts';
import { FilmFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { LineFile, linesOf } from './line-files.ts';
import { ResultCounts } from './result-counts.ts';
import { parseResultLine, type ResultLine, textOf } from './result-line.ts';
import { subjectsOf } from './subjects.ts';
import { parseTime, PART, TIME } from './unit-part.ts';

export const RESULTS = 'results.jsonl';
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
  const results = new LineFile(inDirectory(RESULTS));
  const failures = new LineFile(inDirectory(FAILURES));
  await failures.write(task.list === '' ? 'frame,error\r\n' : 'image,error\r\n');
  const counts = new ResultCounts();
  let next = await parts.next();
  for await (const subject of subjectsOf(directory, task)) {
    const isKnown = next !== undefined && subject.isOf(next);
    const line = isKnown ? next! : subject.failed(NO_RESULT);
    if (isKnown) next = await parts.next();
    counts.add(line);
    await results.write(textOf(line));
    if ('error' in line)
      await failures.write(`${csvField(nameOf(line))},${csvField(line.error)}\r\n`);
    if (counts.lines % PROGRESS_LINES === 0) context.progress(0, counts.lines, 'joining');
  }
  await results.end();
  await failures.end();
  if (next !== undefined) {
    const message = `units told of ${JSON.stringify(nameOf(next))}, which is not what comes next`;
    throw new FilmFault('bad-output', message);
  }
  const times = await timesOf(names.filter((name) => TIME.test(name)).map(inDirectory));
  await writeFile(inDirectory(SUMMARY), summaryText(counts, times));
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
