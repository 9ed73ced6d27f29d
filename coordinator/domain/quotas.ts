/**
 * What an owner may have waiting and stored. Looked at when a job is submitted: what was accepted is done, and what
 * units make of it is not counted before it is there. Jobs in the archive do not count.
 */
import { allOutputsOf } from './fan-out.ts';
import { filesOfList } from './file-lists.ts';
import type { SetQuota, SubmitJob } from './commands.ts';
import { decided, type Decision, type Now, refused, unchanged } from './decision.ts';
import { faultOfOwnerName } from './decide-sharing.ts';
import { type Farm, fixedUnitCount, type Job } from './farm.ts';
import { isOwnerName } from './names.ts';
import type { Quota } from './set-quota.ts';
import type { File, StepSpec } from './task.ts';
import { keptOutputs } from './views.ts';

const NO_QUOTA: Quota = { maxQueued: 0, maxStoredBytes: 0 };

export function quotaOf(farm: Farm, owner: string): Quota {
  return farm.quotas.get(owner) ?? NO_QUOTA;
}

export function decideQuota(farm: Farm, command: SetQuota, now: Now): Decision {
  const { name } = command;
  if (!isOwnerName(name)) return refused('invalid', 'QUOTA_INVALID', faultOfOwnerName(name));
  const known = quotaOf(farm, name);
  const { maxQueued = known.maxQueued, maxStoredBytes = known.maxStoredBytes } = command;
  const bad = [maxQueued, maxStoredBytes].find(
    (value) => !Number.isSafeInteger(value) || value < 0,
  );
  if (bad !== undefined) {
    return refused('invalid', 'QUOTA_INVALID', `${bad} is not a whole number from 0 on`);
  }
  if (known.maxQueued === maxQueued && known.maxStoredBytes === maxStoredBytes) return unchanged();
  return decided([{ type: 'QuotaSet', name, maxQueued, maxStoredBytes, atMs: now.wallMs }]);
}

/** Why the owner may not submit this now, in one line. */
export function overQuota(
  farm: Farm,
  { owner = '', steps }: Pick<SubmitJob, 'owner' | 'steps'>,
): string | undefined {
  const quota = farm.quotas.get(owner);
  if (quota === undefined) return undefined;
  const { maxQueued, maxStoredBytes } = quota;
  if (maxQueued > 0) {
    const [queued, more] = [queuedOf(farm, owner), unitsOf(steps)];
    if (queued + more > maxQueued) {
      return `owner ${owner} has ${queued} units waiting and may have ${maxQueued}; this job has ${more}: submit it when fewer wait`;
    }
  }
  if (maxStoredBytes > 0) {
    const stored = storedBytesOf(farm, owner, filesNamedIn(steps));
    if (stored > maxStoredBytes) {
      return `with this job owner ${owner} would have ${gib(stored)} stored and may have ${gib(maxStoredBytes)}: remove jobs with furrow remove`;
    }
  }
  return undefined;
}

export function queuedOf(farm: Farm, owner: string): number {
  let queued = 0;
  for (const job of farm.jobs.values()) {
    if (job.owner !== owner || job.end !== undefined) continue;
    for (const { spec, units } of job.steps) {
      queued +=
        units === undefined ? (fixedUnitCount(spec.parameters?.kind) ?? 0) : units.counts.queued;
    }
  }
  return queued;
}

/** `more`: files that a job to come would add. */
export function storedBytesOf(farm: Farm, owner: string, more: readonly File[] = []): number {
  const sizes = new Map(more.map(({ sha256, sizeBytes }) => [sha256, sizeBytes]));
  for (const job of farm.jobs.values()) {
    if (job.owner !== owner) continue;
    for (const { sha256, sizeBytes } of filesOf(job)) sizes.set(sha256, sizeBytes);
  }
  let bytes = 0;
  for (const sizeBytes of sizes.values()) bytes += sizeBytes;
  return bytes;
}

function filesOf(job: Job): readonly File[] {
  switch (job.end?.state) {
    case 'cancelled':
      return [];
    case 'succeeded':
      return job.steps.flatMap(keptOutputs);
    default:
      return [
        ...filesNamedIn(job.steps.map(({ spec }) => spec)),
        ...job.steps.flatMap(allOutputsOf),
      ];
  }
}

function filesNamedIn(steps: readonly StepSpec[]): readonly File[] {
  return steps.flatMap(({ inputs, parameters }) => [
    ...inputs.flatMap(({ kind }) => (kind?.$case === 'file' ? [kind.value] : [])),
    ...filesOfList(parameters?.kind),
  ]);
}

function unitsOf(steps: readonly StepSpec[]): number {
  return steps.reduce((sum, { parameters }) => sum + (fixedUnitCount(parameters?.kind) ?? 0), 0);
}

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
