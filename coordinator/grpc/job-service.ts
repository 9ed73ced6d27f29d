/** JobService: what people and services ask of jobs. */
import { createHash } from 'node:crypto';
import type { JobServiceServer } from '../../proto/gen/furrow/v1/job_service.ts';
import {
  SubmitJobRequest,
  UnitState,
  type ListJobsRequest,
  type ListJobsResponse,
  type ListUnitsRequest,
  type ListUnitsResponse,
  type Job as WireJob,
  type SubmitJobResponse,
} from '../../proto/gen/furrow/v1/job_service.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { SteerJob } from '../domain/commands.ts';
import { inputBlobs } from '../domain/assignment.ts';
import { blobsToRun } from '../domain/blob-references.ts';
import type { Farm } from '../domain/farm.ts';
import { type UnitView, viewOfUnits } from '../domain/views.ts';
import type { Office } from '../office.ts';
import type { ReadModel } from '../read-model.ts';
import type { LogReader } from './stream-logs.ts';
import { streamLogs } from './stream-logs.ts';
import { type Gate, serverStreaming, unary } from './handlers.ts';
import { stepsOfRequest } from './submit-request.ts';
import { watchJob, type WatchSource } from './watch-job.ts';
import { jobFromWire, jobToWire, unitStateToWire, unitToWire, unlessRefused } from './wire.ts';

export interface JobServiceOptions extends WatchSource {
  readonly gate: Gate;
  readonly office: Office;
  /** Pins what is stored and answers what is not. */
  readonly findMissing: (hashes: readonly string[]) => Promise<string[]>;
  readonly logs: LogReader;
}

const DEFAULT_JOBS_PAGE = 100;
const DEFAULT_UNITS_PAGE = 1_000;
const MAX_PAGE = 10_000;

export function jobService(options: JobServiceOptions): JobServiceServer {
  const { gate } = options;
  const steer =
    (type: SteerJob['type']) =>
    async (request: { readonly jobId: string; readonly reason?: string }) =>
      steerJob(options, type, request.jobId, request.reason ?? '');
  return {
    submitJob: unary(gate, 'write-jobs', (request) => submitJob(options, request)),
    getJob: unary(gate, 'read-jobs', async (request) => ({
      job: await knownJob(options, request.jobId),
      ageMs: options.office.ageMs,
    })),
    listJobs: unary(gate, 'read-jobs', async (request) => listJobs(options, request)),
    watchJob: serverStreaming(gate, 'read-jobs', (request, send, signal) =>
      watchJob(options, request, send, signal),
    ),
    cancelJob: unary(gate, 'write-jobs', steer('CancelJob')),
    retryJob: unary(gate, 'write-jobs', steer('RetryJob')),
    pauseJob: unary(gate, 'write-jobs', steer('PauseJob')),
    resumeJob: unary(gate, 'write-jobs', steer('ResumeJob')),
    listUnits: unary(gate, 'read-jobs', (request) => listUnits(options, request)),
    streamLogs: serverStreaming(gate, 'read-jobs', (request, send, signal) =>
      streamLogs(options, request, send, signal),
    ),
  };
}

async function submitJob(
  options: JobServiceOptions,
  request: SubmitJobRequest,
): Promise<SubmitJobResponse> {
  const { recipe, steps, name } = stepsOfRequest(request);
  const answer = unlessRefused(
    await options.office.submit({
      type: 'SubmitJob',
      clientId: request.clientId,
      requestHash: hashOfRequest(request),
      name,
      priority: request.priority,
      recipe,
      steps,
      missingBlobs: await options.findMissing(inputBlobs(steps)),
    }),
  );
  if (answer.kind !== 'job') throw new Error('a submit is answered with a job');
  return { job: jobAfter(options.readModel, answer.job), alreadySubmitted: answer.repeated };
}

