/** Looks at frames of one piece of a film: a line for each, at its own time. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inputFence, MAX_PIXELS, MEMORY_FENCE } from '../../../kit/film-fence.ts';
import type { InferFramesTask } from '../../../proto/gen/furrow/v1/task_infer.ts';
import type { ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import { PIPE_IN } from '../../models/model-work.ts';
import { anyOf } from '../film/any-of.ts';
import { FilmFault } from '../film/film-fault.ts';
import { type FilmPlan, type PlanPiece, readPlan } from '../film/film-plan.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { decodeLimitMs } from '../film/media-limits.ts';
import { bookedThreads } from '../film/media-process.ts';
import { uprightFilters } from '../film/picture.ts';
import { rescale } from '../film/timeline.ts';
import type { Runner } from '../runner.ts';
import { holdPipe } from './hold-pipe.ts';
import { knownLooking, look } from './look.ts';
import { fitFilter, modelPixels } from './picture-fit.ts';
import { type DecodedPicture, PictureLog } from './picture-log.ts';
import { foundIn, type ResultLine, textOf } from './result-line.ts';
import { type ChosenFrame, chosenFrames } from './subjects.ts';
import { partNames, writeTime } from './unit-part.ts';

export const inferFramesRunner: Runner = {
  ...filmRunner('inferFrames', inferFrames),
  usesModel: true,
};

async function inferFrames(attempt: FilmAttempt<InferFramesTask>): Promise<void> {
  const { work, task, context } = attempt;
  const looking = knownLooking(task.looking);
  const { manifest } = looking.model;
  const startedAtMs = Date.now();
  const plan = await readPlan(work.directory);
  const piece = plan.pieces.find(({ name }) => name === work.item);
  if (piece === undefined) {
    throw new FilmFault('invalid-input', `${work.item} is not a piece of the plan`);
  }
  const until = piece.firstFrame + piece.frames;
  const chosen = chosenFrames(plan, task.everyMs).filter(
    ({ frame }) => frame >= piece.firstFrame && frame < until,
  );
  let decoded: readonly DecodedPicture[] = [];
  const found =
    chosen.length === 0
      ? []
      : await look(context, looking, chosen.length, async (signal) => {
          decoded = await feedFrames(attempt, plan, piece, chosen, manifest, signal);
        });
  if (found.length !== decoded.length) {
    const message = `${decoded.length} frames went into the model, and ${found.length} came out`;
    throw new FilmFault('failed', message);
  }
  const byPts = new Map(decoded.map((picture, position) => [picture.pts, { picture, position }]));
  const lines = chosen.map(({ frame, ticks, time }): ResultLine => {
    const seen = byPts.get(inPiece(plan, piece, ticks));
    if (seen === undefined) return { frame, time, error: 'it cannot be decoded' };
    const { width, height } = seen.picture;
    const size = { width, height };
    return { frame, time, ...size, found: foundIn(manifest, size, found[seen.position]!) };
  });
  const { part, time } = partNames(work.unit);
  await writeFile(join(work.directory, part), lines.map(textOf).join(''));
  await writeTime(join(work.directory, time), lines.length, startedAtMs);
}

/** A time of the source in the piece's own ticks. */
function inPiece(plan: FilmPlan, piece: PlanPiece, ticks: number): number {
  return rescale(ticks, plan.timeBase, piece.timeBase) + piece.shiftTicks;
}

async function feedFrames(
  { work, context }: FilmAttempt<InferFramesTask>,
  plan: FilmPlan,
  piece: PlanPiece,
  chosen: readonly ChosenFrame[],
  manifest: ModelManifest,
  signal: AbortSignal,
): Promise<readonly DecodedPicture[]> {
  const log = new PictureLog();
  const late = AbortSignal.timeout(decodeLimitMs(piece.frames, MAX_PIXELS));
  const held = await holdPipe(join(work.directory, PIPE_IN), signal);
  try {
    const { exitCode, signal: by } = await context.run({
      program: 'ffmpeg',
      args: argvFor(plan, piece, chosen, manifest, bookedThreads(work)),
      cwd: work.directory,
      signal: AbortSignal.any([late, signal]),
      quiet: true,
      onStdoutLine: () => undefined,
      onStderrLine: (line) => log.take(line),
    });
    signal.throwIfAborted();
    if (late.aborted) throw new FilmFault('timed-out', `decoding ${piece.name} took too long`);
    if (exitCode !== 0) {
      const how = exitCode === null ? `signal ${by}` : `exit ${exitCode}`;
      const why = log.machineFault === '' ? how : `${log.machineFault} (${how})`;
      throw new FilmFault('failed', `decoding ${piece.name}: ${why}`);
    }
  } finally {
    await held.close();
  }
  return log.decoded;
}

/** First and last of those that follow each other in the film. */
function runsOf(chosen: readonly ChosenFrame[]): readonly (readonly [ChosenFrame, ChosenFrame])[] {
  const runs: [ChosenFrame, ChosenFrame][] = [];
  for (const one of chosen) {
    const run = runs.at(-1);
    if (run !== undefined && run[1].frame + 1 === one.frame) run[1] = one;
    else runs.push([one, one]);
  }
  return runs;
}

function argvFor(
  plan: FilmPlan,
  piece: PlanPiece,
  chosen: readonly ChosenFrame[],
  manifest: ModelManifest,
  threads: number,
): string[] {
  const isCut = plan.mode === 'cut';
  const stream = isCut ? 'v:0' : String(plan.source.stream);
  // By their times: what else lies in the piece belongs to its neighbours, or is not wanted.
  const wanted = anyOf(
    runsOf(chosen).map(([first, last]) => {
      return `between(pts,${inPiece(plan, piece, first.ticks)},${inPiece(plan, piece, last.ticks)})`;
    }),
  );
  const upright = uprightFilters(plan.source.orientation);
  return [
    ['-nostdin', '-hide_banner', '-loglevel', 'info', '-nostats', '-y', ...MEMORY_FENCE],
    ['-filter_threads', '1', ...inputFence(), '-threads', String(threads), '-noautorotate'],
    [...(isCut ? ['-copyts'] : []), '-i', `file:${piece.name}`, '-map', `0:${stream}`],
    [
      '-vf',
      [`select='${wanted}'`, ...upright, 'showinfo=checksum=0', fitFilter(manifest)].join(','),
    ],
    ['-fps_mode', 'passthrough', '-f', 'rawvideo', '-pix_fmt', modelPixels(manifest)],
    [`file:${PIPE_IN}`],
  ].flat();
}
