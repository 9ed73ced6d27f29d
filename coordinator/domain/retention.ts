/** How long what ended stays: jobs in memory, blobs in their store. */
import type { Farm, Job } from './farm.ts';

/** A failed job may be retried so long; its intermediates stay. */
export const FAILED_JOB_KEEP_MS = 7 * 24 * 60 * 60 * 1000;

export interface Retention {
  /** An ended job stays in memory so long, a failed one at least as long as it may be retried. */
  readonly jobMs: number;
  /** Unless more than so many have ended: then those that ended first go before their time. */
  readonly mostEnded: number;
}

/** A job that has just ended is looked at: by its agents, its watchers, whoever submitted it. */
const SETTLE_MS = 60_000;
/** Jobs that are due wait for others, so that a quiet farm does not make a segment of each. */
const WAIT_SHARE = 1 / 8;
const MOST_WAIT_MS = 24 * 60 * 60 * 1000;
const ENOUGH_DUE = 256;
/** When there are too many, so many more go that there is peace for a while. */
const ROOM_SHARE = 1 / 10;

/** A segment holds at most so many jobs, and a job of more units is alone in its own. */
const SEGMENT_JOBS = 512;
const SEGMENT_UNITS = 50_000;

/** The jobs of the next segment, by number; empty while none needs to go. `nowMs` is Unix time. */
export function jobsToArchive(farm: Farm, retention: Retention, nowMs: number): Job[] {
  const due: Job[] = [];
  const early: Job[] = [];
  let isOverdue = false;
  for (const job of farm.jobs.values()) {
    if (job.end === undefined) continue;
    const overdueMs = nowMs - job.end.atMs - keepMs(job, retention);
    if (overdueMs < 0) early.push(job);
    else due.push(job);
    if (overdueMs >= Math.min(retention.jobMs * WAIT_SHARE, MOST_WAIT_MS)) isOverdue = true;
  }
  const ended = due.length + early.length;
  if (ended > retention.mostEnded) {
    const room = retention.mostEnded - Math.ceil(retention.mostEnded * ROOM_SHARE);
    const settled = early.filter((job) => nowMs - endedAtMs(job) >= SETTLE_MS);
    const tooMany = Math.max(0, ended - room - due.length);
    return nextSegment([...due, ...settled.toSorted(bySucceededThenAge).slice(0, tooMany)]);
  }
  return due.length >= ENOUGH_DUE || isOverdue ? nextSegment(due) : [];
}

function keepMs(job: Job, { jobMs }: Retention): number {
  return job.end?.state === 'failed' ? Math.max(jobMs, FAILED_JOB_KEEP_MS) : jobMs;
}

/** What may still be retried stays longest. */
function bySucceededThenAge(a: Job, b: Job): number {
  const failed = Number(a.end?.state === 'failed') - Number(b.end?.state === 'failed');
  return failed || endedAtMs(a) - endedAtMs(b);
}

function endedAtMs(job: Job): number {
  return job.end?.atMs ?? Infinity;
}

function nextSegment(candidates: readonly Job[]): Job[] {
  const jobs: Job[] = [];
  let units = 0;
  for (const job of candidates.toSorted((a, b) => a.number - b.number)) {
    units += job.steps.reduce((sum, step) => sum + (step.units?.size ?? 0), 0);
    if (jobs.length > 0 && (jobs.length === SEGMENT_JOBS || units > SEGMENT_UNITS)) break;
    jobs.push(job);
  }
  return jobs;
}
