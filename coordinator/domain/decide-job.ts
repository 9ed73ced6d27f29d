/** Submitting and steering jobs. */
import { segmentOf, segmentsThatMayHold } from './archive.ts';
import { faultOfSteps } from './check-steps.ts';
import type { SteerJob, SubmitJob } from './commands.ts';
import { decided, type Decision, type Now, ordersFor, refused, unchanged } from './decision.ts';
import type { JobSubmitted } from './facts.ts';
import { faultOfOwnerName, faultOfTickets, MOST_UNITS } from './decide-sharing.ts';
import { type Farm, type Job, jobId } from './farm.ts';
import type { Liveness } from './liveness.ts';
import { faultOfDemand } from './misfit.ts';
import { isOwnerName } from './names.ts';
import { overQuota } from './quotas.ts';
import type { Token } from './token.ts';
import { leasesOfJob } from './track.ts';

const MAX_PRIORITY = 1_000;

export function decideSubmit(
  farm: Farm,
  liveness: Liveness,
  command: SubmitJob,
  now: Now,
): Decision {
  const known = farm.jobByClientId.get(command.clientId);
  const isValidated = command.validateOnly === true;
  if (known !== undefined && !isValidated) return repeatedSubmit(farm, command, known);
  const archived = isValidated ? undefined : archivedSubmit(farm, command);
  if (archived !== undefined) return archived;
  const fault = faultOfRequest(command) ?? faultOfSteps(command.steps);
  if (fault !== undefined) return refused('invalid', 'INVALID_JOB', fault);
  const nameOf = (agentId: string): string => farm.agents.get(agentId)?.name ?? agentId;
  const misfit = faultOfDemand(command.steps, liveness.agents, nameOf);
  if (misfit !== undefined) return refused('failed-precondition', 'DEMAND_TOO_LARGE', misfit);
  const ticketless = faultOfTickets(farm, command.steps);
  if (ticketless !== undefined) {
    return refused('failed-precondition', 'TICKET_UNKNOWN', ticketless);
  }
  const overdrawn = overQuota(farm, command);
  if (overdrawn !== undefined) return refused('failed-precondition', 'OVER_QUOTA', overdrawn);
  if (isValidated) return decided([], { kind: 'done' });
  const missing = command.missingBlobs[0];
  if (missing !== undefined) {
    const message = `${command.missingBlobs.length} input blobs are not stored, the first ${missing}: upload them, then submit again`;
    return refused('failed-precondition', 'BLOB_MISSING', message);
  }
  const { listFault } = command;
  if (listFault !== undefined) {
    const code = listFault.reason === 'INVALID_JOB' ? 'invalid' : 'failed-precondition';
    return refused(code, listFault.reason, listFault.message);
  }
  const submitted = submittedFact(farm, command, now);
  return decided([submitted], { kind: 'job', job: submitted.job, repeated: false, units: 0 });
}

/** What the journal will hold of it; asked for by itself when the job is only validated. */
export function submittedFact(farm: Farm, command: SubmitJob, now: Now): JobSubmitted {
  const { clientId, requestHash, name, priority, recipe, steps, failures } = command;
  const { owner, maxUnits } = command;
  return {
    type: 'JobSubmitted',
    job: farm.lastJob + 1,
    clientId,
    requestHash,
    name,
    priority,
    recipe,
    steps,
    failures,
    // As before there were any: a job of nobody's without a limit takes no more room in the journal.
    ...(owner ? { owner } : {}),
    ...(maxUnits ? { maxUnits } : {}),
    atMs: now.wallMs,
  };
}

function repeatedSubmit(farm: Farm, command: SubmitJob, known: number): Decision {
  return sameOrReused(command, known, farm.jobs.get(known)?.requestHash);
}

/** The answer when the client id is that of an archived job, or may be. */
function archivedSubmit(farm: Farm, command: SubmitJob): Decision | undefined {
  const { clientId, archived } = command;
  const found = archived?.found;
  if (found !== undefined && segmentOf(farm.archive, found.job) !== undefined) {
    return sameOrReused(command, found.job, found.requestHash);
  }
  const unread = segmentsThatMayHold(farm.archive, clientId).find(
    ({ name }) => archived?.segments.includes(name) !== true,
  );
  if (unread === undefined) return undefined;
  const message = `the archive's segment ${unread.name} was not looked through for client id ${JSON.stringify(clientId)}: submit again`;
  return refused('unavailable', 'ARCHIVE_UNREAD', message);
}

function sameOrReused(
  command: SubmitJob,
  known: number,
  requestHash: string | undefined,
): Decision {
  if (requestHash === command.requestHash) {
    return decided([], { kind: 'job', job: known, repeated: true, units: 0 });
  }
  const message = `client id ${JSON.stringify(command.clientId)} was used for ${jobId(known)} with another content: choose a new one`;
  return refused('conflict', 'CLIENT_ID_REUSED', message);
}

