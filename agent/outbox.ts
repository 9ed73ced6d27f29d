/**
 * Results that the coordinator has not acknowledged. Decides what is offered when, and what a verdict
 * means; no I/O and no clock. A few batches are in flight at a time, so that a result need not wait for
 * the answer to the one before it; while nobody answers, one.
 *
 * A result leaves only by a verdict or by order of the coordinator; without an answer it is offered
 * again, with growing pauses.
 */
import type { Token } from '../proto/gen/furrow/v1/agent_service.ts';
import { Result, Verdict, type ResultReply } from '../proto/gen/furrow/work/v1/work.ts';
import { isPlainSuccess } from './result-columns.ts';
import { tokenKey, type TokenKey } from './token-key.ts';

/** Where unreported results survive the process. */
export interface OutboxStorage {
  /** Everything that was saved and not removed; damaged entries are left out. */
  load(): Promise<readonly Result[]>;
  /** Settles when the result is on disk. */
  save(result: Result): Promise<void>;
  remove(token: Token): Promise<void>;
}

/** What a verdict asks for. The result is out of the outbox already, but for `store-again`. */
export type OutboxOrder =
  /** The coordinator has it, or wants nothing of it: delete result and files. */
  | { readonly order: 'close'; readonly token: Token; readonly stale: boolean }
  /** Store the outputs again, then call `storedAgain` or `put` another result in its place. */
  | {
      readonly order: 'store-again';
      readonly result: Result;
      readonly missing: readonly string[];
    };

interface Entry {
  result: Result;
  readonly sizeBytes: number;
  dueMs: number;
  /** Offers that brought no verdict. */
  unanswered: number;
  state: 'waiting' | 'offered' | 'storing';
}

const BATCHES_IN_FLIGHT = 4;
const BATCH_RESULTS = 300;
/** What becomes facts of one commit: the coordinator takes 256 KiB of them at once, NATS 1 MiB. */
const BATCH_BYTES = 128 * 1024;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

/** Bytes on the wire, or a little more. */
function sizeOf(result: Result): number {
  const { jobId, step } = result;
  return isPlainSuccess(result)
    ? 64 + jobId.length + 4 * step.length
    : Result.encode(result).finish().length + 8;
}

export class Outbox {
  readonly #entries = new Map<TokenKey, Entry>();
  readonly #random: () => number;
  #inFlight = 0;
  /** Offers in a row that nobody answered. */
  #silent = 0;
  #pausedUntilMs = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Adds a result, or puts it in the place of an earlier one with its token. */
  put(result: Result, nowMs: number): void {
    if (result.token === undefined) throw new Error('a result must have a token');
    this.#entries.set(tokenKey(result.token), {
      result,
      sizeBytes: sizeOf(result),
      dueMs: nowMs,
      unanswered: 0,
      state: 'waiting',
    });
  }

  drop(token: Token): void {
    this.#entries.delete(tokenKey(token));
  }

  has(token: Token): boolean {
    return this.#entries.has(tokenKey(token));
  }

  get size(): number {
    return this.#entries.size;
  }

  tokens(): readonly Token[] {
    return [...this.#entries.values()].flatMap(({ result }) => result.token ?? []);
  }

  /** Results to offer now, oldest first; null when enough is in flight or nothing is due. */
  nextBatch(nowMs: number): readonly Result[] | null {
    if (this.#isBusy() || nowMs < this.#pausedUntilMs) return null;
    const batch: Result[] = [];
    let bytes = 0;
    for (const entry of this.#entries.values()) {
      if (entry.state !== 'waiting' || entry.dueMs > nowMs) continue;
      if (batch.length > 0 && bytes + entry.sizeBytes > BATCH_BYTES) break;
      entry.state = 'offered';
      batch.push(entry.result);
      bytes += entry.sizeBytes;
      if (batch.length === BATCH_RESULTS) break;
    }
    if (batch.length === 0) return null;
    this.#inFlight += 1;
    return batch;
  }

  #isBusy(): boolean {
    return this.#inFlight >= (this.#silent > 0 ? 1 : BATCHES_IN_FLIGHT);
  }

  /** When `nextBatch` may have something, by the clock it is called with; null when only an event can tell. */
  nextDueMs(): number | null {
    if (this.#isBusy()) return null;
    let due = Infinity;
    for (const entry of this.#entries.values()) {
      if (entry.state === 'waiting' && entry.dueMs < due) due = entry.dueMs;
    }
    return due === Infinity ? null : Math.max(due, this.#pausedUntilMs);
  }

  /** A batch got its answer; null when it got none that may be believed. */
  settle(
    batch: readonly Result[],
    reply: ResultReply | null,
    nowMs: number,
  ): readonly OutboxOrder[] {
    this.#inFlight -= 1;
    if (reply === null) {
      for (const offered of batch) {
        const entry = this.#entryOf(offered);
        if (entry !== undefined) entry.state = 'waiting';
      }
      // Batches that were in flight together and all lost count as one silence.
      if (nowMs < this.#pausedUntilMs) return [];
      this.#silent += 1;
      this.#pausedUntilMs = nowMs + this.#pauseMs(this.#silent);
      return [];
    }
    this.#silent = 0;
    this.#pausedUntilMs = 0;
    const orders: OutboxOrder[] = [];
    batch.forEach((offered, index) => {
      const entry = this.#entryOf(offered);
      if (entry === undefined) return;
      const token = offered.token as Token;
      const said = reply.verdicts[index];
      // Verdicts come in the order of the batch; one for another token is none.
      const isOnThis = said?.token !== undefined && tokenKey(said.token) === tokenKey(token);
      const { verdict, missing = [] } = isOnThis ? said : {};
      const order = this.#judge(entry, token, verdict, missing, nowMs);
      if (order !== undefined) orders.push(order);
    });
    return orders;
  }

  /** Undefined when it was dropped or replaced while it was offered: answers are on what is no more. */
  #entryOf(offered: Result): Entry | undefined {
    const entry = this.#entries.get(tokenKey(offered.token as Token));
    return entry?.result === offered ? entry : undefined;
  }

  #judge(
    entry: Entry,
    token: Token,
    verdict: Verdict | undefined,
    missing: readonly string[],
    nowMs: number,
  ): OutboxOrder | undefined {
    switch (verdict) {
      case Verdict.VERDICT_ACCEPTED:
      case Verdict.VERDICT_NOTED:
      case Verdict.VERDICT_STALE:
        this.#entries.delete(tokenKey(token));
        return { order: 'close', token, stale: verdict === Verdict.VERDICT_STALE };
      case Verdict.VERDICT_BLOB_MISSING:
        entry.state = 'storing';
        return { order: 'store-again', result: entry.result, missing };
      default:
        entry.state = 'waiting';
        entry.unanswered += 1;
        entry.dueMs = nowMs + this.#pauseMs(entry.unanswered);
        return undefined;
    }
  }

  storedAgain(token: Token, nowMs: number): void {
    const entry = this.#entries.get(tokenKey(token));
    if (entry === undefined) return;
    entry.state = 'waiting';
    // Not at once: a store that loses blobs must not be met by a loop without a pause.
    entry.unanswered += 1;
    entry.dueMs = nowMs + this.#pauseMs(entry.unanswered);
  }

  /** The way to the coordinator is open again: what waits only for a pause is due now. */
  connected(): void {
    this.#silent = 0;
    this.#pausedUntilMs = 0;
  }

  #pauseMs(times: number): number {
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(times - 1, 10));
    return pauseMs * (0.75 + this.#random() / 2);
  }
}
