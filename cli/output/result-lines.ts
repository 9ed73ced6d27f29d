/** What became of each film of a job that encodes many, as a table. */
import { type FilmResult, ratioOf } from '../../kit/film-results.ts';
import { formatBytes, formatCount } from './format.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';

export function resultLines(
  films: readonly FilmResult[],
  style: Style,
  columns: number | undefined,
): string[] {
  const proven = films.filter(({ state }) => state === 'proven');
  const sum = (of: (film: FilmResult) => number): number =>
    proven.reduce((bytes, film) => bytes + of(film), 0);
  const sizes = `${formatBytes(sum((film) => film.sourceBytes))} became ${formatBytes(sum((film) => film.filmBytes))}`;
  return [
    ...renderTable(
      films,
      [
        { title: 'FILM', cell: ({ source }) => source },
        {
          title: 'STATE',
          cell: ({ state }) => state,
          paint: (text, { state }) => (state === 'proven' ? style.green(text) : style.red(text)),
        },
        { title: 'FRAMES', cell: ({ frames }) => frameCount(frames), align: 'right' },
        { title: 'BEFORE', cell: ({ sourceBytes }) => formatBytes(sourceBytes), align: 'right' },
        {
          title: 'AFTER',
          cell: ({ filmBytes }) => (filmBytes === 0 ? '-' : formatBytes(filmBytes)),
          align: 'right',
        },
        { title: 'RATIO', cell: (film) => ratioOf(film) || '-', align: 'right' },
        { title: 'REASON', cell: ({ reason }) => reason, flexible: true },
      ],
      style,
      columns,
    ),
    `${proven.length} of ${formatCount(films.length, 'film')} proven: ${sizes}`,
  ];
}

const frameCount = (frames: number): string => (frames === 0 ? '-' : String(frames));
