/**
 * A farm that does what a test tells it: the public gRPC services and the blob server, with jobs that
 * move only by the test's hand. Restarts on the same ports, with the same events.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import {
  Metadata,
  Server,
  ServerCredentials,
  type handleUnaryCall,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { encodeErrorDetails, ERROR_DETAILS_KEY, GRPC_STATUS } from '../../kit/error-details.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import {
  FarmServiceService,
  JournalState,
  type Agent,
  type GetStatusResponse,
} from '../../proto/gen/furrow/v1/farm_service.ts';
import {
  ExplainedState,
  JobServiceService,
  JobState,
  type Explanation,
  type ExplainResponse,
  type Job,
  type JobPlan,
  type StepStatus,
  type StreamLogsRequest,
  type StreamLogsResponse,
  type SubmitJobRequest,
  type SubmitJobResponse,
  type Unit,
  type WatchJobRequest,
  type WatchJobResponse,
} from '../../proto/gen/furrow/v1/job_service.ts';

export const FAKE_TOKEN = 'f'.repeat(43);

export interface FakeFarm {
  readonly address: string;
  readonly blobUrl: string;
  readonly blobs: Map<string, Buffer>;
  readonly submits: SubmitJobRequest[];
  readonly jobs: Map<string, Job>;
  readonly units: Map<string, readonly Unit[]>;
  readonly logs: StreamLogsResponse[];
  agents: readonly Agent[];
  /** Of lists. */
  ageMs: number;
  status: Partial<GetStatusResponse>;
  /** Jobs are refused with this before their files are sent. */
  refusal: FurrowError | undefined;
  /** What is said to whoever asks why something waits. */
  explanation: ExplainResponse;
  /** What a listing says is missing. */
  listWarnings: string[];
  /** The next submits fail with this, before or after they took effect. */
  failSubmits: { error: FurrowError; times: number; afterEffect: boolean } | undefined;
  /** Adds an event to a job's history and tells its watchers. */
  emit(jobId: string, event: WatchJobResponse['event']): void;
  /** Replaces a job and tells its watchers. */
  setJob(job: Job): void;
  /** How many watches were opened so far, with the cursors they came with. */
  readonly watchCursors: string[];
  /** Kills every connection; nothing listens until `start`. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

export function fakeStep(name: string, counts: Partial<StepStatus> = {}): StepStatus {
  return {
    name,
    total: 1,
    blocked: 0,
    queued: 0,
    leased: 0,
    accepted: 0,
    failed: 0,
    cancelled: 0,
    known: true,
    lostAttempts: 0,
    ...counts,
  };
}

export function fakeJob(job: Partial<Job> = {}): Job {
  return {
    id: 'j1',
    name: 'clip.mov',
    clientId: 'c1',
    priority: 0,
    state: JobState.JOB_STATE_RUNNING,
    reason: '',
    submittedAtMs: 1_700_000_000_000,
    endedAtMs: 0,
    steps: [],
    outputs: [],
    recipe: 'transcode',
    archived: false,
    outputsExpireAtMs: 0,
    ...job,
  };
}

export function fakeExplanation(subject: string): Explanation {
  return {
    subject,
    units: 1,
    state: ExplainedState.EXPLAINED_STATE_WAITING,
    why: 'waits',
    agents: [],
    unblock: [],
    startInMs: undefined,
    unitsAhead: 0,
    retryAtMs: 0,
    sinceMs: 0,
    endInMs: undefined,
    fraction: 0,
    attempts: 0,
    failureKind: '',
    failureMessage: '',
  };
}

const FAKE_PLAN: JobPlan = {
  takesMs: undefined,
  unknown: 'no unit like those of encode ran yet',
  steps: [
    {
      name: 'encode',
      known: true,
      units: 3,
      unitsFrom: '',
      waitsFor: [],
      demand: undefined,
      agentsNow: ['alice'],
      agentsLater: [],
      missing: '',
      unitMs: undefined,
      measuredBy: '',
      takesMs: undefined,
      unknown: 'no unit like those of encode ran yet',
    },
  ],
};

interface History {
  readonly events: WatchJobResponse[];
  readonly watchers: Set<ServerWritableStream<WatchJobRequest, WatchJobResponse>>;
}

export async function startFakeFarm(): Promise<FakeFarm> {
  let grpcPort = 0;
  let httpPort = 0;
  let server: Server | undefined;
  let http: HttpServer | undefined;
  const histories = new Map<string, History>();
  const historyOf = (jobId: string): History => {
    const history = histories.get(jobId) ?? { events: [], watchers: new Set() };
    histories.set(jobId, history);
    return history;
  };
  const farm: FakeFarm = {
    get address() {
      return `127.0.0.1:${grpcPort}`;
    },
    get blobUrl() {
      return `http://127.0.0.1:${httpPort}`;
    },
    blobs: new Map(),
    submits: [],
    jobs: new Map(),
    units: new Map(),
    logs: [],
    agents: [],
    ageMs: 0,
    status: {},
    explanation: {
      id: '',
      summary: '',
      explanations: [],
      lines: [],
      hearsAgents: true,
      leader: '',
      ageMs: 0,
    },
    listWarnings: [],
    refusal: undefined,
    failSubmits: undefined,
    watchCursors: [],
    emit(jobId, event) {
      const history = historyOf(jobId);
      const isProgress = event?.$case === 'progress';
      const message = { cursor: isProgress ? '' : `c${history.events.length + 1}`, event };
      if (!isProgress) history.events.push(message);
      for (const watcher of history.watchers) {
        watcher.write(message);
        if (hasEnded(event)) watcher.end();
      }
    },
    setJob(job) {
      farm.jobs.set(job.id, job);
      farm.emit(job.id, { $case: 'job', value: job });
    },
    async kill() {
      server?.forceShutdown();
      http?.closeAllConnections();
      await new Promise((resolve) => (http ? http.close(resolve) : resolve(undefined)));
      for (const history of histories.values()) history.watchers.clear();
      server = undefined;
      http = undefined;
    },
    async start() {
      server = newServer(farm, historyOf);
      grpcPort = await bind(server, grpcPort);
      http = createServer((request, response) => {
        serveBlob(farm, request).then(
          ({ status, body }) => response.writeHead(status).end(body),
          () => response.writeHead(500).end(),
        );
      });
      httpPort = await listen(http, httpPort);
    },
  };
  await farm.start();
  return farm;
}

function bind(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
}

function listen(server: HttpServer, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

function hasEnded(event: WatchJobResponse['event']): boolean {
  return event?.$case === 'job' && event.value.state >= JobState.JOB_STATE_SUCCEEDED;
}

/** A handler that checks the token, and whose errors go out as the real farm's do. */
function unary<Request, Response>(
  answer: (request: Request) => Response,
): handleUnaryCall<Request, Response> {
  return (call: ServerUnaryCall<Request, Response>, callback) => {
    try {
      checkToken(call.metadata);
      callback(null, answer(call.request));
    } catch (error) {
      callback(grpcError(error));
    }
  };
}

