/** Gives each piece of a film its bits, by what all pieces took when they were measured. */
import type { PlanRatesTask } from '../../../proto/gen/furrow/v1/task.ts';
import { FilmFault } from './film-fault.ts';
import { filmTimeline, pieceFrames } from './film-frames.ts';
import { readPlan, type FilmPlan, type PlanPiece } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { apportion, readMeasure, writeRates } from './rate-plan.ts';
import { secondsOf } from './timeline.ts';

export const planRatesRunner = filmRunner('planRates', planRates);

async function planRates({ work, task, context }: FilmAttempt<PlanRatesTask>): Promise<void> {
  const { bitrateBps } = task;
  if (!(bitrateBps > 0)) throw new FilmFault('invalid-input', 'the task asks for no bits');
  const plan = await readPlan(work.directory);
  const seconds = secondsOfPieces(plan);
  const measured = [];
  for (const [i, piece] of plan.pieces.entries()) {
    const { bits } = await readMeasure(work.directory, piece);
    measured.push({ bits, seconds: seconds[i]! });
  }
  const rates = apportion(measured, bitrateBps);
  const pieces = plan.pieces.map(({ name }, i) => ({ name, bitrateBps: rates[i]! }));
  await writeRates(work.directory, { version: 1, bitrateBps, pieces });
  const kilobits = (rate: number): number => Math.round(rate / 1000);
  const [least, most] = [Math.min(...rates), Math.max(...rates)];
  context.log(
    `${pieces.length} pieces get ${kilobits(least)} to ${kilobits(most)} kbit/s, ${kilobits(bitrateBps)} on average`,
  );
  context.progress(1, 1, `${pieces.length} pieces`);
}

/** How long the film shows each piece. */
function secondsOfPieces(plan: FilmPlan): number[] {
  const { times, timeBase, lastFrameTicks } = filmTimeline(plan);
  const startOf = (piece: PlanPiece | undefined): number =>
    piece === undefined ? times.at(-1)! + lastFrameTicks : times[pieceFrames(piece).firstFrame]!;
  return plan.pieces.map((piece, i) =>
    secondsOf(Math.max(1, startOf(plan.pieces[i + 1]) - startOf(piece)), timeBase),
  );
}
