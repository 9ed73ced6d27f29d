/** Jobs that have left the memory: read as ever, by every coordinator, whatever happens to their store. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { readCoordinatorConfig } from '../../coordinator/config.ts';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/coordinator.ts';
import {
  type Job,
  type ListJobsResponse,
  SubmitJobRequest,
  type SubmitJobResponse,
} from '../../proto/gen/furrow/v1/job_service.ts';
import { ARCHIVE_STREAM, ARCHIVE_SUBJECTS, archiveSubject } from '../../proto/subjects.ts';
import { GrpcCaller, refusalOf } from '../support/grpc-calls.ts';
import { startTestNats, type TestNats } from '../support/nats-server.ts';

const PATIENCE = { timeout: 30_000, interval: 100 };
const homes: string[] = [];
let nats: TestNats;
let leader: RunningCoordinator;
let grpc: GrpcCaller;

async function start(): Promise<RunningCoordinator> {
  const home = await mkdtemp(join(tmpdir(), 'furrow-archive-'));
  homes.push(home);
  await writeFile(join(home, 'token'), nats.token, { mode: 0o600 });
  const ports = ['--grpc-port', '0', '--http-port', '0'];
  const argv = [
    '--home',
    home,
    '--nats',
    nats.url,
    '--plaintext',
    ...ports,
    '--job-retention-ms',
    '0',
  ];
  return startCoordinator(readCoordinatorConfig(argv, {}), pino({ level: 'silent' }));
}

beforeAll(async () => {
  nats = await startTestNats();
  leader = await start();
  grpc = new GrpcCaller(leader.grpcAddress, nats.token);
});

afterAll(async () => {
  grpc.close();
  await leader.close();
  await nats.close();
  for (const home of homes) await rm(home, { recursive: true, force: true });
});

function submit(clientId: string, name = 'a job'): Promise<SubmitJobResponse> {
  const task = { kind: { $case: 'noop', value: {} } };
  const step = { name: 'work', task, parameters: { kind: { $case: 'count', value: 3 } } };
  const wanted: object = { clientId, name, work: { $case: 'steps', value: { steps: [step] } } };
  return grpc.call(grpc.jobs.submitJob.bind(grpc.jobs), SubmitJobRequest.fromPartial(wanted));
}

function getJob(jobId: string, caller = grpc): Promise<Job | undefined> {
  const { jobs } = caller;
  return caller.call(jobs.getJob.bind(jobs), { jobId }).then(({ job }) => job);
}

const cancel = (jobId: string): Promise<unknown> =>
  grpc.call(grpc.jobs.cancelJob.bind(grpc.jobs), { jobId, reason: 'a test' });

/** A job that is in the archive by the time that this settles. */
async function archivedJob(clientId: string): Promise<string> {
  const { job } = await submit(clientId);
  const id = job?.id ?? '';
  await cancelAndArchive(id);
  return id;
}

async function cancelAndArchive(id: string): Promise<void> {
  await vi.waitFor(() => cancel(id), PATIENCE);
  await vi.waitFor(async () => expect((await getJob(id))?.archived).toBe(true), PATIENCE);
}

async function listAll(caller = grpc, pageSize = 2): Promise<ListJobsResponse[]> {
  const pages: ListJobsResponse[] = [];
  for (let pageToken = ''; ;) {
    const request = { pageSize, pageToken, includeEnded: true };
    const page = await caller.call(caller.jobs.listJobs.bind(caller.jobs), request);
    pages.push(page);
    pageToken = page.nextPageToken;
    if (pageToken === '') return pages;
  }
}

const idsOf = (pages: readonly ListJobsResponse[]): string[] =>
  pages.flatMap((page) => page.jobs.map((job) => job.id));

async function warnings(): Promise<readonly string[]> {
  return (await grpc.call(grpc.farm.getStatus.bind(grpc.farm), {})).warnings;
}

async function segments(): Promise<string[]> {
  const connection = await nats.connect('witness');
  const manager = await connection.jetstreamManager();
  const { state } = await manager.streams.info(ARCHIVE_STREAM, {
    subjects_filter: ARCHIVE_SUBJECTS,
  });
  await connection.close();
  const names = Object.keys(state.subjects ?? {}).map((subject) => subject.split('.')[2] ?? '');
  return [...new Set(names)];
}

