/** Watches a job as the CLI does, across restarts of the farm, and keeps what it was told. */
import { watchJob } from '../../cli/watch-job.ts';
import { AttemptOutcome, type Job } from '../../proto/gen/furrow/v1/job_service.ts';
import type { TestFarm } from './farm.ts';
import type { JournalRecord } from './journal-record.ts';

export interface Watcher {
  /** Each attempt's grants, ends and acceptances, in the order told, repeats left out. */
  readonly told: ReadonlySet<string>;
  /** Why the farm itself had no news, each time. */
  readonly troubles: readonly string[];
  /** The job at its end. */
  readonly ended: Promise<Job>;
}

/** Told of all that happens from now on. */
export function watch(farm: TestFarm, jobId: string): Watcher {
  const told = new Set<string>();
  const troubles: string[] = [];
  const follow = async (): Promise<Job> => {
    const options = { signal: new AbortController().signal, waitMs: 120_000 };
    const events = watchJob(farm.client, jobId, options);
    for (;;) {
      const step = await events.next();
      if (step.done) return step.value;
      if (step.value.kind === 'unreachable' && step.value.isFarmsWord) {
        troubles.push(step.value.reason);
      }
      const event = step.value.kind === 'message' ? step.value.message.event : undefined;
      if (event?.$case !== 'attempts') continue;
      for (const attempt of event.value.events) told.add(lineOf(attempt));
    }
  };
  const ended = follow();
  // Awaited at the end of a test, which may fail before.
  ended.catch(() => undefined);
  return { told, troubles, ended };
}

/** What a watcher of the job should have been told, by the journal. */
export function linesOf(journal: JournalRecord, jobId: string): readonly string[] {
  return journal.attempts.filter(({ unitId }) => unitId.startsWith(`${jobId}/`)).map(lineOf);
}

function lineOf(seen: {
  readonly unitId: string;
  readonly attempt: number;
  readonly outcome: AttemptOutcome;
}): string {
  return `${seen.unitId} attempt ${seen.attempt} ${AttemptOutcome[seen.outcome]}`;
}