/** The same for requests that mean the same: the order of a map's entries does not count. */
function hashOfRequest(request: SubmitJobRequest): string {
  const plain: unknown = SubmitJobRequest.toJSON({ ...request, clientId: '' });
  const canonical = JSON.stringify(plain, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  return createHash('sha256').update(canonical).digest('hex');
}

async function steerJob(
  options: JobServiceOptions,
  type: SteerJob['type'],
  jobId: string,
  reason: string,
): Promise<{ job: WireJob; units: number }> {
  const job = jobFromWire(jobId);
  const shown = reason === '' ? 'cancelled by a person' : reason.slice(0, 1_000);
  const missingBlobs = type === 'RetryJob' ? await missingOf(options, job) : [];
  const answer = unlessRefused(
    await options.office.submit({ type, job, reason: shown, missingBlobs }),
  );
  const units = answer.kind === 'job' ? answer.units : 0;
  return { job: jobAfter(options.readModel, job), units };
}

/** A failed job's blobs are kept for some days only. */
async function missingOf(
  { farm, findMissing }: JobServiceOptions,
  number: number,
): Promise<string[]> {
  const job = farm.jobs.get(number);
  return job?.end === undefined ? [] : findMissing(blobsToRun(job));
}

/** A job that a command has just been answered for: it is committed, so it is shown. */
function jobAfter(readModel: ReadModel, number: number): WireJob {
  const view = readModel.job(number);
  if (view === undefined) throw new Error(`job ${number} is committed and not shown`);
  return jobToWire(view);
}

async function knownJob({ readModel, reachEnd }: JobServiceOptions, id: string): Promise<WireJob> {
  const number = jobFromWire(id);
  if (readModel.job(number) === undefined) await reachEnd();
  const view = readModel.job(number);
  if (view !== undefined) return jobToWire(view);
  throw new FurrowError('not-found', 'JOB_UNKNOWN', `no job ${id}: see furrow jobs`);
}

function listJobs(options: JobServiceOptions, request: ListJobsRequest): ListJobsResponse {
  const limit = pageSize(request.pageSize, DEFAULT_JOBS_PAGE);
  const before = request.pageToken === '' ? Infinity : positionOf(request.pageToken);
  const views = options.readModel.list(before, limit + 1, request.includeEnded);
  const shown = views.slice(0, limit);
  const last = shown[shown.length - 1];
  return {
    jobs: shown.map(jobToWire),
    nextPageToken: views.length > limit && last !== undefined ? String(last.number) : '',
    ageMs: options.office.ageMs,
  };
}

async function listUnits(
  options: JobServiceOptions,
  request: ListUnitsRequest,
): Promise<ListUnitsResponse> {
  const number = jobFromWire(request.jobId);
  const from = request.pageToken === '' ? 0 : positionOf(request.pageToken);
  const limit = pageSize(request.pageSize, DEFAULT_UNITS_PAGE);
  const states = new Set(request.states);
  states.delete(UnitState.UNIT_STATE_UNSPECIFIED);
  const isWanted = (step: string, state: UnitView['state']): boolean =>
    (request.step === '' || request.step === step) &&
    (states.size === 0 || states.has(unitStateToWire(state)));
  if (options.readModel.job(number) === undefined) await options.reachEnd();
  return options.office.read((farm: Farm) => {
    const job = farm.jobs.get(number);
    if (job === undefined) {
      throw new FurrowError('not-found', 'JOB_UNKNOWN', `no job ${request.jobId}: see furrow jobs`);
    }
    const { units, next } = viewOfUnits(farm, job, isWanted, from, limit);
    return {
      units: units.map((view) => {
        const name = farm.agents.get(view.agentId)?.name ?? '';
        const isLeased = view.state === 'leased';
        return unitToWire(view, name, isLeased ? options.hub.fractionOf(number, view.id) : 0);
      }),
      nextPageToken: next === undefined ? '' : String(next),
    };
  });
}

function pageSize(asked: number, otherwise: number): number {
  return asked === 0 ? otherwise : Math.min(asked, MAX_PAGE);
}

function positionOf(pageToken: string): number {
  if (/^[0-9]{1,15}$/.test(pageToken)) return Number(pageToken);
  throw new FurrowError('invalid', 'PAGE_TOKEN_INVALID', 'the page token is none of this farm');
}
