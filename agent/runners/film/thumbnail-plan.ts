/** Which frames of a film become thumbnails, and where they lie: pure, and exact to the frame. */
import type {
  ContactSheet,
  Poster,
  Sprites,
  TakeThumbnailsTask,
} from '../../../proto/gen/furrow/v1/task_film.ts';
import { formatClock } from './timeline.ts';

/** A frame of the film, by its number, and when it is shown, in seconds from the first. */
export interface FramePick {
  readonly frame: number;
  readonly seconds: number;
}

/** What a film's clock says: seconds from its first frame of each frame, and how long it lasts. */
export interface FilmClock {
  readonly seconds: readonly number[];
  readonly durationSeconds: number;
}

/** The frame that is shown at a time. */
export function frameAt({ seconds }: FilmClock, at: number): FramePick {
  let low = 0;
  let high = seconds.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    // Half a microsecond: a time that was rounded on its way is still that of its frame.
    if (seconds[middle]! <= at + 5e-7) low = middle;
    else high = middle - 1;
  }
  return { frame: low, seconds: seconds[low]! };
}

/** One for each cell, each in the middle of its share of the film. */
export function sheetPicks(clock: FilmClock, { columns, rows }: ContactSheet): FramePick[] {
  const cells = columns * rows;
  return Array.from({ length: cells }, (_, i) =>
    frameAt(clock, (clock.durationSeconds * (i + 0.5)) / cells),
  );
}

export function posterPick(clock: FilmClock, { atMs }: Poster): FramePick {
  return frameAt(clock, atMs === undefined ? clock.durationSeconds / 5 : atMs / 1000);
}

/** A stretch of the film and the picture that stands for it: the one that is shown when it begins. */
export interface Cue {
  readonly pick: FramePick;
  readonly fromSeconds: number;
  readonly untilSeconds: number;
}

/** More of them no player holds, and none needs. */
const MAX_CUES = 20_000;

export function spriteCues(clock: FilmClock, { intervalMs }: Sprites): Cue[] {
  const { durationSeconds } = clock;
  const step = Math.max(intervalMs / 1000, durationSeconds / MAX_CUES);
  const cues: Cue[] = [];
  for (let i = 0; i === 0 || i * step < durationSeconds - 5e-7; i += 1) {
    const fromSeconds = i * step;
    const untilSeconds = Math.min((i + 1) * step, durationSeconds);
    cues.push({ pick: frameAt(clock, fromSeconds), fromSeconds, untilSeconds });
  }
  return cues;
}

export interface Cell {
  /** Of the sheet, from 0. */
  readonly sheet: number;
  readonly x: number;
  readonly y: number;
}

/** Where the i-th picture lies: rows from left to right, from top to bottom, sheet by sheet. */
export function cellOf(
  i: number,
  { columns, rows }: Pick<Sprites, 'columns' | 'rows'>,
  tile: { readonly width: number; readonly height: number },
): Cell {
  const inSheet = i % (columns * rows);
  return {
    sheet: Math.floor(i / (columns * rows)),
    x: (inSheet % columns) * tile.width,
    y: Math.floor(inSheet / columns) * tile.height,
  };
}

export function spriteName(sheet: number, format: TakeThumbnailsTask['format']): string {
  return `sprite-${String(sheet).padStart(3, '0')}.${format}`;
}

/** `delaySeconds`: when the film's first frame is shown; players count from their container's start. */
export function webVtt(
  cues: readonly Cue[],
  sprites: Sprites,
  tile: { readonly width: number; readonly height: number },
  format: string,
  delaySeconds: number,
): string {
  const blocks = cues.map(({ fromSeconds, untilSeconds }, i) => {
    const { sheet, x, y } = cellOf(i, sprites, tile);
    const from = i === 0 ? 0 : fromSeconds + delaySeconds;
    const place = `#xywh=${x},${y},${tile.width},${tile.height}`;
    return `${formatClock(from)} --> ${formatClock(untilSeconds + delaySeconds)}\n${spriteName(sheet, format)}${place}\n`;
  });
  return `WEBVTT\n\n${blocks.join('\n')}`;
}
