/**
 * Measures the camera's motion from frame to frame of one piece. What lies between two pieces is measured when
 * they are joined, from the first and last frame that each leaves: so all pairs of frames are measured once, and
 * each as in a single run over the film.
 */
import type { DetectMotionTask } from '../../../proto/gen/furrow/v1/task_film.ts';
import { planAndPiece, plannedSource } from './encode.ts';
import { FilmFault, processFault } from './film-fault.ts';
import type { FilmPlan, PlanPiece } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { losslessOptions } from './lossless.ts';
import { decodeLimitMs } from './media-limits.ts';
import { motionFilter, readMotion } from './motion-list.ts';
import { steadyFormat } from './steady.ts';

type DetectAttempt = FilmAttempt<DetectMotionTask>;

/** Looking for motion costs some times as much as decoding. */
const DETECT_COST = 10;

export const detectMotionRunner = filmRunner('detectMotion', detectMotion);

async function detectMotion(attempt: DetectAttempt): Promise<void> {
  const { work } = attempt;
  const { plan, piece } = await planAndPiece(work);
  await detect(attempt, plan, piece);
  const { frames } = await readMotion(work.directory, motionName(piece));
  if (frames.length !== piece.frames) {
    const message = `${plan.source.name}: motion of ${frames.length} frames was found, not of ${piece.frames}`;
    throw new FilmFault('invalid-input', `${message}: it may be damaged near there`);
  }
}

async function detect(
  { media, context, task, work }: DetectAttempt,
  plan: FilmPlan,
  piece: PlanPiece,
): Promise<void> {
  const { stream, inputOptions, filters } = plannedSource(plan, piece);
  const look = await motionFilter(context, work.directory, motionName(piece), task.shakiness);
  const { frames } = piece;
  const graph =
    `[0:${stream}]${filters.join(',')},${steadyFormat(plan.source)},split[all][some];` +
    `[all]${look}[seen];` +
    `[some]select='eq(n\\,0)+eq(n\\,${frames - 1})'[edges]`;
  const pixels = plan.source.width * plan.source.height;
  const exactTimes = ['-fps_mode', 'passthrough', '-enc_time_base', `1/${plan.timeBase.den}`];
  const run = await media.ffmpeg(
    [{ name: piece.name, options: ['-noautorotate', ...inputOptions] }],
    [
      {
        name: 'null',
        options: ['-filter_complex', graph, '-map', '[seen]', ...exactTimes, '-f', 'null'],
      },
      {
        name: { file: edgeName(piece) },
        options: ['-map', '[edges]', ...exactTimes, ...losslessOptions(pixels), '-f', 'nut'],
      },
    ],
    ({ frame, fps }) =>
      context.progress(Math.min(1, frame / frames), frame, fps > 0 ? `${Math.round(fps)} fps` : ''),
    { limitMs: DETECT_COST * decodeLimitMs(frames, pixels) },
  );
  if (!run.ok) throw processFault(run, `looking for motion in ${piece.name}`);
}

/** `piece-00003.nut` → `motion-00003.trf`. */
export function motionName(piece: PlanPiece): string {
  return `motion-${numberOf(piece)}.trf`;
}

/** `piece-00003.nut` → `edge-00003.nut`. */
export function edgeName(piece: PlanPiece): string {
  return `edge-${numberOf(piece)}.nut`;
}

function numberOf(piece: PlanPiece): string {
  return piece.name.replace(/^piece-(\d+)\..*$/, '$1');
}
