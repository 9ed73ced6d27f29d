/** What happened in the demo, as a short table that fits narrow screens. */
import { basename } from 'node:path';
import type { DemoReport } from '../report.ts';
import { formatBytes, formatCount, formatDuration } from './format.ts';
import type { Style } from './style.ts';
import { printable, textWidth } from './text-width.ts';

const TITLE_COLUMNS = 8;
/** In a pipe, where there is no width, sentences still want to be short lines. */
const PIPE_COLUMNS = 100;
const MIN_TEXT_COLUMNS = 16;

export function demoLines(
  report: DemoReport,
  style: Style,
  columns: number = PIPE_COLUMNS,
): string[] {
  const width = Math.max(MIN_TEXT_COLUMNS, columns - TITLE_COLUMNS - 1);
  const rows = rowsOf(report).flatMap(([title, text]) =>
    wrap(printable(text), width).map(
      (line, i) => `${style.dim((i === 0 ? title : '').padEnd(TITLE_COLUMNS))} ${line}`,
    ),
  );
  // Never cut or wrapped: it is meant to be copied.
  const { film, proof } = report;
  return [
    '',
    ...rows,
    '',
    `${style.bold('The film:')} ${film.path}`,
    `The proof: ${proof.path}`,
    'The demo has ended, and nothing of it is left running.',
  ];
}

function rowsOf(report: DemoReport): [title: string, text: string][] {
  return [
    ['chunks', chunkWords(report)],
    ...killRows(report),
    ['frames', frameWords(report)],
    ['proof', `${report.checksHeld} of ${formatCount(report.checks, 'check')} hold`],
    ['film', `${basename(report.film.path)}, ${formatBytes(report.film.sizeBytes)}`],
    ['time', timeWords(report)],
  ];
}

function chunkWords({ chunks, chunksBy }: DemoReport): string {
  const shares = Object.entries(chunksBy).sort(([a], [b]) => (a < b ? -1 : 1));
  const words = shares.map(([agent, count]) => `${count} by ${agent}`);
  return `${chunks}, encoded ${words.join(' and ')}`;
}

function killRows({ kill, losses, chunks, submittedAtMs }: DemoReport): [string, string][] {
  if (!kill) return [['killed', 'nobody: the film was done before half-way could be seen']];
  const after = formatDuration(kill.atMs - submittedAtMs);
  const killed = `${kill.agent} with kill -9 after ${after}, when ${kill.chunksDone} of ${chunks} chunks were done`;
  if (losses.length === 0)
    return [
      ['killed', killed],
      ['lost', 'nothing: it held no unit'],
    ];
  const rows = losses.map(({ unit, agent, lostAtMs, again }): [string, string] => {
    const silence = formatDuration(lostAtMs - kill.atMs);
    const taken = again
      ? `given to ${again.agent} ${formatDuration(again.atMs - kill.atMs)} after the kill (attempt ${again.attempt})`
      : 'never needed again';
    return ['lost', `${unit} of ${agent}, noticed after ${silence}; ${taken}`];
  });
  return [['killed', killed], ...rows];
}

function frameWords({ sourceFrames, filmFrames }: DemoReport): string {
  if (sourceFrames !== filmFrames) {
    return `NOT THE SAME: ${sourceFrames} in the source, ${filmFrames} in the film (counted by ffprobe)`;
  }
  return `${sourceFrames} in the source, ${filmFrames} in the film (counted by ffprobe)`;
}

function timeWords({ tookMs, submittedAtMs, endedAtMs }: DemoReport): string {
  const job = formatDuration(endedAtMs - submittedAtMs);
  return `${formatDuration(tookMs)} in all, ${job} of it for the job`;
}

/** Lines of at most `columns`, broken between words; a longer word has a line of its own. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && textWidth(last) + 1 + textWidth(word) <= columns) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines;
}
