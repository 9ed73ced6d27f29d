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
import type { Principal } from '../access.ts';
import type { SteerJob } from '../domain/commands.ts';
import { listSeen, mustSee } from './own-jobs.ts';
import { inputBlobs } from '../domain/assignment.ts';
import { blobsToRun, listsOf } from '../domain/blob-references.ts';
import type { Answer, ArchiveLookup } from '../domain/commands.ts';
import type { Farm, Job } from '../domain/farm.ts';
import { planJob } from '../domain/job-plan.ts';
import { unitsAtOnce } from '../domain/units-at-once.ts';
import type { FileLists } from '../file-lists.ts';
import { type UnitView, viewOfUnits } from '../domain/views.ts';
import type { Which } from '../read-model.ts';
import { explain, type ExplainSource } from './explain.ts';
import type { LogReader } from './stream-logs.ts';
import { streamLogs } from './stream-logs.ts';
import { type Gate, serverStreaming, unary } from './handlers.ts';
import { planToWire } from './plan-wire.ts';
import type { FarmAtHand } from './recipes.ts';
import { seenNow } from './seen-now.ts';
import { filmAgents } from '../domain/film-agents.ts';
import { knownModels } from '../recipes/models.ts';
import { type RequestedJob, stepsOfRequest, withStandInHashes } from './submit-request.ts';
import { findJob, jobUnknown, watchJob } from './watch-job.ts';
import { jobFromWire, jobToWire, unitStateToWire, unitToWire, unlessRefused } from './wire.ts';

export interface JobServiceOptions extends ExplainSource {
  readonly gate: Gate;
  /** Pins what is stored and answers what is not. */
  readonly findMissing: (hashes: readonly string[]) => Promise<string[]>;
  /** What stands in the lists that units take files of. */
  readonly lists: Pick<FileLists, 'faultOf' | 'missingIn'>;
  readonly logs: LogReader;
}

const DEFAULT_JOBS_PAGE = 100;
const DEFAULT_UNITS_PAGE = 1_000;
const MAX_PAGE = 10_000;
const MOST_LOOKS = 3;

export function jobService(options: JobServiceOptions): JobServiceServer {
  const { gate } = options;
  const see = (principal: Principal, id: string): Promise<void> =>
    mustSee(options, principal, jobFromWire(id));
  const steer =
    (type: SteerJob['type']) =>
    async (request: { readonly jobId: string; readonly reason?: string }, principal: Principal) => {
      await see(principal, request.jobId);
      return steerJob(options, type, request.jobId, request.reason ?? '');
    };
  return {
    submitJob: unary(gate, '/furrow.v1.JobService/SubmitJob', (request, { owner }) =>
      submitJob(options, owner === '' ? request : { ...request, owner }),
    ),
    getJob: unary(gate, '/furrow.v1.JobService/GetJob', async ({ jobId }, principal) => {
      await see(principal, jobId);
      return { job: await knownJob(options, jobId), ageMs: options.office.ageMs };
    }),
    listJobs: unary(gate, '/furrow.v1.JobService/ListJobs', (request, principal) =>
      listJobs(options, request, principal),
    ),
    watchJob: serverStreaming(
      gate,
      '/furrow.v1.JobService/WatchJob',
      async (request, send, signal, principal) => {
        await see(principal, request.jobId);
        await watchJob(options, request, send, signal);
      },
    ),
    cancelJob: unary(gate, '/furrow.v1.JobService/CancelJob', steer('CancelJob')),
    retryJob: unary(gate, '/furrow.v1.JobService/RetryJob', steer('RetryJob')),
    pauseJob: unary(gate, '/furrow.v1.JobService/PauseJob', steer('PauseJob')),
    resumeJob: unary(gate, '/furrow.v1.JobService/ResumeJob', steer('ResumeJob')),
    removeJob: unary(gate, '/furrow.v1.JobService/RemoveJob', async ({ jobId }, principal) => {
      await see(principal, jobId);
      const job = jobFromWire(jobId);
      unlessRefused(await options.office.submit({ type: 'RemoveJob', job }));
      return {};
    }),
    listUnits: unary(gate, '/furrow.v1.JobService/ListUnits', async (request, principal) => {
      await see(principal, request.jobId);
      return listUnits(options, request);
    }),
    explain: unary(gate, '/furrow.v1.JobService/Explain', ({ id }, principal) =>
      explain(options, id, principal),
    ),
    streamLogs: serverStreaming(
      gate,
      '/furrow.v1.JobService/StreamLogs',
      async (request, send, signal, principal) => {
        await see(principal, request.jobId);
        await streamLogs(options, request, send, signal);
      },
    ),
  };
}

