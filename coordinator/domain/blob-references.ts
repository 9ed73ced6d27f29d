/**
 * Which blobs the farm still needs. Inputs stay while their job can run (again), outputs until their
 * last consumer is accepted, what the user asked for until the job is removed.
 */
import { allOutputsOf } from './apply.ts';
import { type Farm, isComplete, type Job, type StepRun } from './farm.ts';
import { inputBlobs } from './assignment.ts';
import { keptOutputs } from './views.ts';

/** A failed job may be retried so long; its intermediates stay. */
const FAILED_JOB_KEEP_MS = 7 * 24 * 60 * 60 * 1000;

/** SHA-256 of every blob that must stay at `nowMs` (Unix time). */
export function referencedBlobs(farm: Farm, nowMs: number): Set<string> {
  const referenced = new Set<string>();
  for (const job of farm.jobs.values()) {
    for (const sha256 of blobsNeededBy(job, nowMs)) referenced.add(sha256);
  }
  return referenced;
}

/** Every blob that the job's units made. */
export function blobsMadeBy(job: Job): string[] {
  return job.steps.flatMap((step) => allOutputsOf(step).map((file) => file.sha256));
}

/** What must be stored for the job's open units, and for what they are to make of it. */
export function blobsToRun(job: Job): string[] {
  return [
    ...inputBlobs(job.steps.map((step) => step.spec)),
    ...job.steps.flatMap((step) => outputsNeeded(job, step)),
  ];
}

function blobsNeededBy(job: Job, nowMs: number): string[] {
  switch (job.end?.state) {
    case undefined:
      return blobsToRun(job);
    case 'failed':
      return nowMs - job.end.atMs < FAILED_JOB_KEEP_MS
        ? [...inputBlobs(job.steps.map((step) => step.spec)), ...blobsMadeBy(job)]
        : [];
    case 'succeeded':
      return job.steps.flatMap((step) => keptOutputs(step).map((file) => file.sha256));
    case 'cancelled':
      return [];
  }
}

function outputsNeeded(job: Job, step: StepRun): string[] {
  const consumers = step.dependents.flatMap((index) => job.steps[index] ?? []);
  const isUsedUp = consumers.length > 0 && consumers.every(isComplete);
  const files = isUsedUp ? keptOutputs(step) : allOutputsOf(step);
  return files.map((file) => file.sha256);
}
