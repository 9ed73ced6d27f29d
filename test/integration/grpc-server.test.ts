/** The gRPC server as any client meets it: reflection, health, the door, limits, and paging. */
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  Client,
  credentials,
  loadPackageDefinition,
  Metadata,
  status,
  type ServiceClientConstructor,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FarmClient } from '../../cli/client.ts';
import { CLIENT_VERSION_KEY } from '../../kit/client-version.ts';
import { PLAINTEXT } from '../../kit/trust.ts';
import { VERSION } from '../../kit/version.ts';
import { watchJob } from '../../cli/watch-job.ts';
import { readCoordinatorConfig } from '../../coordinator/config.ts';
import { startCoordinator, type RunningCoordinator } from '../../coordinator/coordinator.ts';
import {
  AdvertiseRequest,
  AgentServiceClient,
  AgentServiceService,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import { BlobServiceService } from '../../proto/gen/furrow/v1/blob_service.ts';
import { FarmServiceService } from '../../proto/gen/furrow/v1/farm_service.ts';
import { ModelServiceService } from '../../proto/gen/furrow/v1/model_service.ts';
import {
  JobServiceService,
  SubmitJobRequest,
  UnitState,
  type Job,
  type Unit,
} from '../../proto/gen/furrow/v1/job_service.ts';
import { GrpcCaller, refusalOf } from '../support/grpc-calls.ts';
import { startTestNats, type TestNats } from '../support/nats-server.ts';

let nats: TestNats;
let home: string;
let coordinator: RunningCoordinator;
let grpc: GrpcCaller;

beforeAll(async () => {
  nats = await startTestNats();
  home = await mkdtemp(join(tmpdir(), 'furrow-grpc-'));
  await writeFile(join(home, 'token'), nats.token, { mode: 0o600 });
  const ports = ['--grpc-port', '0', '--http-port', '0', '--failed-login-pause-ms', '0'];
  const argv = ['--home', home, '--nats', nats.url, '--plaintext', ...ports];
  const log = pino({ level: 'silent' });
  coordinator = await startCoordinator(readCoordinatorConfig(argv, {}), log);
  grpc = new GrpcCaller(coordinator.grpcAddress, nats.token);
});

afterAll(async () => {
  grpc.close();
  await coordinator.close();
  await nats.close();
  await rm(home, { recursive: true, force: true });
});

const SERVICES: Readonly<Record<string, ServiceDefinition>> = {
  'furrow.v1.JobService': JobServiceService,
  'furrow.v1.AgentService': AgentServiceService,
  'furrow.v1.FarmService': FarmServiceService,
  'furrow.v1.BlobService': BlobServiceService,
  'furrow.v1.ModelService': ModelServiceService,
};

/** A client of a service that we have no generated code for; without a token. */
function strangerTo(protoPackage: string, file: string, path: readonly string[]): Client {
  const folder = dirname(createRequire(import.meta.url).resolve(`${protoPackage}/package.json`));
  const definition = loadSync(join(folder, file), { enums: String, oneofs: true });
  let found: object = loadPackageDefinition(definition);
  for (const part of path) found = (found as Record<string, object>)[part]!;
  const Service = found as ServiceClientConstructor;
  return new Service(coordinator.grpcAddress, credentials.createInsecure());
}

test('a stranger learns the services by reflection', async () => {
  const file = 'build/proto/grpc/reflection/v1/reflection.proto';
  const path = ['grpc', 'reflection', 'v1', 'ServerReflection'];
  const client = strangerTo('@grpc/reflection', file, path);
  const stream = client[
    'ServerReflectionInfo' as keyof Client
  ] as unknown as () => NodeJS.ReadWriteStream;
  const ask = async (question: object): Promise<Record<string, unknown>> => {
    const call = stream.call(client);
    call.write(question as unknown as string);
    call.end();
    for await (const answer of call) return answer as unknown as Record<string, unknown>;
    throw new Error('no answer');
  };
  const listing = await ask({ listServices: '' });
  const services = (listing['listServicesResponse'] as { service: { name: string }[] }).service;
  expect(services.map(({ name }) => name)).toEqual(
    expect.arrayContaining([...Object.keys(SERVICES), 'grpc.health.v1.Health']) as string[],
  );
  for (const symbol of Object.keys(SERVICES)) {
    const described = await ask({ fileContainingSymbol: symbol });
    expect(described).toHaveProperty('fileDescriptorResponse');
  }
  client.close();
});

test('health is open, and serving', async () => {
  const path = ['grpc', 'health', 'v1', 'Health'];
  const client = strangerTo('grpc-health-check', 'proto/health/v1/health.proto', path);
  const check = client['Check' as keyof Client] as unknown as (
    request: object,
    callback: (error: ServiceError | null, answer: { status: string }) => void,
  ) => void;
  const ask = (service: string): Promise<{ status: string }> =>
    new Promise((resolve, reject) => {
      check.call(client, { service }, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  expect(await ask('')).toMatchObject({ status: 'SERVING' });
  for (const service of Object.keys(SERVICES)) {
    expect(await ask(service)).toMatchObject({ status: 'SERVING' });
  }
  client.close();
});

const RPCS = Object.values(SERVICES).flatMap((service) => Object.values(service));

test.each(RPCS.map((rpc) => [rpc.path, rpc] as const))('%s wants a token', async (_, rpc) => {
  const client = new Client(coordinator.grpcAddress, credentials.createInsecure());
  const attempt = (authorization?: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const metadata = new Metadata();
      if (authorization !== undefined) metadata.set('authorization', authorization);
      // Every kind of call is, on the wire, a stream each way.
      const call = client.makeBidiStreamRequest(
        rpc.path,
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        metadata,
      );
      call.on('data', resolve);
      call.on('end', resolve);
      call.on('error', reject);
      call.write(Buffer.alloc(0));
      call.end();
    });
  const code = status.UNAUTHENTICATED;
  expect(await refusalOf(attempt())).toMatchObject({ code, reason: 'TOKEN_REQUIRED' });
  expect(await refusalOf(attempt('Bearer wrong'))).toMatchObject({ code, reason: 'TOKEN_WRONG' });
  // Too little of one, and the right one by another scheme.
  expect(await refusalOf(attempt('Bearer'))).toMatchObject({ code, reason: 'TOKEN_REQUIRED' });
  expect(await refusalOf(attempt(`Basic ${nats.token}`))).toMatchObject({ code });
  client.close();
});

test('a message above 8 MiB is refused', async () => {
  const request = { jobId: 'j'.repeat(8 * 2 ** 20) };
  expect(await refusalOf(grpc.call(grpc.jobs.getJob.bind(grpc.jobs), request))).toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
  });
});

const task = { kind: { $case: 'noop', value: {} } };

async function submit(clientId: string, steps: object[]): Promise<string> {
  const wanted: object = { clientId, work: { $case: 'steps', value: { steps } } };
  const request = SubmitJobRequest.fromPartial(wanted);
  const { job } = await grpc.call(grpc.jobs.submitJob.bind(grpc.jobs), request);
  return job?.id ?? '';
}

test('a request is validated before its files are there, and nothing is submitted', async () => {
  const validate = (encoder: string): Promise<unknown> => {
    const value = { source: { name: 'film.mov', sizeBytes: 5e9 }, video: { encoder } };
    const wanted: object = {
      clientId: 'asked',
      validateOnly: true,
      work: { $case: 'transcode', value },
    };
    const request = SubmitJobRequest.fromPartial(wanted);
    return grpc.call(grpc.jobs.submitJob.bind(grpc.jobs), request);
  };
  expect(await refusalOf(validate('nonsense'))).toMatchObject({
    code: status.INVALID_ARGUMENT,
    message: expect.stringContaining('video encoder "nonsense" is not known'),
  });
  expect(await validate('libx264')).toMatchObject({ job: undefined, alreadySubmitted: false });
  const { jobs } = await grpc.call(grpc.jobs.listJobs.bind(grpc.jobs), {
    pageSize: 0,
    pageToken: '',
    includeEnded: true,
  });
  expect(jobs.map(({ clientId }) => clientId)).not.toContain('asked');
});

test('jobs come page by page, newest first, each once, ended ones when asked for', async () => {
  const ids: string[] = [];
  for (let n = 0; n < 5; n += 1) ids.unshift(await submit(`page ${n}`, [{ name: 'a', task }]));
  const pages = async (includeEnded: boolean): Promise<string[][]> => {
    const found: (readonly Job[])[] = [];
    let pageToken = '';
    do {
      const request = { pageSize: 2, pageToken, includeEnded };
      const page = await grpc.call(grpc.jobs.listJobs.bind(grpc.jobs), request);
      found.push(page.jobs);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return found.map((jobs) => jobs.map(({ id }) => id));
  };
  const [newest, second, third, fourth, oldest] = ids;
  expect(await pages(false)).toEqual([[newest, second], [third, fourth], [oldest]]);
  await grpc.call(grpc.jobs.cancelJob.bind(grpc.jobs), { jobId: third ?? '', reason: 'a test' });
  expect(await pages(false)).toEqual([
    [newest, second],
    [fourth, oldest],
  ]);
  expect(await pages(true)).toEqual([[newest, second], [third, fourth], [oldest]]);
});

test('units come page by page, in order, of one step or in some states', async () => {
  const jobId = await submit('units', [
    { name: 'first', task, parameters: { kind: { $case: 'count', value: 3 } } },
    {
      name: 'then',
      task,
      dependsOn: ['first'],
      parameters: { kind: { $case: 'count', value: 2 } },
    },
  ]);
  const list = async (over: object, pageSize = 0): Promise<string[][]> => {
    const found: (readonly Unit[])[] = [];
    let pageToken = '';
    do {
      const request = { jobId, step: '', states: [], pageSize, pageToken, ...over };
      const page = await grpc.call(grpc.jobs.listUnits.bind(grpc.jobs), request);
      found.push(page.units);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return found.map((units) => units.map(({ step, index }) => `${step}/${index}`));
  };
  const [queued, blocked] = [UnitState.UNIT_STATE_QUEUED, UnitState.UNIT_STATE_BLOCKED];
  expect(await list({}, 2)).toEqual([['first/0', 'first/1'], ['first/2', 'then/0'], ['then/1']]);
  expect(await list({ step: 'then' })).toEqual([['then/0', 'then/1']]);
  expect(await list({ states: [queued] })).toEqual([['first/0', 'first/1', 'first/2']]);
  expect((await list({ states: [blocked] }, 1)).flat()).toEqual(['then/0', 'then/1']);
  expect((await list({ step: 'then', states: [queued] })).flat()).toEqual([]);
});

test('a client of another version is told what to do; one that does not say is none of ours, and served', async () => {
  const [major, minor] = VERSION.split('.').map(Number);
  const ask = async (version: string): Promise<unknown> => {
    const ours = new GrpcCaller(coordinator.grpcAddress, nats.token);
    ours.metadata.set(CLIENT_VERSION_KEY, version);
    try {
      return await ours.call(ours.farm.getStatus.bind(ours.farm), {});
    } finally {
      ours.close();
    }
  };
  for (const version of [`${major}.${minor! + 1}.0`, `${major! + 1}.0.0`, 'nightly']) {
    expect(await refusalOf(ask(version))).toMatchObject({
      code: status.FAILED_PRECONDITION,
      reason: 'CLIENT_VERSION',
      message: expect.stringMatching(
        /^this client (runs|says that it runs) furrow .*(upgrade|install) /,
      ),
    });
  }
  await ask(`${major}.${minor}.99`);
  await grpc.call(grpc.farm.getStatus.bind(grpc.farm), {});
});

test('an agent of another version is told what to do, one of the same minor version is taken', async () => {
  const agents = new AgentServiceClient(coordinator.grpcAddress, credentials.createInsecure());
  const [major, minor] = VERSION.split('.').map(Number);
  const enrol = (version: string): Promise<unknown> => {
    const request = { agentId: 'other', name: 'other', machineFingerprint: 'm', version };
    return grpc.call(agents.enrolAgent.bind(agents), request);
  };
  for (const version of [`${major}.${minor! + 1}.0`, `${major! + 1}.0.0`, 'nightly', '']) {
    expect(await refusalOf(enrol(version))).toMatchObject({
      reason: 'AGENT_VERSION',
      message: expect.stringMatching(
        /^agent other (runs|says that it runs) furrow .*(upgrade|install) /,
      ),
    });
  }
  await enrol(`${major}.${minor}.99`);
  const { agents: list, coordinatorVersion } = await grpc.call(
    grpc.farm.listAgents.bind(grpc.farm),
    {},
  );
  expect(coordinatorVersion).toBe(VERSION);
  expect(list.find(({ id }) => id === 'other')?.version).toBe(`${major}.${minor}.99`);
  agents.close();
});

test.skipIf(/^\d+\.0\./.test(VERSION))(
  'one of the minor version before works, and status says that it should be upgraded',
  async () => {
    const agents = new AgentServiceClient(coordinator.grpcAddress, credentials.createInsecure());
    const [major, minor] = VERSION.split('.').map(Number);
    const version = `${major}.${minor! - 1}.9`;
    const agent = { agentId: 'aunt', name: 'aunt', machineFingerprint: 'm2' };
    await grpc.call(agents.enrolAgent.bind(agents), { ...agent, version });
    const warnings = async (): Promise<readonly string[]> =>
      (await grpc.call(grpc.farm.getStatus.bind(grpc.farm), {})).warnings.filter((warning) =>
        warning.startsWith('older than'),
      );
    expect(await warnings()).toEqual([]);
    const stream = agents.advertise(grpc.metadata);
    stream.on('error', () => undefined);
    try {
      stream.write(AdvertiseRequest.fromPartial({ ...agent, session: 's1', beat: 1 }));
      expect(await once(stream, 'data')).toMatchObject([{ beat: 1 }]);
      expect(await warnings()).toEqual([
        expect.stringMatching(/^older than this coordinator: aunt \(.*\): upgrade to /),
      ]);
    } finally {
      stream.cancel();
      agents.close();
    }
  },
);

test('an agent is not shown before it is on disk', async () => {
  const agents = new AgentServiceClient(coordinator.grpcAddress, credentials.createInsecure());
  const request = { agentId: 'new', name: 'new', machineFingerprint: 'm', version: VERSION };
  await nats.pause();
  try {
    const enrolled = grpc.call(agents.enrolAgent.bind(agents), request).catch(() => undefined);
    // Before the journal is in doubt, and after.
    const list = (): Promise<unknown> =>
      grpc.call(grpc.farm.listAgents.bind(grpc.farm), {}).catch((error: unknown) => error);
    const early = list();
    await enrolled;
    for (const answer of [await early, await list()]) {
      expect(answer).not.toMatchObject({ agents: [{ id: 'new' }] });
    }
  } finally {
    nats.resume();
    agents.close();
  }
  const { farm } = grpc;
  const shown = async (): Promise<string[]> => {
    const { agents } = await grpc.call(farm.listAgents.bind(farm), {});
    return agents.map(({ id }) => id);
  };
  await expect.poll(() => shown().catch(() => []), { timeout: 20_000 }).toContain('new');
});

test('a watch goes on from its cursor, over what happened while nobody looked', async () => {
  const jobId = await submit('watched', [{ name: 'a', task }]);
  const watch = (cursor: string) =>
    grpc.jobs.watchJob({ jobId, cursor, withoutAttempts: false }, grpc.metadata);
  const first = watch('');
  let cursor = '';
  for await (const message of first) {
    cursor = (message as { cursor: string }).cursor;
    break;
  }
  await grpc.call(grpc.jobs.pauseJob.bind(grpc.jobs), { jobId });
  await grpc.call(grpc.jobs.cancelJob.bind(grpc.jobs), { jobId, reason: 'nobody looked' });
  const rest = await grpc.all(grpc.jobs.watchJob.bind(grpc.jobs), {
    jobId,
    cursor,
    withoutAttempts: false,
  });
  expect(rest.at(-1)).toMatchObject({
    event: { $case: 'job', value: { id: jobId, reason: 'nobody looked' } },
  });
  expect(Number(rest.at(-1)?.cursor)).toBeGreaterThan(Number(cursor));
});

test('thousands of jobs are watched to their ends over one connection', async () => {
  const { signal } = new AbortController();
  const farm = { address: coordinator.grpcAddress, trust: PLAINTEXT, token: nats.token };
  const client = new FarmClient(farm, signal);
  const { jobs } = client;
  const jobId = await submit('watched often', [{ name: 'work', task }]);
  await client.call(jobs.cancelJob.bind(jobs), { jobId, reason: '' });
  let surprises = 0;
  for (let watched = 0; watched < 1_500; watched += 1) {
    for await (const { kind } of watchJob(client, jobId, { signal, waitMs: 0 })) {
      if (kind !== 'message') surprises += 1;
    }
  }
  expect(surprises).toBe(0);
  client.close();
}, 60_000);
