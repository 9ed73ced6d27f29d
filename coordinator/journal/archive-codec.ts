/** A segment of the archive as bytes: an index of its jobs, and the jobs whole, one behind the other. */
import { ArchiveIndex, type ArchivedJob } from '../../proto/gen/furrow/journal/v1/archive.ts';
import { captureJob, type JobSnapshot } from '../domain/farm-snapshot.ts';
import { type Job, type JobEnd, jobId } from '../domain/farm.ts';
import { type JobView, viewOfJob } from '../domain/views.ts';
import { decodeJobImage, encodeJobImage } from './snapshot-codec.ts';

/** What a segment's index says of a job. */
export interface IndexedJob {
  readonly view: JobView;
  readonly requestHash: string;
  /** Where its image begins. */
  readonly imageOffset: number;
  readonly imageBytes: number;
}

/** `jobs` have ended, and are in the order of their numbers. */
export function encodeSegment(jobs: readonly Job[]): {
  readonly index: Uint8Array;
  readonly images: Uint8Array;
} {
  const images: Uint8Array[] = [];
  let imageOffset = 0;
  const entries = jobs.map((job): ArchivedJob => {
    const image = encodeJobImage(captureJob(job));
    const { number, clientId, requestHash } = job;
    const { owner, maxUnits } = job;
    const { name, priority, recipe, state, reason, submittedAtMs, endedAtMs, steps, outputs } =
      viewOfJob(job);
    const entry: ArchivedJob = {
      number,
      clientId,
      requestHash,
      name,
      priority,
      recipe,
      state,
      reason,
      submittedAtMs,
      endedAtMs,
      steps,
      outputs,
      imageOffset,
      imageBytes: image.byteLength,
      owner,
      maxUnits,
    };
    images.push(image);
    imageOffset += image.byteLength;
    return entry;
  });
  return {
    index: ArchiveIndex.encode({ jobs: entries }).finish(),
    images: Buffer.concat(images),
  };
}

/** Throws when the bytes are none. */
export function decodeIndex(bytes: Uint8Array): IndexedJob[] {
  return ArchiveIndex.decode(bytes).jobs.map((job) => ({
    view: viewFrom(job),
    requestHash: job.requestHash,
    imageOffset: job.imageOffset,
    imageBytes: job.imageBytes,
  }));
}

export function decodeImage(images: Uint8Array, job: IndexedJob): JobSnapshot {
  return decodeJobImage(images.subarray(job.imageOffset, job.imageOffset + job.imageBytes));
}

function viewFrom(job: ArchivedJob): JobView {
  const { number, name, clientId, priority, recipe, reason, submittedAtMs, endedAtMs } = job;
  const { owner, maxUnits } = job;
  return {
    number,
    id: jobId(number),
    name,
    clientId,
    priority,
    recipe,
    owner,
    maxUnits,
    state: job.state as JobEnd,
    reason,
    submittedAtMs,
    endedAtMs,
    // An ended job has no other units.
    steps: job.steps.map((step) => ({ ...step, blocked: 0, queued: 0, leased: 0 })),
    outputs: job.outputs,
    archived: true,
  };
}
