/**
 * Sends pictures through a model: borrows it, starts what feeds its one pipe and what drains the other, and
 * waits for all three. The pictures go from process to process; none of their bytes come by here. When memory
 * ends the worker itself, everything begins again with less room at once, in a new process: that happens
 * with the first pictures or not at all, so that nothing much is lost by it.
 *
 * For a new kind of work see `model-work.ts`.
 */
import { FilmFault } from '../runners/film/film-fault.ts';
import type { RunnerContext } from '../runners/runner.ts';
import type { LentModel, ModelRequest, WorkEnd } from './lent-model.ts';
import type { ModelWork, WorkerAnswer } from './model-work.ts';
import { WorkRefused } from './work-end.ts';

export interface PicturesWork {
  readonly request: ModelRequest;
  /** Bytes that the work holds beside what is in the model, such as whole frames. */
  readonly otherBytes: number;
  /** It does nothing with fewer pixels at once: when memory runs out, that is its end. */
  readonly needsWhole?: boolean;
  /** The work, with at most so many pixels at once through the model. */
  readonly workOf: (roomPixels: number, model: LentModel) => ModelWork;
  /** Writes pictures into PIPE_IN of the unit's directory, until all are written or `signal` ends it. */
  readonly feed: (signal: AbortSignal) => Promise<unknown>;
  /** Reads PIPE_OUT to its end; absent for works that only tell results. */
  readonly drain?: (signal: AbortSignal) => Promise<unknown>;
  /** Progress, results. After a restart all is told again. */
  readonly onTold: (told: WorkerAnswer) => void;
}

/** Fewer pixels at once are not tried in a new process: no tile is smaller. */
const LEAST_ROOM = 256;
/** Who opens a pipe late waits for somebody who may be gone. */
const WAKE_PAUSE_MS = 50;

/** Throws FilmFault with what the user is to know; FurrowError as `lendModel` does. */
export async function throughModel(context: RunnerContext, pictures: PicturesWork): Promise<void> {
  let room = Infinity;
  for (;;) {
    const model = await borrow(context, pictures.request);
    const begun = Math.min(room, model.roomPixels(pictures.otherBytes));
    let reached = begun;
    let isWell = false;
    let fault: Error | undefined;
    let mayShrink = false;
    try {
      const passage = await onePassage(model, pictures, reached, (told) => {
        if (told.event === 'smaller') {
          reached = told.roomPixels;
          context.log(`memory ran out: the model goes on with ${reached} pixels at once`);
        }
        pictures.onTold(told);
      });
      isWell = passage.fault === undefined;
      ({ fault, mayShrink } = passage);
    } finally {
      await model.giveBack(isWell);
    }
    if (fault === undefined) return;
    context.signal.throwIfAborted();
    // One that went down in steps may have failed for what the larger ones left in it.
    room = reached < begun ? reached : Math.floor(reached / 2);
    if (!mayShrink || pictures.needsWhole === true || room < LEAST_ROOM) throw fault;
    context.log(`${fault.message}; again with ${room} pixels at once`);
  }
}

async function borrow(context: RunnerContext, request: ModelRequest): Promise<LentModel> {
  try {
    return await context.lendModel(request);
  } catch (error) {
    if (error instanceof WorkRefused) throw new FilmFault(error.kind, error.message);
    throw error;
  }
}

interface Passage {
  readonly fault?: Error | undefined;
  readonly mayShrink: boolean;
}

async function onePassage(
  model: LentModel,
  { workOf, feed, drain }: PicturesWork,
  roomPixels: number,
  onTold: (told: WorkerAnswer) => void,
): Promise<Passage> {
  const over = new AbortController();
  const faults: { feed?: Error; drain?: Error } = {};
  let waking: NodeJS.Timeout | undefined;
  const wake = (): void => {
    waking ??= setInterval(() => model.wakeWaiting(), WAKE_PAUSE_MS);
  };
  const start = (name: 'feed' | 'drain', run: PicturesWork['feed']): Promise<unknown> =>
    run(over.signal).catch((error: Error) => {
      faults[name] = error;
      wake();
    });
  const beside = [start('feed', feed), ...(drain === undefined ? [] : [start('drain', drain)])];
  try {
    const end = await model.work(workOf(roomPixels, model), onTold);
    if (end.state === 'failed') wake();
    // The worker is the cause: what the others say of it is of no use.
    if (end.state === 'failed' && end.echoOf === undefined) over.abort();
    await Promise.all(beside);
    return end.state === 'failed'
      ? { fault: causeOf(end, faults), mayShrink: end.mayShrink }
      : { fault: faults.feed ?? faults.drain, mayShrink: false };
  } finally {
    clearInterval(waking);
  }
}

/** A pipe that broke tells of whoever held its other end. */
function causeOf(
  end: WorkEnd & { readonly state: 'failed' },
  faults: { readonly feed?: Error; readonly drain?: Error },
): Error {
  const own = new FilmFault(end.kind, end.message);
  switch (end.echoOf) {
    case 'feed':
      return faults.feed ?? own;
    case 'drain':
      return faults.drain ?? faults.feed ?? own;
    case undefined:
      return own;
  }
}