function checkToken(metadata: Metadata): void {
  if (metadata.get('authorization')[0] !== `Bearer ${FAKE_TOKEN}`) {
    throw new FurrowError('unauthenticated', 'TOKEN_WRONG', "the token is not this farm's");
  }
}

function grpcError(error: unknown): Partial<ServiceError> {
  if (!(error instanceof FurrowError)) throw error;
  const metadata = new Metadata();
  metadata.set(ERROR_DETAILS_KEY, encodeErrorDetails(error));
  return { code: GRPC_STATUS[error.code], details: error.message, metadata };
}

function newServer(farm: FakeFarm, historyOf: (jobId: string) => History): Server {
  const job = (jobId: string): Job => {
    const found = farm.jobs.get(jobId);
    if (!found) throw new FurrowError('not-found', 'JOB_NOT_FOUND', `there is no job ${jobId}`);
    return found;
  };
  const changed = (jobId: string, change: Partial<Job>): { job: Job } => {
    farm.setJob({ ...job(jobId), ...change });
    return { job: job(jobId) };
  };
  const server = new Server();
  server.addService(JobServiceService, {
    submitJob: unary((request: SubmitJobRequest) => submitJob(farm, request)),
    getJob: unary(({ jobId }) => ({ job: job(jobId), ageMs: 0 })),
    listJobs: unary(({ pageSize, pageToken, includeEnded, endedSinceMs }) => {
      const isShown = ({ endedAtMs }: Job): boolean =>
        includeEnded ||
        endedAtMs === 0 ||
        (endedSinceMs !== undefined && endedAtMs >= endedSinceMs);
      const open = [...farm.jobs.values()].filter(isShown);
      const from = Number(pageToken || 0);
      const nextPageToken = from + pageSize < open.length ? String(from + pageSize) : '';
      return {
        jobs: open.slice(from, from + pageSize),
        nextPageToken,
        ageMs: farm.ageMs,
        warnings: farm.listWarnings,
      };
    }),
    watchJob(call: ServerWritableStream<WatchJobRequest, WatchJobResponse>) {
      try {
        checkToken(call.metadata);
        job(call.request.jobId);
      } catch (error) {
        call.emit('error', grpcError(error));
        return;
      }
      const { jobId, cursor } = call.request;
      farm.watchCursors.push(cursor);
      const { events, watchers } = historyOf(jobId);
      const now = {
        cursor: `c${events.length}`,
        event: { $case: 'job', value: job(jobId) },
      } as const;
      for (const message of cursor === '' ? [now] : events.slice(Number(cursor.slice(1)))) {
        call.write(message);
        if (hasEnded(message.event)) {
          call.end();
          return;
        }
      }
      watchers.add(call);
      call.on('cancelled', () => watchers.delete(call));
    },
    cancelJob: unary(({ jobId, reason }) =>
      changed(jobId, { state: JobState.JOB_STATE_CANCELLED, reason, endedAtMs: Date.now() }),
    ),
    retryJob: unary(({ jobId }) => ({
      ...changed(jobId, { state: JobState.JOB_STATE_RUNNING, endedAtMs: 0 }),
      units: 3,
    })),
    pauseJob: unary(({ jobId }) => changed(jobId, { state: JobState.JOB_STATE_PAUSED })),
    resumeJob: unary(({ jobId }) => changed(jobId, { state: JobState.JOB_STATE_RUNNING })),
    removeJob: unary(({ jobId }) => {
      farm.jobs.delete(job(jobId).id);
      return {};
    }),
    listUnits: unary(({ jobId, step, states }) => {
      job(jobId);
      const units = (farm.units.get(jobId) ?? []).filter(
        (unit) =>
          (step === '' || unit.step === step) &&
          (states.length === 0 || states.includes(unit.state)),
      );
      return { units, nextPageToken: '', ageMs: farm.ageMs };
    }),
    explain: unary(() => farm.explanation),
    streamLogs(call: ServerWritableStream<StreamLogsRequest, StreamLogsResponse>) {
      for (const message of farm.logs) call.write(message);
      call.end();
    },
  });
  server.addService(FarmServiceService, {
    getStatus: unary(() => ({ ...fakeStatus(farm), ...farm.status })),
    listAgents: unary(() => ({
      agents: farm.agents,
      ageMs: farm.ageMs,
      coordinatorVersion: '0.1.0',
    })),
    drainAgent: unary(({ agent }) => {
      if (!farm.agents.some((known) => known.id === agent || known.name === agent)) {
        throw new FurrowError('not-found', 'AGENT_NOT_FOUND', `there is no agent ${agent}`);
      }
      return {};
    }),
    undrainAgent: unary(() => ({})),
    setAgentPolicy: unary(({ agent, policy }) => {
      farm.agents = farm.agents.map((known) => (known.id === agent ? { ...known, policy } : known));
      return { policy };
    }),
  });
  return server;
}

