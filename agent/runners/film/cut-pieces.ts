/** Cuts a source into pieces whose packets are verified one by one, in one pass where that is exact. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Retime, SplitTask } from '../../../proto/gen/furrow/v1/task.ts';
import type { FilmAttempt } from './film-runner.ts';
import type { FilmPlan, PlanPiece } from './film-plan.ts';
import { cutPiece, type CutSource, type PieceClock } from './piece-cut.ts';
import { showsItsFirst, tellingPieces } from './piece-opening.ts';
import { cutInOnePass, type CutList } from './piece-pass.ts';
import { picturesEach, picturesOf } from './film-frames.ts';
import { retimed, startsWithFrames, type Timeline } from './retime.ts';
import { findStarts, type SizedSource } from './piece-starts.ts';
import type { TimeBase } from './timeline.ts';

export type SplitAttempt = FilmAttempt<SplitTask>;

/** Finding and cutting share the bar by what they cost on a large file. */
export const INDEX_SHARE = 0.3;

/** Cuts all pieces; undefined when one of them cannot be cut exactly. `timeline`: of the source's frames. */
export async function cutPieces(
  attempt: SplitAttempt,
  source: SizedSource,
  timeline: Timeline,
  deinterlace: FilmPlan['deinterlace'],
): Promise<readonly PlanPiece[] | undefined> {
  const found = await findStarts(attempt, source, timeline, (frames) =>
    attempt.context.progress(
      INDEX_SHARE,
      source.packets.length + frames,
      `${frames} frames looked at for scenes`,
    ),
  );
  const starts = filledStarts(attempt.task.retime, found, timeline, deinterlace);
  const pieces = overlapping(attempt.task, starts, timeline.times.length);
  const list = cutList(pieces, source.timeBase, timeline.times);
  const apart = pieces.every(({ leadFrames, tailFrames }) => leadFrames + tailFrames === 0);
  const clocks =
    (apart ? await cutTogether(attempt, source, list) : undefined) ??
    (await cutEach(attempt, source, list));
  if (clocks !== undefined && !(await canBeginApart(attempt, source, list, clocks))) {
    await removePieces(attempt);
    attempt.context.log(
      'no decoder can begin at its keyframes (its pictures are refreshed bit by bit): the film stays in one piece',
    );
    return undefined;
  }
  return clocks?.map((clock, i) => {
    const { leadFrames, tailFrames, ...own } = pieces[i]!;
    const beyond = leadFrames + tailFrames > 0 ? { leadFrames, tailFrames } : {};
    return { name: list.names[i]!, ...own, ...clock, ...beyond };
  });
}

/** Without those of pieces that would become no frame of the film. */
function filledStarts(
  retime: Retime | undefined,
  starts: readonly number[],
  timeline: Timeline,
  deinterlace: FilmPlan['deinterlace'],
): readonly number[] {
  if (retime === undefined) return starts;
  const each = picturesEach({ deinterlace });
  const film = retimed(picturesOf(timeline, { deinterlace }), retime);
  const pictures = starts.map((start) => start * each);
  const kept = startsWithFrames(film, pictures, timeline.times.length * each);
  return kept.map((start) => start / each);
}

interface PieceRange {
  readonly firstFrame: number;
  readonly frames: number;
  readonly leadFrames: number;
  readonly tailFrames: number;
}

/** Each with as many frames of its neighbours as were asked for, where there are any. */
function overlapping(
  { leadFrames = 0, tailFrames = 0 }: SplitTask,
  starts: readonly number[],
  sourceFrames: number,
): PieceRange[] {
  return starts.map((firstFrame, i) => {
    const end = starts[i + 1] ?? sourceFrames;
    return {
      firstFrame,
      frames: end - firstFrame,
      leadFrames: Math.min(leadFrames, firstFrame),
      tailFrames: Math.min(tailFrames, sourceFrames - end),
    };
  });
}

function cutList(
  pieces: readonly PieceRange[],
  { num, den }: TimeBase,
  times: readonly number[],
): CutList {
  // NUT keeps any time base; Matroska's is a millisecond, and its own files survive it best.
  const extension = num === 1 && den === 1000 ? 'mkv' : 'nut';
  return {
    names: pieces.map((_, i) => `piece-${String(i).padStart(5, '0')}.${extension}`),
    ranges: pieces.map(({ firstFrame, frames, leadFrames, tailFrames }) => ({
      fromPts: times[firstFrame - leadFrames]!,
      untilPts: times[firstFrame + frames + tailFrames] ?? times.at(-1)! + 1,
    })),
    pattern: `piece-%05d.${extension}`,
  };
}

async function cutTogether(
  attempt: SplitAttempt,
  source: CutSource,
  list: CutList,
): Promise<readonly PieceClock[] | undefined> {
  const { media, work, context } = attempt;
  const count = source.packets.length;
  const counted = countedBefore(attempt, source);
  const clocks = await cutInOnePass(media, work.directory, source, list, (packets) =>
    context.progress(
      INDEX_SHARE + (1 - INDEX_SHARE) * Math.min(1, packets / count),
      counted + packets,
      'cutting',
    ),
  );
  if (clocks === undefined) {
    await removePieces(attempt);
    context.log('no one pass cuts exactly here: each piece is cut by itself');
  }
  return clocks;
}

/** Packets that were read for the index, and frames that were decoded for scenes. */
function countedBefore({ task }: SplitAttempt, { packets }: CutSource): number {
  return packets.length * (task.pieceBy === 'scene' ? 2 : 1);
}

/** Undefined when one piece cannot be cut exactly. */
async function cutEach(
  attempt: SplitAttempt,
  source: CutSource,
  { names, ranges }: CutList,
): Promise<readonly PieceClock[] | undefined> {
  const { media, context } = attempt;
  const clocks: PieceClock[] = [];
  for (const [i, name] of names.entries()) {
    const clock = await cutPiece(media, source, ranges[i]!, name);
    if (clock === undefined) {
      await removePieces(attempt);
      context.log(`${name} cannot be cut exactly: the film stays in one piece`);
      return undefined;
    }
    clocks.push(clock);
    const share = clocks.length / names.length;
    context.progress(
      INDEX_SHARE + (1 - INDEX_SHARE) * share,
      // Beyond what one pass over all of them had counted.
      countedBefore(attempt, source) + source.packets.length + clocks.length,
      `${clocks.length} of ${names.length} pieces`,
    );
  }
  return clocks;
}

/** Whether decoders see the pieces' first frames. */
async function canBeginApart(
  { media }: SplitAttempt,
  source: CutSource,
  { names, ranges }: CutList,
  clocks: readonly PieceClock[],
): Promise<boolean> {
  const pieces = names.map((name, i) => ({
    name,
    clock: clocks[i]!,
    fromPts: ranges[i]!.fromPts,
  }));
  for (const piece of tellingPieces(pieces)) {
    if (!(await showsItsFirst(media, source, piece))) return false;
  }
  return true;
}

/** What was cut before the cutting failed is no output. */
async function removePieces({ work }: SplitAttempt): Promise<void> {
  for (const name of await readdir(work.directory)) {
    if (name.startsWith('piece-')) await rm(join(work.directory, name));
  }
}