async function submitJob(
  options: JobServiceOptions,
  request: SubmitJobRequest,
): Promise<SubmitJobResponse> {
  const { clientId, priority, owner, maxUnits } = request;
  if (request.validateOnly === true) {
    const job = stepsOfRequest(withStandInHashes(request), farmAtHand(options));
    const sharing = { owner, maxUnits };
    const asked = {
      clientId,
      priority,
      ...sharing,
      requestHash: '',
      missingBlobs: [],
      validateOnly: true,
    };
    const { notes, ...rest } = job;
    unlessRefused(await options.office.submit({ type: 'SubmitJob', ...asked, ...rest }));
    const plan = planToWire(planJob(seenNow(options), job.recipe, job.steps));
    return { job: undefined, alreadySubmitted: false, plan, notes };
  }
  const asked = stepsUnlessFault(request, farmAtHand(options));
  const { recipe, steps, name, failures, fault } = asked;
  const requestHash = hashOfRequest(request);
  const missingBlobs = await options.findMissing(inputBlobs(steps));
  const listFault = await options.lists.faultOf(steps, missingBlobs);
  const command = {
    clientId,
    requestHash,
    name,
    priority,
    recipe,
    steps,
    failures,
    owner,
    maxUnits,
    missingBlobs,
    listFault,
  };
  let answer: Answer | undefined;
  // Jobs are archived meanwhile: seldom once, never so often.
  for (let look = 1; answer === undefined; look += 1) {
    const archived = await lookUp(options, clientId);
    const given = await options.office.submit({ type: 'SubmitJob', ...command, archived });
    const isUnread = given.kind === 'refused' && given.reason === 'ARCHIVE_UNREAD';
    if (isUnread && look < MOST_LOOKS) continue;
    if (fault !== undefined && !isRepeat(given)) throw fault;
    answer = unlessRefused(given);
  }
  if (answer.kind !== 'job') throw new Error('a submit is answered with a job');
  const job = await committedJob(options, answer.job);
  // What was chosen for a repeat was chosen when it came first.
  const notes = answer.repeated ? [] : asked.notes;
  return { job, alreadySubmitted: answer.repeated, plan: undefined, notes };
}

/**
 * What a request means may have changed since it was accepted, by a model that was removed: whether it is a repeat is
 * asked first. Without steps it is nothing else.
 */
function stepsUnlessFault(
  request: SubmitJobRequest,
  farm: FarmAtHand,
): RequestedJob & { readonly fault?: FurrowError } {
  try {
    return stepsOfRequest(request, farm);
  } catch (fault) {
    if (!(fault instanceof FurrowError)) throw fault;
    const { name, failures } = request;
    return { recipe: '', steps: [], name, failures, notes: [], fault };
  }
}

function farmAtHand(options: JobServiceOptions): FarmAtHand {
  return {
    models: knownModels(options.farm),
    filmAgents: (attributes) => filmAgents(seenNow(options), attributes),
    unitsAtOnce: (demand) => unitsAtOnce(seenNow(options), demand),
  };
}

function isRepeat(answer: Answer): boolean {
  return answer.kind === 'job' || (answer.kind === 'refused' && answer.code === 'conflict');
}

