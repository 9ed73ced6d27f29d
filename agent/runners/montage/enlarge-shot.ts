/**
 * Renders one shot as `render-shot.ts` does, but that its clip, or that of the shot before, goes through a model first
 * where it is smaller than what it fills of the film.
 */
import { FilmFault } from '../film/film-fault.ts';
import { filmRunner } from '../film/film-runner.ts';
import { enlargePiece } from './enlarge-piece.ts';
import { isSmall } from './picture-filters.ts';
import { renderShot } from './render-shot.ts';
import { firstLentFrame } from './shot-graph.ts';

/** Of the unit's time: the model takes nearly all of it. */
const MODEL_SHARE = 0.9;
/** What rendering counts comes after whatever the model counts. */
const RENDERING = 1_000_000_000;

export const enlargeShotRunner = filmRunner(
  'enlargeShot',
  async (attempt) => {
    const { task, context } = attempt;
    const { film } = task;
    if (film === undefined) throw new FilmFault('invalid-input', 'the task has no film');
    let passed = 0;
    const after = {
      ...context,
      progress: (fraction: number, counter: number, text: string) =>
        context.progress(MODEL_SHARE + (1 - MODEL_SHARE) * fraction, RENDERING + counter, text),
    };
    await renderShot({ ...attempt, context: after }, film, async (list, piece, isBefore) => {
      if (!isSmall(film, piece.picture)) return piece;
      const largeFrom = isBefore ? firstLentFrame(film, list, piece) : 0;
      const counted = passed;
      return enlargePiece(attempt, { film, list, piece }, largeFrom, (share, counter) => {
        passed = counted + counter;
        // How much of the shot before is needed besides is little, as a rule.
        const done = isBefore ? 0.9 + 0.1 * share : 0.9 * share;
        context.progress(MODEL_SHARE * done, passed, 'making frames larger');
      });
    });
  },
  { usesModel: true },
);
