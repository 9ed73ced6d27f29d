/**
 * One watcher's stream: the job as it is, then every commit that touches it, then its end. A cursor is
 * the journal sequence of the last commit seen; what lies between it and now is read from the journal,
 * so that nothing is missed across restarts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { WatchJobRequest, WatchJobResponse } from '../../proto/gen/furrow/v1/job_service.ts';
import type { Fact } from '../domain/facts.ts';
import { type Farm, jobId } from '../domain/farm.ts';
import type { JobView } from '../domain/views.ts';
import type { KnownJobs } from '../known-jobs.ts';
import type { ReadModel } from '../read-model.ts';
import type { JobChange, Mailbox, WatchHub } from '../watch-hub.ts';
import type { Send } from './handlers.ts';
import { attemptEvents, jobFromWire, jobToWire } from './wire.ts';

/** Commits that are on disk, from the one after `after` up to `last`. */
export type ReadHistory = (
  after: number,
  last: number,
) => AsyncIterable<{ readonly sequence: number; readonly facts: readonly Fact[] }>;

export interface WatchSource {
  readonly farm: Farm;
  readonly readModel: Pick<ReadModel, 'sequence' | 'job'>;
  readonly known: Pick<KnownJobs, 'job'>;
  readonly hub: WatchHub;
  readonly readHistory: ReadHistory;
  /** Settles once the read model shows all that the journal holds now; rejects when it cannot. */
  readonly reachEnd: () => Promise<void>;
  /** Outputs are kept so long after their job's end; 0 for ever. */
  readonly outputRetentionMs: number;
}

/** The job, also if this coordinator has yet to hear of it from another. */
export async function findJob(
  { known, reachEnd }: Pick<WatchSource, 'known' | 'reachEnd'>,
  number: number,
): Promise<JobView | undefined> {
  const view = await known.job(number);
  if (view !== undefined) return view;
  await reachEnd();
  return known.job(number);
}

export function jobUnknown(id: string): FurrowError {
  return new FurrowError('not-found', 'JOB_UNKNOWN', `no job ${id}: see furrow jobs --all`);
}

export async function watchJob(
  source: WatchSource,
  request: WatchJobRequest,
  send: Send<WatchJobResponse>,
  signal: AbortSignal,
): Promise<void> {
  const number = jobFromWire(request.jobId);
  const cursor = sequenceOf(request.cursor);
  const isAhead = (): boolean => cursor !== undefined && cursor > source.readModel.sequence;
  // Another coordinator may have told more than this one has read.
  if (isAhead()) await source.reachEnd();
  // From another farm, or from one that was restored to an earlier time: what was told cannot be known.
  if (isAhead()) throw cursorInvalid();
  const isShown = source.readModel.job(number) !== undefined;
  if (!isShown && (await findJob(source, number)) === undefined) throw jobUnknown(request.jobId);
  const mailbox = source.hub.open(number);
  try {
    const watch = new Watch(source, number, !request.withoutAttempts, mailbox, send, signal);
    await watch.run(cursor);
  } finally {
    mailbox.close();
  }
}

function sequenceOf(cursor: string): number | undefined {
  if (cursor === '') return undefined;
  if (/^[0-9]{1,15}$/.test(cursor)) return Number(cursor);
  throw cursorInvalid();
}

function cursorInvalid(): FurrowError {
  const message = 'the cursor is none that this farm gave: leave it empty to start from now';
  return new FurrowError('invalid', 'CURSOR_INVALID', message);
}

const MAX_EVENTS_A_MESSAGE = 1_000;

class Watch {
  readonly #source: WatchSource;
  readonly #number: number;
  readonly #withAttempts: boolean;
  readonly #pace = new Pace();
  readonly #mailbox: Mailbox;
  readonly #send: Send<WatchJobResponse>;
  readonly #signal: AbortSignal;
  /** Sequence of the last commit that was told. */
  #told = 0;

  constructor(
    source: WatchSource,
    number: number,
    withAttempts: boolean,
    mailbox: Mailbox,
    send: Send<WatchJobResponse>,
    signal: AbortSignal,
  ) {
    this.#source = source;
    this.#number = number;
    this.#withAttempts = withAttempts;
    this.#mailbox = mailbox;
    this.#send = send;
    this.#signal = signal;
  }