function faultOfRequest(command: SubmitJob): string | undefined {
  const { clientId, name, priority, owner = '', maxUnits = 0 } = command;
  if (!/^[\x20-\x7e]{1,128}$/.test(clientId)) {
    return 'client id must be 1–128 printable ASCII characters';
  }
  // eslint-disable-next-line no-control-regex -- these are the characters that are refused
  if (name.length > 256 || /[\u0000-\u001f\u007f]/.test(name)) {
    return 'job name must be at most 256 characters without control characters';
  }
  if (!Number.isInteger(priority) || Math.abs(priority) > MAX_PRIORITY) {
    return `priority ${priority} is not from -${MAX_PRIORITY} to ${MAX_PRIORITY}`;
  }
  if (owner !== '' && !isOwnerName(owner)) return faultOfOwnerName(owner);
  if (!Number.isInteger(maxUnits) || maxUnits < 0 || maxUnits > MOST_UNITS) {
    return `${maxUnits} is not a most number of units from 0 to ${MOST_UNITS}`;
  }
  return undefined;
}

export function decideSteering(
  farm: Farm,
  liveness: Liveness,
  command: SteerJob,
  now: Now,
): Decision {
  const job = farm.jobs.get(command.job);
  if (job === undefined && segmentOf(farm.archive, command.job) !== undefined) {
    return refused('failed-precondition', 'JOB_ARCHIVED', archivedMessage(command));
  }
  if (job === undefined) {
    return refused('not-found', 'JOB_UNKNOWN', `no job ${jobId(command.job)}: see furrow jobs`);
  }
  const atMs = now.wallMs;
  const same = unchanged({ kind: 'job', job: job.number, repeated: true, units: 0 });
  switch (command.type) {
    case 'CancelJob':
      if (job.end?.state === 'cancelled') return same;
      if (job.end !== undefined) return ended(job, 'cancelled');
      return {
        facts: [{ type: 'JobCancelled', job: job.number, reason: command.reason, atMs }],
        answer: { kind: 'job', job: job.number, repeated: false, units: 0 },
        barrier: 'decided',
        stops: ordersFor(leasesOfJob(farm, job.number)),
        retracts: [],
      };
    case 'RetryJob':
      return decideRetry(job, command.missingBlobs ?? [], atMs);
    case 'PauseJob':
      if (job.end !== undefined) return ended(job, 'paused');
      if (job.paused) return same;
      return {
        ...steered(job, [{ type: 'JobPaused', job: job.number, atMs }]),
        retracts: ordersFor(
          leasesOfJob(farm, job.number).filter(({ token }) => !isRunning(liveness, token)),
        ),
      };
    case 'ResumeJob':
      if (job.end !== undefined) return ended(job, 'resumed');
      if (!job.paused) return same;
      return steered(job, [{ type: 'JobResumed', job: job.number, atMs }]);
  }
}

function archivedMessage({ type, job }: SteerJob): string {
  const id = jobId(job);
  return type === 'RetryJob'
    ? `${id} has ended and is archived: it cannot be retried any more, submit it again`
    : `${id} has ended and is archived: nothing can be changed about it, furrow remove ${id} removes it`;
}

function decideRetry(job: Job, missingBlobs: readonly string[], atMs: number): Decision {
  if (job.end?.state !== 'failed') {
    const state = job.end?.state ?? 'still open';
    const message = `${jobId(job.number)} is ${state}; only a failed job can be retried`;
    return refused('failed-precondition', 'JOB_NOT_FAILED', message);
  }
  const missing = missingBlobs[0];
  if (missing !== undefined) {
    const message = `${missingBlobs.length} blobs that ${jobId(job.number)} needs are not stored any more, the first ${missing}: upload them, or submit the job again`;
    return refused('failed-precondition', 'BLOB_MISSING', message);
  }
  const units = job.steps.reduce(
    (sum, step) => sum + (step.units?.counts.failed ?? 0) + (step.units?.counts.cancelled ?? 0),
    0,
  );
  return {
    ...steered(job, [{ type: 'UnitsRequeued', job: job.number, atMs }]),
    answer: { kind: 'job', job: job.number, repeated: false, units },
  };
}

function isRunning(liveness: Liveness, token: Token): boolean {
  return liveness.leases.get(token)?.running === true;
}

function steered(job: Job, facts: Decision['facts']): Decision {
  return decided(facts, { kind: 'job', job: job.number, repeated: false, units: 0 });
}

function ended(job: Job, verb: string): Decision {
  const state = job.end?.state ?? 'open';
  const message = `${jobId(job.number)} has ${state === 'cancelled' ? 'been' : ''} ${state} and cannot be ${verb} any more`;
  return refused('failed-precondition', 'JOB_ENDED', message.replace(/ {2,}/g, ' '));
}
