/**
 * The journal told by unit: who was given it, what was accepted, what ended and how. Made from the raw
 * commits alone; knows nothing of how the coordinator folds them.
 */
import type { JournalMessage } from './evidence.ts';

export interface Grant {
  readonly unitId: string;
  readonly attempt: number;
  readonly token: string;
  readonly agentId: string;
  readonly atMs: number;
  /** Place in the journal: facts are numbered from its beginning. */
  readonly place: number;
  /** Beside a lease that runs. */
  readonly isCopy: boolean;
}

export interface Acceptance extends Omit<Grant, 'isCopy'> {
  /** SHA-256 of the files, by name. */
  readonly outputs: ReadonlyMap<string, string>;
}

export interface AttemptEnd {
  readonly unitId: string;
  readonly token: string;
  readonly agentId: string;
  readonly kind: string;
  readonly message: string;
  readonly gaveUp: boolean;
  readonly place: number;
}

export interface JobStory {
  readonly jobId: string;
  readonly clientId: string;
  readonly steps: readonly string[];
  cancelledAt: number | undefined;
  /** From its pause to its end; the last may have none. */
  readonly pauses: { readonly from: number; to: number }[];
  /** Places where its failed units were queued again. */
  readonly requeuedAt: number[];
}

export interface JournalStory {
  readonly jobs: ReadonlyMap<string, JobStory>;
  readonly grants: readonly Grant[];
  /** Grants of leases that wait behind a running one. */
  readonly waiting: number;
  readonly acceptances: readonly Acceptance[];
  readonly ends: readonly AttemptEnd[];
  readonly epochs: number;
  readonly snapshots: number;
  readonly facts: number;
}

export function storyOf(journal: readonly JournalMessage[]): JournalStory {
  const jobs = new Map<string, JobStory>();
  const grants: Grant[] = [];
  const acceptances: Acceptance[] = [];
  const ends: AttemptEnd[] = [];
  let [epochs, snapshots, waiting, place] = [0, 0, 0, 0];
  const unitId = (job: number, step: number, unit: number): string =>
    `j${job}/${jobs.get(`j${job}`)?.steps[step] ?? step}/${unit}`;
  for (const { commit } of journal) {
    for (const { kind } of commit.facts) {
      place += 1;
      switch (kind?.$case) {
        case 'epochStarted':
          epochs += 1;
          break;
        case 'snapshotTaken':
          snapshots += 1;
          break;
        case 'jobSubmitted': {
          const { job, clientId, steps } = kind.value;
          const jobId = `j${job}`;
          const names = steps.map(({ name }) => name);
          const story = { jobId, clientId, steps: names, cancelledAt: undefined };
          jobs.set(jobId, { ...story, pauses: [], requeuedAt: [] });
          break;
        }
        case 'leasesGranted': {
          const { job, step, units, attempts, agentId, atMs, firstCounter } = kind.value;
          if (kind.value.waiting) waiting += units.length;
          units.forEach((unit, index) => {
            grants.push({
              unitId: unitId(job, step, unit),
              attempt: attempts[index] ?? 0,
              token: `${commit.epoch}.${firstCounter + index}`,
              agentId,
              atMs,
              place,
              isCopy: kind.value.copy,
            });
          });
          break;
        }
        case 'resultsAccepted': {
          const { job, step, units, attempts, agentId, atMs, outputs } = kind.value;
          units.forEach((unit, index) => {
            const files = outputs.find((each) => each.unit === unit)?.files ?? [];
            acceptances.push({
              unitId: unitId(job, step, unit),
              attempt: attempts[index] ?? 0,
              token: `${kind.value.tokenEpochs[index]}.${kind.value.tokenCounters[index]}`,
              agentId,
              atMs,
              place,
              outputs: new Map(files.map(({ name, sha256 }) => [name, sha256])),
            });
          });
          break;
        }
        case 'leaseEnded': {
          const { job, step, unit, agentId, message, next } = kind.value;
          ends.push({
            unitId: unitId(job, step, unit),
            token: `${kind.value.tokenEpoch}.${kind.value.tokenCounter}`,
            agentId,
            kind: kind.value.kind,
            message,
            gaveUp: next?.$case === 'failed' && next.value,
            place,
          });
          break;
        }
        case 'jobCancelled': {
          const story = jobs.get(`j${kind.value.job}`);
          if (story !== undefined) story.cancelledAt ??= place;
          break;
        }
        case 'jobPaused':
          jobs.get(`j${kind.value.job}`)?.pauses.push({ from: place, to: Infinity });
          break;
        case 'jobResumed': {
          const pause = jobs.get(`j${kind.value.job}`)?.pauses.at(-1);
          if (pause !== undefined) pause.to = place;
          break;
        }
        case 'unitsRequeued':
          jobs.get(`j${kind.value.job}`)?.requeuedAt.push(place);
          break;
        default:
          break;
      }
    }
  }
  return { jobs, grants, waiting, acceptances, ends, epochs, snapshots, facts: place };
}
