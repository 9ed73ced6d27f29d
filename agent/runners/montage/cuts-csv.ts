/** A cut list as a table (RFC 4180), for people and spreadsheets, and back. Counts are frames of the film. Pure. */
import { clipFramesOf, type CutList, shotStarts } from './cut-list.ts';
import { type EditedList, type EditedShot, ListFault, transitionOf } from './edited-list.ts';
import type { Rate } from './timecode.ts';

const COLUMNS = [
  'shot',
  'rate',
  'film_from',
  'frames',
  'clip',
  'clip_from',
  'clip_until',
  'speed_percent',
  'transition',
  'transition_frames',
] as const;

type Column = (typeof COLUMNS)[number];

/** Without these a list cannot be read; the others follow or have a usual value. */
const NEEDED: readonly Column[] = ['frames', 'clip', 'clip_from'];

export function csvText(list: CutList): string {
  const { rate, clips, shots } = list;
  const starts = shotStarts(list);
  const rows = shots.map((shot, index) => [
    index + 1,
    `${rate.num}/${rate.den}`,
    starts[index]!,
    shot.frames,
    clips[shot.clip]!.name,
    shot.from,
    shot.from + clipFramesOf(shot, shot.frames),
    shot.speedPercent,
    shot.transition,
    shot.transitionFrames,
  ]);
  return [COLUMNS, ...rows].map((row) => `${row.map(field).join(',')}\r\n`).join('');
}

function field(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Throws ListFault, which names the line. Columns may come in any order, and others beside them. */
export function readCsv(text: string, rate: Rate): EditedList {
  const rows = rowsOf(text.replace(/^\uFEFF/, ''));
  const [head, ...body] = rows;
  const columns = (head?.fields ?? []).map((name) => name.trim().toLowerCase());
  for (const name of NEEDED) {
    if (!columns.includes(name)) {
      throw new ListFault(
        `line 1: there is no column '${name}': the columns are ${COLUMNS.join(', ')}`,
      );
    }
  }
  return { shots: body.map(({ line, fields }) => shotOf(line, columns, fields, rate)) };
}

function shotOf(
  line: number,
  columns: readonly string[],
  fields: readonly string[],
  rate: Rate,
): EditedShot {
  const where = `line ${line}`;
  if (fields.length !== columns.length) {
    throw new ListFault(
      `${where} has ${fields.length} fields, and the table ${columns.length} columns`,
    );
  }
  const text = (name: Column): string => fields[columns.indexOf(name)]?.trim() ?? '';
  const whole = (name: Column, usual?: number): number => {
    if (text(name) === '' && usual !== undefined) return usual;
    if (/^\d{1,9}$/.test(text(name))) return Number(text(name));
    throw new ListFault(
      `${where}: ${name} is '${text(name)}', and must be a whole number of frames`,
    );
  };
  const own = text('rate');
  if (own !== '' && own !== `${rate.num}/${rate.den}`) {
    throw new ListFault(
      `${where} counts at ${own} frames a second and the film at ${rate.num}/${rate.den}: give the list's rate with --fps`,
    );
  }
  const transitionFrames = whole('transition_frames', 0);
  const kind = text('transition') || (transitionFrames === 0 ? 'cut' : 'dissolve');
  return {
    where,
    // A name may begin with a blank.
    clip: fields[columns.indexOf('clip')] ?? '',
    from: whole('clip_from'),
    fromIsTimecode: false,
    frames: whole('frames'),
    speedPercent: whole('speed_percent', 100),
    transition: transitionOf(kind, where),
    transitionFrames,
  };
}

interface Row {
  /** In the file, from 1. */
  readonly line: number;
  readonly fields: readonly string[];
}

/** Fields may be quoted and then hold commas, quotes and line ends. Some programs part them with semicolons. */
function rowsOf(text: string): Row[] {
  const comma = (text.split(/[\r\n]/)[0] ?? '').includes(';') ? ';' : ',';
  const rows: Row[] = [];
  let fields: string[] = [];
  let value = '';
  let quoted = false;
  let line = 1;
  let begunAt = 1;
  const endRow = (): void => {
    fields.push(value);
    if (fields.length > 1 || value.trim() !== '') rows.push({ line: begunAt, fields });
    fields = [];
    value = '';
  };
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at]!;
    if (letter === '\n') line += 1;
    if (quoted) {
      if (letter !== '"') value += letter;
      else if (text[at + 1] === '"') value += text[(at += 1)]!;
      else quoted = false;
    } else if (letter === '"' && value === '') quoted = true;
    else if (letter === comma) {
      fields.push(value);
      value = '';
    } else if (letter === '\n') {
      endRow();
      begunAt = line;
    } else if (letter !== '\r') value += letter;
  }
  if (quoted) throw new ListFault(`line ${begunAt}: a quote is not closed`);
  endRow();
  return rows;
}
