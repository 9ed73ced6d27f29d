/** Submitting and steering jobs. */
import { faultOfSteps } from './check-steps.ts';
import type { RefusalCode, SteerJob, SubmitJob } from './commands.ts';
import { decided, type Decision, type Now, type StopOrder } from './decision.ts';
import { type Farm, type Job, jobId } from './farm.ts';
import type { Liveness } from './liveness.ts';
import { faultOfDemand } from './misfit.ts';
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
  if (known !== undefined) return repeatedSubmit(farm, command, known);
  const fault = faultOfRequest(command) ?? faultOfSteps(command.steps);
  if (fault !== undefined) return refused('invalid', 'INVALID_JOB', fault);
  const nameOf = (agentId: string): string => farm.agents.get(agentId)?.name ?? agentId;
  const misfit = faultOfDemand(command.steps, liveness.agents.values(), nameOf);
  if (misfit !== undefined) return refused('failed-precondition', 'DEMAND_TOO_LARGE', misfit);
  const missing = command.missingBlobs[0];
  if (missing !== undefined) {
    const message = `${command.missingBlobs.length} input blobs are not stored, the first ${missing}: upload them, then submit again`;
    return refused('failed-precondition', 'BLOB_MISSING', message);
  }
  const job = farm.lastJob + 1;
  const { clientId, requestHash, name, priority, recipe, steps } = command;
  return decided(
    [
      {
        type: 'JobSubmitted',
        job,
        clientId,
        requestHash,
        name,
        priority,
        recipe,
        steps,
        atMs: now.wallMs,
      },
    ],
    { kind: 'job', job, repeated: false, units: 0 },
  );
}

function repeatedSubmit(farm: Farm, command: SubmitJob, known: number): Decision {
  if (farm.jobs.get(known)?.requestHash === command.requestHash) {
    return decided([], { kind: 'job', job: known, repeated: true, units: 0 });
  }
  const message = `client id ${JSON.stringify(command.clientId)} was used for ${jobId(known)} with another content: choose a new one`;
  return refused('conflict', 'CLIENT_ID_REUSED', message);
}

function faultOfRequest(command: SubmitJob): string | undefined {
  const { clientId, name, priority } = command;
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
  return undefined;
}

export function decideSteering(farm: Farm, command: SteerJob, now: Now): Decision {
  const job = farm.jobs.get(command.job);
  if (job === undefined) {
    return refused('not-found', 'JOB_UNKNOWN', `no job ${jobId(command.job)}: see furrow jobs`);
  }
  const atMs = now.wallMs;
  const same = decided([], { kind: 'job', job: job.number, repeated: true, units: 0 });
  switch (command.type) {
    case 'CancelJob':
      if (job.end?.state === 'cancelled') return same;
      if (job.end !== undefined) return ended(job, 'cancelled');
      return {
        facts: [{ type: 'JobCancelled', job: job.number, reason: command.reason, atMs }],
        answer: { kind: 'job', job: job.number, repeated: false, units: 0 },
        barrier: 'decided',
        stops: stopsOf(farm, job),
      };
    case 'RetryJob':
      return decideRetry(job, command.missingBlobs ?? [], atMs);
    case 'PauseJob':
      if (job.end !== undefined) return ended(job, 'paused');
      if (job.paused) return same;
      return steered(job, [{ type: 'JobPaused', job: job.number, atMs }]);
    case 'ResumeJob':
      if (job.end !== undefined) return ended(job, 'resumed');
      if (!job.paused) return same;
      return steered(job, [{ type: 'JobResumed', job: job.number, atMs }]);
  }
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

/** Orders to stop whatever runs of a job, by agent. */
function stopsOf(farm: Farm, job: Job): StopOrder[] {
  const byAgent = new Map<string, Token[]>();
  for (const lease of leasesOfJob(farm, job.number)) {
    const tokens = byAgent.get(lease.agentId);
    if (tokens === undefined) byAgent.set(lease.agentId, [lease.token]);
    else tokens.push(lease.token);
  }
  return [...byAgent].map(([agentId, tokens]) => ({ agentId, tokens }));
}

function steered(job: Job, facts: Decision['facts']): Decision {
  return decided(facts, { kind: 'job', job: job.number, repeated: false, units: 0 });
}

function ended(job: Job, verb: string): Decision {
  const state = job.end?.state ?? 'open';
  const message = `${jobId(job.number)} has ${state === 'cancelled' ? 'been' : ''} ${state} and cannot be ${verb} any more`;
  return refused('failed-precondition', 'JOB_ENDED', message.replace(/ {2,}/g, ' '));
}

function refused(code: RefusalCode, reason: string, message: string): Decision {
  return decided([], { kind: 'refused', code, reason, message });
}
