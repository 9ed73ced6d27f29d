/**
 * From the motion of all pieces to `moves.json`. vid.stab itself makes one motion of each frame's many small
 * ones, over the whole film at once; what smooths them is ours (`camera-path.ts`).
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SmoothMotionTask } from '../../../proto/gen/furrow/v1/task_film.ts';
import {
  MAX_ZOOM_PERCENT,
  parseMotions,
  steadyMoves,
  zoomToHideEdges,
  type Move,
} from './camera-path.ts';
import { edgeName, motionName } from './detect-motion.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { readPlan, type FilmPlan } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { joinMotions, motionFilter, readMotion, type MotionList } from './motion-list.ts';
import { writeMoves } from './steady.ts';

type SmoothAttempt = FilmAttempt<SmoothMotionTask>;

const JOINED = 'motion-film.trf';
const BORDER = 'motion-border.trf';
/** The name that the filter gives it. */
const GLOBAL = 'global_motions.trf';

export const smoothMotionRunner = filmRunner('smoothMotion', smoothMotion);

async function smoothMotion(attempt: SmoothAttempt): Promise<void> {
  const { work, task, context } = attempt;
  const plan = await readPlan(work.directory);
  const pieces: MotionList[] = [];
  for (const piece of plan.pieces) {
    const motion = await readMotion(work.directory, motionName(piece));
    if (motion.frames.length !== piece.frames) {
      const message = `${motionName(piece)} has ${motion.frames.length} frames, not ${piece.frames}`;
      throw new FilmFault('bad-output', message);
    }
    pieces.push(motion);
  }
  const between = await measureBorders(attempt, plan);
  await writeFile(join(work.directory, JOINED), joinMotions(pieces, between));
  const motions = await globalMotions(attempt, plan);
  const radiusFrames = radiusOf(plan, task.smoothingMs);
  const moves = steadyMoves(motions, radiusFrames);
  const zoomPercent = zoomOf(attempt, plan, moves);
  const rounded = moves.map(
    ({ x, y, angle }) => [six(x), six(y), six(angle)] as [number, number, number],
  );
  await writeMoves(work.directory, { version: 1, zoomPercent, radiusFrames, moves: rounded });
  context.log(
    `${plan.frames} frames, smoothed over ${radiusFrames} to each side, enlarged by ${zoomPercent.toFixed(2)} %`,
  );
  context.progress(1, plan.pieces.length + 1, '');
}

/** The motion from the last frame of each piece to the first of the next. */
async function measureBorders(
  { media, work, task, context }: SmoothAttempt,
  plan: FilmPlan,
): Promise<MotionList[]> {
  const between: MotionList[] = [];
  let look: string | undefined;
  for (const [i, piece] of plan.pieces.slice(1).entries()) {
    const before = plan.pieces[i]!;
    look ??= await motionFilter(context, work.directory, BORDER, task.shakiness);
    const last = before.frames > 1 ? 1 : 0;
    const graph =
      `[0:v]trim=start_frame=${last},setpts=0[a];[1:v]trim=end_frame=1,setpts=0[b];` +
      `[a][b]concat=n=2,${look}[seen]`;
    const run = await media.ffmpeg(
      [{ name: edgeName(before) }, { name: edgeName(piece) }],
      [
        {
          name: 'null',
          options: [
            '-filter_complex',
            graph,
            '-map',
            '[seen]',
            '-fps_mode',
            'passthrough',
            '-f',
            'null',
          ],
        },
      ],
    );
    if (!run.ok)
      throw processFault(run, `looking for motion between ${before.name} and ${piece.name}`);
    const motion = await readMotion(work.directory, BORDER);
    if (motion.frames.length !== 2) {
      throw new FilmFault(
        'bad-output',
        `${edgeName(before)} and ${edgeName(piece)} are not two frames`,
      );
    }
    between.push(motion);
    context.progress((i + 1) / plan.pieces.length, i + 1, 'between the pieces');
  }
  return between;
}

/** One motion for each frame of the film. */
async function globalMotions({ media, work }: SmoothAttempt, plan: FilmPlan): Promise<Move[]> {
  const run = await media.ffmpeg(
    [{ name: edgeName(plan.pieces[0]!) }],
    [
      {
        name: 'null',
        options: [
          '-frames:v',
          '1',
          '-vf',
          `vidstabtransform=input=${JOINED}:debug=1`,
          '-f',
          'null',
        ],
      },
    ],
  );
  if (!run.ok) throw processFault(run, `the motion of ${plan.source.name}`);
  const motions = parseMotions(await readFile(join(work.directory, GLOBAL), 'utf8'));
  for (const name of [JOINED, GLOBAL]) await rm(join(work.directory, name));
  await rm(join(work.directory, BORDER), { force: true });
  const isWhole = motions.length === plan.frames && motions.every(isFinite);
  if (!isWhole) throw new FilmFault('bad-output', `${plan.source.name}: its motion was not found`);
  return motions;
}

function isFinite({ x, y, angle }: Move): boolean {
  return [x, y, angle].every((value) => Number.isFinite(value));
}

function radiusOf(plan: FilmPlan, smoothingMs: number): number {
  const [frames = 25, seconds = 1] = plan.source.frameRate.split('/').map(Number);
  return Math.min(1000, Math.round(((smoothingMs || 500) / 1000) * (frames / seconds)));
}

function zoomOf(
  { task, context }: SmoothAttempt,
  { source }: FilmPlan,
  moves: readonly Move[],
): number {
  const wanted = task.zoomMilliPercent / 1000;
  if (!task.crop) return six(wanted);
  const zoom = zoomToHideEdges(moves, source) + wanted;
  if (zoom <= MAX_ZOOM_PERCENT) return six(zoom);
  context.log(
    `hiding all edges would enlarge the picture by ${zoom.toFixed(1)} %: it is ${MAX_ZOOM_PERCENT} %, and some show black`,
  );
  return MAX_ZOOM_PERCENT;
}

/** Digits that reach the filter. */
function six(value: number): number {
  return Number(value.toFixed(6)) + 0;
}