/** FurrowError: failed-precondition CLIENT_ID_UNCERTAIN; unavailable ARCHIVE_UNREACHABLE. */
async function lookUp({ known }: JobServiceOptions, clientId: string): Promise<ArchiveLookup> {
  try {
    return await known.lookUpClientId(clientId);
  } catch (error) {
    if (!(error instanceof FurrowError) || error.reason !== 'ARCHIVE_DAMAGED') throw error;
    const message = `client id ${JSON.stringify(clientId)} may be that of an old job, and ${error.message}: choose a new client id`;
    throw new FurrowError('failed-precondition', 'CLIENT_ID_UNCERTAIN', message, { cause: error });
  }
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
  return { job: await committedJob(options, job), units };
}

/** A failed job's blobs are kept for some days only. */
async function missingOf(
  { farm, findMissing, lists }: JobServiceOptions,
  number: number,
): Promise<string[]> {
  const job = farm.jobs.get(number);
  if (job?.end === undefined) return [];
  const missing = await findMissing(blobsToRun(job));
  const readable = listsOf(job).filter(({ sha256 }) => !missing.includes(sha256));
  return [...missing, ...(await lists.missingIn(readable))];
}

/** A job that a command has just been answered for: it is committed, so it is known. */
async function committedJob(options: JobServiceOptions, number: number): Promise<WireJob> {
  const view = await options.known.job(number);
  if (view === undefined) throw new Error(`job ${number} is committed and not known`);
  return jobToWire(view, options.outputRetentionMs);
}

async function knownJob(options: JobServiceOptions, id: string): Promise<WireJob> {
  const view = await findJob(options, jobFromWire(id));
  if (view !== undefined) return jobToWire(view, options.outputRetentionMs);
  throw jobUnknown(id);
}

async function listJobs(
  options: JobServiceOptions,
  request: ListJobsRequest,
  principal: Principal,
): Promise<ListJobsResponse> {
  const limit = pageSize(request.pageSize, DEFAULT_JOBS_PAGE);
  const before = request.pageToken === '' ? Infinity : positionOf(request.pageToken);
  const page = await listSeen(options.known, principal, before, limit, whichOf(request));
  return {
    jobs: page.jobs.map((view) => jobToWire(view, options.outputRetentionMs)),
    nextPageToken: page.next === undefined ? '' : String(page.next),
    ageMs: options.office.ageMs,
    warnings: page.warnings,
  };
}

function whichOf({ includeEnded, endedSinceMs }: ListJobsRequest): Which {
  if (includeEnded) return { ended: 'all' };
  return endedSinceMs === undefined ? { ended: 'none' } : { ended: 'since', sinceMs: endedSinceMs };
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
  const shown = await findJob(options, number);
  if (shown === undefined) throw jobUnknown(request.jobId);
  const viewOf = (farm: Farm, job: Job): ListUnitsResponse => {
    const { units, next } = viewOfUnits(farm, job, isWanted, from, limit);
    return {
      units: units.map((view) => {
        const name = farm.agents.get(view.agentId)?.name ?? '';
        const isLeased = view.state === 'leased';
        return unitToWire(view, name, isLeased ? options.hub.fractionOf(number, view.id) : 0);
      }),
      nextPageToken: next === undefined ? '' : String(next),
      ageMs: options.office.ageMs,
    };
  };
  const live = shown.archived ? undefined : await options.office.readJob(number, viewOf);
  if (live !== undefined) return live;
  const archived = await options.known.archivedJob(number);
  if (archived === undefined) throw jobUnknown(request.jobId);
  return viewOf(options.farm, archived);
}

function pageSize(asked: number, otherwise: number): number {
  return asked === 0 ? otherwise : Math.min(asked, MAX_PAGE);
}

function positionOf(pageToken: string): number {
  if (/^[0-9]{1,15}$/.test(pageToken)) return Number(pageToken);
  throw new FurrowError('invalid', 'PAGE_TOKEN_INVALID', 'the page token is none of this farm');
}
