/** Watching a job from a command: shows it, waits for its end, and answers as the shell wants it. */
import type { Job } from '../proto/gen/furrow/v1/job_service.ts';
import { JobState } from '../proto/gen/furrow/v1/job_service.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { tellRemarks } from './proof-remarks.ts';
import { EXIT } from './exit-codes.ts';
import { formatDuration } from './output/format.ts';
import { jobStateName } from './output/names.ts';
import { paintJobState } from './output/text.ts';
import { printable } from './output/text-width.ts';
import type { WatchEvent } from './output/progress-model.ts';
import { openWatchView, type WatchView } from './output/watch-view.ts';
import { watchJob } from './watch-job.ts';

export interface FollowOptions {
  /** What Ctrl-C does, for the screen. */
  readonly hint?: string;
  /** Told of everything that happens, after it was shown. */
  readonly onEvent?: (event: WatchEvent, view: WatchView) => void;
}

/**
 * The job at its end. Ctrl-C leaves it running and says how to come back: FurrowError aborted
 * WATCH_INTERRUPTED; and those of watchJob.
 */
export async function followJob(
  jobId: string,
  context: CommandContext,
  { hint, onEvent }: FollowOptions = {},
): Promise<Job> {
  const { out, signal, waitMs } = context;
  const client = await context.farm();
  const view = openWatchView(out, jobId, await agentNames(context), hint);
  try {
    const events = watchJob(client, jobId, { signal, waitMs });
    for (;;) {
      const step = await events.next();
      if (step.done) return step.value;
      view.show(step.value);
      onEvent?.(step.value, view);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    const message = `stopped watching; ${jobId} goes on: come back with furrow watch ${jobId}`;
    throw new FurrowError('aborted', 'WATCH_INTERRUPTED', message, { cause: error });
  } finally {
    view.close();
  }
}

/** For units that began before we watched: progress names agents by id only. */
async function agentNames({ farm, out }: CommandContext): Promise<ReadonlyMap<string, string>> {
  if (out.json || out.quiet) return new Map();
  const client = await farm();
  const { agents } = await client.call(client.farm.listAgents.bind(client.farm), {});
  return new Map(agents.map((agent) => [agent.id, agent.name || agent.id]));
}

/** `j12 succeeded in 1m 12s`, for people. */
export function tellEnd(job: Job, { out }: CommandContext): void {
  if (out.json || out.quiet) return;
  const state = paintJobState(jobStateName(job.state), job.state, out.style);
  const took = formatDuration(job.endedAtMs - job.submittedAtMs);
  const isDone = job.state === JobState.JOB_STATE_SUCCEEDED;
  // Of others, the exit says why.
  const but = isDone && job.reason !== '' ? `; ${printable(job.reason)}` : '';
  out.line(`${job.id} ${state} ${isDone ? 'in' : 'after'} ${took}${but}`);
}

/** FurrowError-free: the job's end is an answer. Says why on the way. */
export function exitCodeOf(job: Job, { out }: CommandContext): number {
  const because = job.reason === '' ? '' : `: ${printable(job.reason)}`;
  switch (job.state) {
    case JobState.JOB_STATE_SUCCEEDED:
      return EXIT.ok;
    case JobState.JOB_STATE_CANCELLED:
      out.complain(`${job.id} was cancelled${because}`);
      return EXIT.jobCancelled;
    default:
      out.complain(
        `${job.id} failed${because} (furrow units ${job.id} --state failed, furrow logs ${job.id})`,
      );
      return EXIT.jobFailed;
  }
}

/** Follows a job to its end, and says what it left. */
export async function watchToEnd(jobId: string, context: CommandContext): Promise<CommandResult> {
  const job = await followJob(jobId, context);
  tellEnd(job, context);
  if (job.state === JobState.JOB_STATE_SUCCEEDED && job.outputs.length > 0) {
    await tellRemarks(job, context);
    context.out.note(`fetch its files with: furrow fetch ${job.id}`);
  }
  return { exitCode: exitCodeOf(job, context) };
}
