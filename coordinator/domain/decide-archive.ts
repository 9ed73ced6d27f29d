/** Jobs leave: into the archive, or for good. */
import { clientIdHash, rangesOf, segmentOf } from './archive.ts';
import type { ArchiveJobs, RemoveJob } from './commands.ts';
import { decided, type Decision, type Now, refused } from './decision.ts';
import { type Farm, jobId } from './farm.ts';

/** The segment is stored already; it counts only if its jobs are what they were then. */
export function decideArchiving(farm: Farm, command: ArchiveJobs, now: Now): Decision {
  const { name, index, images } = command;
  for (const { number, endedAtMs } of command.jobs) {
    if (farm.jobs.get(number)?.end?.atMs === endedAtMs) continue;
    const message = `${jobId(number)} is not what was stored of it any more`;
    return refused('conflict', 'JOB_CHANGED', message);
  }
  const numbers = command.jobs.map((job) => job.number).toSorted((a, b) => a - b);
  const hashes = numbers.map((number) => clientIdHash(farm.jobs.get(number)?.clientId ?? ''));
  const clientIdHashes = hashes.toSorted((a, b) => a - b);
  const segment = { name, ranges: rangesOf(numbers), index, images, clientIdHashes };
  return decided([{ type: 'JobsArchived', segment, atMs: now.wallMs }]);
}

export function decideRemoval(farm: Farm, { job: number }: RemoveJob, now: Now): Decision {
  const job = farm.jobs.get(number);
  if (job !== undefined && job.end === undefined) {
    const message = `${jobId(number)} has not ended: furrow cancel ${jobId(number)} ends it`;
    return refused('failed-precondition', 'JOB_OPEN', message);
  }
  if (job === undefined && segmentOf(farm.archive, number) === undefined) {
    return refused('not-found', 'JOB_UNKNOWN', `no job ${jobId(number)}: see furrow jobs --all`);
  }
  return decided([{ type: 'JobRemoved', job: number, atMs: now.wallMs }]);
}
