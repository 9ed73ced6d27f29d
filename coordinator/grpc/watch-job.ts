/**
 * One watcher's stream: the job as it is, then every commit that touches it, then its end. A cursor is
 * the journal sequence of the last commit seen; what lies between it and now is read from the journal,
 * so that nothing is missed across restarts.
 */
import { FurrowError } from '../../kit/furrow-error.ts';
import type { WatchJobRequest, WatchJobResponse } from '../../proto/gen/furrow/v1/job_service.ts';
import type { Fact } from '../domain/facts.ts';
import type { Farm } from '../domain/farm.ts';
import type { JobView } from '../domain/views.ts';
import type { ReadModel } from '../read-model.ts';
import type { Mailbox, WatchHub } from '../watch-hub.ts';
import type { Send } from './handlers.ts';
import { attemptEvents, jobFromWire, jobToWire } from './wire.ts';

/** Commits that are on disk, from the one after `after` up to `last`. */
export type ReadHistory = (
  after: number,
  last: number,
) => AsyncIterable<{ readonly sequence: number; readonly facts: readonly Fact[] }>;

export interface WatchSource {
  readonly farm: Farm;
  readonly readModel: ReadModel;
  readonly hub: WatchHub;
  readonly readHistory: ReadHistory;
  /** Settles once the read model shows all that the journal holds now. */
  readonly reachEnd: () => Promise<void>;
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
  if (isAhead() || source.readModel.job(number) === undefined) await source.reachEnd();
  // From another farm, or from one that was restored to an earlier time: what was told cannot be known.
  if (isAhead()) throw cursorInvalid();
  const mailbox = source.hub.open(number);
  try {
    await new Watch(source, number, mailbox, send, signal).run(cursor);
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
  readonly #mailbox: Mailbox;
  readonly #send: Send<WatchJobResponse>;
  readonly #signal: AbortSignal;
  /** Sequence of the last commit that was told. */
  #told = 0;

  constructor(
    source: WatchSource,
    number: number,
    mailbox: Mailbox,
    send: Send<WatchJobResponse>,
    signal: AbortSignal,
  ) {
    this.#source = source;
    this.#number = number;
    this.#mailbox = mailbox;
    this.#send = send;
    this.#signal = signal;
  }

  async run(cursor: number | undefined): Promise<void> {
    this.#told = cursor ?? this.#source.readModel.sequence;
    if (await this.#catchUp()) return;
    for (;;) {
      const mail = await this.#mailbox.next(this.#signal);
      if (mail === undefined) return;
      switch (mail.kind) {
        case 'gap':
          if (await this.#catchUp()) return;
          break;
        case 'changes':
          for (const { sequence, view, facts } of mail.changes) {
            if (sequence <= this.#told) continue;
            await this.#tellFacts(sequence, facts);
            if (await this.#tellJob(sequence, view)) return;
          }
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
    const { readModel, readHistory } = this.#source;
    const view = readModel.job(this.#number);
    if (view === undefined) {
      throw new FurrowError('not-found', 'JOB_UNKNOWN', `no job j${this.#number}: see furrow jobs`);
    }
    const last = readModel.sequence;
    if (this.#told < last) {
      for await (const commit of readHistory(this.#told, last)) {
        if (this.#signal.aborted) return true;
        await this.#tellFacts(commit.sequence, commit.facts);
      }
    }
    return this.#tellJob(last, view);
  }

  async #tellFacts(sequence: number, facts: readonly Fact[]): Promise<void> {
    const { farm } = this.#source;
    const events = facts.flatMap((fact) => attemptEvents(farm, this.#number, fact));
    for (let from = 0; from < events.length; from += MAX_EVENTS_A_MESSAGE) {
      const value = { events: events.slice(from, from + MAX_EVENTS_A_MESSAGE) };
      // A commit that was told in part is told again after a break: the cursor is the one before.
      await this.#send({ cursor: String(sequence - 1), event: { $case: 'attempts', value } });
    }
  }

  /** True when the job has ended and there is nothing more to tell. */
  async #tellJob(sequence: number, view: JobView): Promise<boolean> {
    this.#told = sequence;
    await this.#send({
      cursor: String(sequence),
      event: { $case: 'job', value: jobToWire(view) },
    });
    return view.endedAtMs > 0;
  }
}