test('an archived job is listed, shown and watched as ever, by a standby and after a restart', async () => {
  const before = idsOf(await listAll());
  const old = await archivedJob('old');
  const { job: open } = await submit('open');
  const older = await archivedJob('older, but numbered later');
  const expected = [older, open?.id, old, ...before];
  const check = async (caller: GrpcCaller): Promise<void> => {
    expect(idsOf(await listAll(caller))).toEqual(expected);
    expect(await getJob(old, caller)).toMatchObject({
      id: old,
      name: 'a job',
      clientId: 'old',
      reason: 'a test',
      archived: true,
      steps: [{ name: 'work', total: 3, cancelled: 3 }],
    });
    const request = { jobId: old, step: '', states: [], pageSize: 2, pageToken: '2' };
    const { units } = await caller.call(caller.jobs.listUnits.bind(caller.jobs), request);
    expect(units.map(({ id }) => id)).toEqual([`${old}/work/2`]);
    const watched = await caller.all(caller.jobs.watchJob.bind(caller.jobs), {
      jobId: old,
      cursor: '',
      withoutAttempts: false,
    });
    expect(watched).toMatchObject([{ event: { $case: 'job', value: { id: old } } }]);
    const lines = { jobId: old, unitId: '', follow: true };
    expect(await caller.all(caller.jobs.streamLogs.bind(caller.jobs), lines)).toEqual([]);
  };
  await check(grpc);
  const standby = await start();
  const reader = new GrpcCaller(standby.grpcAddress, nats.token);
  await check(reader);
  await leader.close();
  grpc.close();
  leader = standby;
  grpc = reader;
  // The other has taken over.
  await cancelAndArchive(open?.id ?? '');
  await check(grpc);
});

test('the client id of an archived job is recognised until the job is removed', async () => {
  const id = await archivedJob('film-7');
  expect(await submit('film-7')).toMatchObject({ job: { id }, alreadySubmitted: true });
  expect(await refusalOf(submit('film-7', 'another'))).toMatchObject({
    reason: 'CLIENT_ID_REUSED',
  });
  const remove = (): Promise<unknown> =>
    grpc.call(grpc.jobs.removeJob.bind(grpc.jobs), { jobId: id });
  await remove();
  expect(await refusalOf(getJob(id))).toMatchObject({ code: status.NOT_FOUND });
  expect(await refusalOf(remove())).toMatchObject({ reason: 'JOB_UNKNOWN' });
  expect(idsOf(await listAll())).not.toContain(id);
  const { job, alreadySubmitted } = await submit('film-7');
  expect(alreadySubmitted).toBe(false);
  expect(job?.id).not.toBe(id);
  await cancelAndArchive(job?.id ?? '');
});

test('an archived job is not retried, and an open one not removed: both say why', async () => {
  const id = await archivedJob('tired');
  const retry = grpc.call(grpc.jobs.retryJob.bind(grpc.jobs), { jobId: id });
  expect(await refusalOf(retry)).toMatchObject({
    code: status.FAILED_PRECONDITION,
    reason: 'JOB_ARCHIVED',
    message: `${id} has ended and is archived: it cannot be retried any more, submit it again`,
  });
  const { job } = await submit('young');
  const remove = grpc.call(grpc.jobs.removeJob.bind(grpc.jobs), { jobId: job?.id ?? '' });
  expect(await refusalOf(remove)).toMatchObject({ reason: 'JOB_OPEN' });
  await cancelAndArchive(job?.id ?? '');
});

test('a segment goes with its last job', async () => {
  const before = await segments();
  const id = await archivedJob('short-lived');
  const made = (await segments()).filter((name) => !before.includes(name));
  expect(made).toHaveLength(1);
  await grpc.call(grpc.jobs.removeJob.bind(grpc.jobs), { jobId: id });
  await vi.waitFor(async () => expect(await segments()).not.toContain(made[0]), PATIENCE);
});

test('a damaged segment is named, and costs nothing but its own jobs', async () => {
  const before = await segments();
  const lost = await archivedJob('lost');
  const [segment = ''] = (await segments()).filter((name) => !before.includes(name));
  const connection = await nats.connect('vandal');
  const manager = await connection.jetstreamManager();
  await manager.streams.purge(ARCHIVE_STREAM, { filter: archiveSubject(segment, 'index') });
  connection.publish(archiveSubject(segment, 'index'), 'rubbish');
  await connection.flush();
  // Read anew: this one has it at hand.
  await leader.close();
  grpc.close();
  leader = await start();
  grpc = new GrpcCaller(leader.grpcAddress, nats.token);
  await vi.waitFor(() => submit('goes on'), PATIENCE);
  const named = expect.stringMatching(
    new RegExp(`segment ${segment} of the archive is damaged .*: ${lost} cannot be shown`),
  ) as string;
  const pages = await listAll();
  expect(pages.flatMap((page) => page.warnings)).toEqual([named]);
  expect(idsOf(pages)).not.toContain(lost);
  expect(idsOf(pages).length).toBeGreaterThan(3);
  expect(await refusalOf(getJob(lost))).toMatchObject({
    code: status.DATA_LOSS,
    reason: 'ARCHIVE_DAMAGED',
    message: named,
  });
  expect(await warnings()).toContainEqual(named);
  expect(await refusalOf(submit('lost'))).toMatchObject({ reason: 'CLIENT_ID_UNCERTAIN' });
  // Who gives it up is rid of it.
  await grpc.call(grpc.jobs.removeJob.bind(grpc.jobs), { jobId: lost });
  await vi.waitFor(async () => expect(await segments()).not.toContain(segment), PATIENCE);
  expect((await listAll()).flatMap((page) => page.warnings)).toEqual([]);
  expect(await warnings()).not.toContainEqual(named);
});
