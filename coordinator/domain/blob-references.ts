/**
 * Which blobs the farm still needs. Inputs stay while their job can run (again), outputs until their
 * last consumer is accepted, what the user asked for until the job is removed, models until they are.
 */
import { allOutputsOf } from './fan-out.ts';
import { fileListOf } from './file-lists.ts';
import type { Farm, Job, StepRun } from './farm.ts';
import type { File } from './task.ts';
import { inputBlobs } from './assignment.ts';
import { checkpointBlobs } from './checkpoints.ts';
import { FAILED_JOB_KEEP_MS } from './retention.ts';
import { isComplete } from './tolerance.ts';
import { keptOutputs } from './views.ts';

export interface BlobTerms {
  /** Unix time in milliseconds. */
  readonly nowMs: number;
  /** Outputs are kept so long after their job's end; 0 for ever. */
  readonly outputRetentionMs: number;
}

/** SHA-256 of every blob that must stay. */
export function referencedBlobs(farm: Farm, terms: BlobTerms): Set<string> {
  const referenced = new Set([...farm.models.values()].map(({ file }) => file.sha256));
  for (const job of farm.jobs.values()) {
    for (const sha256 of blobsNeededBy(job, terms)) referenced.add(sha256);
  }
  return referenced;
}

/** Lists whose files must stay as well, by hash: nobody knows here which those are. */
export function referencedLists(farm: Farm, terms: BlobTerms): Set<string> {
  const lists = new Set<string>();
  for (const job of farm.jobs.values()) {
    if (needsInputs(job, terms)) for (const { sha256 } of listsOf(job)) lists.add(sha256);
  }
  return lists;
}

/** The lists that a job's units take files of. */
export function listsOf(job: Job): readonly File[] {
  return job.steps.flatMap(({ spec }) => fileListOf(spec)?.list ?? []);
}

/** Those of these blobs that may go: no job in memory needs them, and no model. */
export function unreferenced(
  farm: Farm,
  candidates: readonly string[],
  terms: BlobTerms,
): Set<string> {
  const left = new Set(candidates);
  for (const { file } of farm.models.values()) left.delete(file.sha256);
  for (const job of farm.jobs.values()) {
    if (left.size === 0) break;
    for (const sha256 of blobsNeededBy(job, terms)) left.delete(sha256);
  }
  return left;
}

/** Intermediates of an open job whose last consumer has its result. */
export function blobsUsedUp(job: Job): string[] {
  return job.steps.flatMap((step) => {
    if (!isUsedUp(job, step)) return [];
    const kept = new Set(keptOutputs(step));
    return allOutputsOf(step).flatMap((file) => (kept.has(file) ? [] : [file.sha256]));
  });
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
    ...checkpointBlobs(job),
  ];
}

/** Whether its units run, or may run again. */
function needsInputs({ end }: Job, { nowMs }: Pick<BlobTerms, 'nowMs'>): boolean {
  if (end === undefined) return true;
  return end.state === 'failed' && nowMs - end.atMs < FAILED_JOB_KEEP_MS;
}

function blobsNeededBy(job: Job, { nowMs, outputRetentionMs }: BlobTerms): string[] {
  switch (job.end?.state) {
    case undefined:
      return blobsToRun(job);
    case 'failed':
      return needsInputs(job, { nowMs })
        ? [...inputBlobs(job.steps.map((step) => step.spec)), ...blobsMadeBy(job)]
        : [];
    case 'succeeded':
      return outputRetentionMs === 0 || nowMs - job.end.atMs < outputRetentionMs
        ? job.steps.flatMap((step) => keptOutputs(step).map((file) => file.sha256))
        : [];
    case 'cancelled':
      return [];
  }
}

function outputsNeeded(job: Job, step: StepRun): string[] {
  const files = isUsedUp(job, step) ? keptOutputs(step) : allOutputsOf(step);
  return files.map((file) => file.sha256);
}

function isUsedUp(job: Job, step: StepRun): boolean {
  const consumers = step.dependents.flatMap((index) => job.steps[index] ?? []);
  return consumers.length > 0 && consumers.every((consumer) => isComplete(job, consumer));
}
