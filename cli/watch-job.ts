/**
 * A job's events until it has ended, across restarts of the farm: after a break it goes on from the
 * cursor of the last event, so that none is missed and none comes twice.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { FurrowError } from '../kit/furrow-error.ts';
import type { Job } from '../proto/gen/furrow/v1/job_service.ts';
import type { FarmClient } from './client.ts';
import { hasEnded } from './output/names.ts';
import type { WatchEvent } from './output/progress-model.ts';

export interface WatchOptions {
  readonly signal: AbortSignal;
  /** Give up when the farm stays away for so long; undefined for never. */
  readonly waitMs: number | undefined;
}

const FIRST_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 5_000;

/**
 * Yields what happens and returns the ended job. A farm that never answered is an error at once: its
 * address is probably wrong. FurrowError: those of WatchJob; unavailable after `waitMs`; `aborted`.
 */
export async function* watchJob(
  client: FarmClient,
  jobId: string,
  { signal, waitMs }: WatchOptions,
): AsyncGenerator<WatchEvent, Job> {
  let cursor = '';
  let answered = false;
  let awaySinceMs: number | undefined;
  for (let failures = 0; ; failures += 1) {
    let reason = 'the farm ended the stream';
    let isFarmsWord = false;
    let ended: Job | undefined;
    try {
      for await (const message of client.stream(client.jobs.watchJob.bind(client.jobs), {
        jobId,
        cursor,
        withoutAttempts: false,
      })) {
        if (awaySinceMs !== undefined) yield { kind: 'reachable' };
        answered = true;
        awaySinceMs = undefined;
        failures = 0;
        cursor = message.cursor || cursor;
        yield { kind: 'message', message };
        // Read on to the stream's end: thousands of streams that are cancelled cost the connection.
        if (message.event?.$case === 'job' && hasEnded(message.event.value.state)) {
          ended = message.event.value;
        }
      }
    } catch (error) {
      if (ended !== undefined) return ended;
      if (!answered || !isPassing(error)) throw error;
      reason = error.message;
      isFarmsWord = error.reason !== 'FARM_UNREACHABLE';
    }
    if (ended !== undefined) return ended;
    // A stream that ends early without an error is a farm that stops in good order.
    const nowMs = performance.now();
    if (awaySinceMs === undefined) yield { kind: 'unreachable', reason, isFarmsWord };
    awaySinceMs ??= nowMs;
    if (waitMs !== undefined && nowMs - awaySinceMs > waitMs) throw gaveUp(client.address, jobId);
    const windowMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** failures);
    await sleep(windowMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() =>
      signal.throwIfAborted(),
    );
  }
}

function isPassing(error: unknown): error is FurrowError {
  return error instanceof FurrowError && error.retryable;
}

function gaveUp(address: string, jobId: string): FurrowError {
  const message = `the farm at ${address} stays away; the job may go on: come back with furrow watch ${jobId}`;
  return new FurrowError('unavailable', 'FARM_UNREACHABLE', message);
}