function submitJob(farm: FakeFarm, request: SubmitJobRequest): SubmitJobResponse {
  if (request.validateOnly === true) {
    if (farm.refusal !== undefined) throw farm.refusal;
    return { job: undefined, alreadySubmitted: false, plan: FAKE_PLAN, notes: [] };
  }
  const failing = farm.failSubmits;
  const fails = failing !== undefined && failing.times > 0;
  if (fails) farm.failSubmits = { ...failing, times: failing.times - 1 };
  if (fails && !failing.afterEffect) throw failing.error;
  farm.submits.push(request);
  const known = [...farm.jobs.values()].find((job) => job.clientId === request.clientId);
  const job =
    known ??
    fakeJob({
      id: `j${farm.jobs.size + 1}`,
      name: request.name,
      clientId: request.clientId,
      priority: request.priority,
      state: JobState.JOB_STATE_QUEUED,
      submittedAtMs: Date.now(),
    });
  if (!known) farm.setJob(job);
  if (fails) throw failing.error;
  return { job, alreadySubmitted: known !== undefined, plan: undefined, notes: [] };
}

function fakeStatus(farm: FakeFarm): GetStatusResponse {
  return {
    farmId: 'farm-1',
    epoch: 3,
    durable: true,
    durability: 'nats-server syncs every write',
    journal: JournalState.JOURNAL_STATE_OK,
    warnings: [],
    jobsOpen: farm.jobs.size,
    unitsQueued: 7,
    unitsLeased: 2,
    agentsOnline: farm.agents.length,
    agentsKnown: farm.agents.length,
    blobDiskFreeBytes: 250 * 2 ** 30,
    version: '0.1.0',
    journalSequence: 42,
    natsVersion: '2.10.27',
    blobUrl: farm.blobUrl,
    blobStore: '/home/ada/.furrow/coordinator',
    blobStoreAnswers: true,
    standby: false,
    leader: farm.address,
    lagCommits: 0,
    ageMs: 0,
  };
}

async function serveBlob(
  farm: FakeFarm,
  request: IncomingMessage,
): Promise<{ status: number; body?: string | Buffer }> {
  const path = request.url ?? '';
  const body = await buffer(request);
  if (request.headers.authorization !== `Bearer ${FAKE_TOKEN}`) return { status: 401 };
  if (request.method === 'POST' && path === '/blobs/missing') {
    const { sha256 } = JSON.parse(body.toString()) as { sha256: string[] };
    const missing = sha256.filter((digest) => !farm.blobs.has(digest));
    return { status: 200, body: JSON.stringify({ missing }) };
  }
  const digest = path.replace('/blobs/', '');
  if (request.method === 'PUT') {
    if (createHash('sha256').update(body).digest('hex') !== digest) return { status: 422 };
    farm.blobs.set(digest, body);
    return { status: 201 };
  }
  const blob = farm.blobs.get(digest);
  return blob ? { status: 200, body: blob } : { status: 404 };
}