  async run(cursor: number | undefined): Promise<void> {
    // What comes after the cursor cannot be read; without one, the job is told as it was known last.
    const { trouble } = this.#source.hub;
    if (cursor !== undefined && trouble !== undefined) throw trouble;
    this.#told = cursor ?? this.#source.readModel.sequence;
    if (await this.#catchUp()) return;
    for (;;) {
      await this.#pace.wait(this.#signal);
      const mail = await this.#mailbox.next(this.#signal);
      if (mail === undefined) return;
      switch (mail.kind) {
        case 'gap':
          if (await this.#catchUp()) return;
          break;
        case 'changes':
          if (await this.#tellChanges(mail.changes)) return;
          break;
        case 'progress':
          await this.#send({
            cursor: '',
            event: { $case: 'progress', value: { units: mail.units } },
          });
      }
    }
  }

  /** Tells what happened between the last commit told and now, and the job as it is. */
  async #catchUp(): Promise<boolean> {
    const { known, readModel, readHistory } = this.#source;
    const last = readModel.sequence;
    // Told as of `last`: waited for only if it is archived, and will not change any more.
    const view = readModel.job(this.#number) ?? (await known.job(this.#number));
    if (view === undefined) throw jobUnknown(jobId(this.#number));
    if (this.#told < last) {
      for await (const commit of readHistory(this.#told, last)) {
        if (this.#signal.aborted) return true;
        await this.#tellFacts(commit.facts, commit.sequence - 1);
      }
    }
    return this.#tellJob(last, view);
  }

  /** Commits that came together are told together, up to the one that ends the job. */
  async #tellChanges(changes: readonly JobChange[]): Promise<boolean> {
    const untold = changes.filter(({ sequence }) => sequence > this.#told);
    const end = untold.findIndex(({ view }) => view !== undefined && view.endedAtMs > 0);
    const told = end < 0 ? untold : untold.slice(0, end + 1);
    const last = told.at(-1);
    if (last?.view === undefined) return false;
    await this.#tellFacts(
      told.flatMap(({ facts }) => facts),
      this.#told,
    );
    return this.#tellJob(last.sequence, last.view);
  }

  /** `before` is the commit before them: what was told in part is told again after a break. */
  async #tellFacts(facts: readonly Fact[], before: number): Promise<void> {
    if (!this.#withAttempts) return;
    const { farm } = this.#source;
    const events = facts.flatMap((fact) => attemptEvents(farm, this.#number, fact));
    for (let from = 0; from < events.length; from += MAX_EVENTS_A_MESSAGE) {
      const value = { events: events.slice(from, from + MAX_EVENTS_A_MESSAGE) };
      await this.#send({ cursor: String(before), event: { $case: 'attempts', value } });
    }
  }

  /** True when the job has ended and there is nothing more to tell. */
  async #tellJob(sequence: number, view: JobView): Promise<boolean> {
    this.#told = sequence;
    this.#pace.spend(view.steps.length / STEPS_A_TURN);
    await this.#send({
      cursor: String(sequence),
      event: { $case: 'job', value: jobToWire(view, this.#source.outputRetentionMs) },
    });
    return view.endedAtMs > 0;
  }
}

const BURST = 20;
const REFILL_MS = 20;
/** The job is told whole: one of 10,000 steps a second apart. */
const STEPS_A_TURN = 200;

/** A message costs both sides more than what it tells: after a burst, what comes is gathered a little. */
class Pace {
  #left = BURST;
  #lastMs = performance.now();

  /** What was sent was larger than others by so much. */
  spend(turns: number): void {
    this.#left -= turns;
  }

  async wait(signal: AbortSignal): Promise<void> {
    const nowMs = performance.now();
    this.#left = Math.min(BURST, this.#left + (nowMs - this.#lastMs) / REFILL_MS);
    this.#lastMs = nowMs;
    this.#left -= 1;
    if (this.#left >= 0) return;
    await sleep(-this.#left * REFILL_MS, undefined, { signal }).catch(() => undefined);
  }
}
