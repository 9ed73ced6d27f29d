/** Two coordinators on one journal: the second follows, and leads within seconds when the first is gone. */
import { expect, test } from 'vitest';
import { Metadata, status } from '@grpc/grpc-js';
import { readAnswer, sendRequest } from '../../kit/http-request.ts';
import { formatSecret, newSecret } from '../../kit/secrets.ts';
import { uploadResumably, uploadsInMemory } from '../../kit/tus-upload.ts';
import { type GetStatusResponse, Role } from '../../proto/gen/furrow/v1/farm_service.ts';
import { JOURNAL_STREAM } from '../../proto/subjects.ts';
import { contentFile } from '../support/blobs.ts';
import { found, startFarm, type TestFarm, until } from '../support/farm.ts';
import { commandStep, expectSuccess, stepsRequest, submitSteps } from '../support/farm-jobs.ts';
import { GrpcCaller, healthAt, refusalOf } from '../support/grpc-calls.ts';
import { readJournal } from '../support/journal-record.ts';
import { startTestCluster, type TestNatsCluster } from '../support/nats-cluster.ts';
import { NATS_VERSIONS, type NatsVersion } from '../support/nats-server.ts';
import {
  AGENTS,
  clientOf,
  EXIT_DEPOSED,
  expectTakeover,
  hearGrants,
  Load,
  OUTAGE_TEST_TIMEOUT_MS,
  statusOf,
} from '../support/takeover.ts';

test('a standby shows what the leader knows, and sends writers to it', async () => {
  const farm = await startFarm({ hasStandby: true, agents: { one: ['--cpus', '1'] } });
  const standby = clientOf(farm, 1);
  const jobId = await submitSteps(farm, commandStep('quick', ['true']));
  await expectSuccess(farm, jobId);

  const { job } = await standby.call(standby.jobs.getJob.bind(standby.jobs), { jobId });
  expect(job).toMatchObject({ id: jobId });
  const status = await standby.call(standby.farm.getStatus.bind(standby.farm), {});
  expect(status).toMatchObject({ standby: true, leader: farm.addresses[0] });
  expect(status.blobUrl).toBe(farm.httpUrls[0]);
  await until('the standby has read all', async () => {
    const leading = await statusOf(clientOf(farm, 0));
    const following = await statusOf(standby);
    return following.journalSequence === leading.journalSequence && following.lagCommits === 0;
  });
  const { jobs } = standby;
  const refusal = new Promise((resolve) => {
    const metadata = authorization(farm);
    jobs.cancelJob({ jobId, reason: '' }, metadata, (error) => resolve(error));
  });
  expect(await refusal).toMatchObject({
    details: `this coordinator stands by and decides nothing: ask ${farm.addresses[0]}`,
  });
  const own = { url: farm.httpUrls[1]!, token: farm.nats.token, trust: farm.trust };
  const { path, bytes, blob } = await contentFile(farm.workDir, 100);
  const put = { method: 'PUT', path: `/blobs/${blob.sha256}`, body: bytes };
  for (const upload of [
    sendRequest(own, put).then((response) => readAnswer(own, response)),
    uploadResumably(own, path, blob, { memory: uploadsInMemory() }),
  ]) {
    await expect(upload).rejects.toMatchObject({
      reason: 'NOT_LEADER',
      details: { leader: farm.addresses[0], 'leader-url': farm.httpUrls[0] },
    });
  }
  for (const [service, atStandby] of Object.entries(HEALTH)) {
    expect(await healthAt(farm.addresses[0]!, farm.trust, service)).toBe('SERVING');
    expect(await healthAt(farm.addresses[1]!, farm.trust, service)).toBe(atStandby);
  }
  // A client that knows only the standby gets there all the same.
  const written = await standby.call(
    jobs.submitJob.bind(jobs),
    stepsRequest('by-standby', [commandStep('quick', ['true'])]),
  );
  expect(standby.address).toBe(farm.addresses[0]);
  await expectSuccess(farm, found(written.job, 'job').id);
});

test('kill -9 of the leader under load: the standby leads, and nothing is lost or run twice', async () => {
  const farm = await startFarm({ hasStandby: true, takeoverGraceMs: 20_000 });
  await expectTakeover(farm, () => farm.coordinator.kill());

  // The first comes back, and stands by.
  farm.coordinator.start();
  const first = clientOf(farm, 0);
  await until('the first stands by', async () => {
    const status = await statusOf(first).catch(() => undefined);
    return status?.standby === true && status.leader === farm.addresses[1];
  });
});

test(
  'a leader that slept finds out that another leads, commits and grants nothing, and exits',
  { timeout: OUTAGE_TEST_TIMEOUT_MS },
  async () => {
    const farm = await startFarm({ hasStandby: true, takeoverGraceMs: 20_000 });
    const heard = await hearGrants(farm);
    const stop = async (): Promise<void> => farm.coordinator.signal('SIGSTOP');
    await expectTakeover(farm, stop, async () => {
      farm.coordinator.signal('SIGCONT');
      expect(await farm.coordinator.exited).toBe(EXIT_DEPOSED);
    });
    const committed = new Set((await readJournal(farm)).granted().map(({ token }) => token));
    expect([...heard].filter((token) => !committed.has(token))).toEqual([]);
    expect((await statusOf(farm.client)).standby).toBe(false);
  },
);

test('three servers: kill -9 of the leader', async () => {
  const { farm } = await startClusterFarm('newest');
  await expectTakeover(farm, () => farm.coordinator.kill());
});

test('whom the leader lets in, a standby knows from that moment on', async () => {
  const farm = await startFarm({ hasStandby: true, agents: {} });
  const leader = new GrpcCaller(farm.addresses[0]!, farm.nats.token, farm.trust);
  const ask = { role: Role.ROLE_VIEW, owner: '', label: 'new', expiresAtMs: 0 };
  for (let i = 0; i < 4; i += 1) {
    const byGrpc = await leader.call(leader.farm.createToken.bind(leader.farm), ask);
    expect(await statusAs(farm, byGrpc.secret)).toMatchObject({ standby: true });
    const byHttp = await leader.call(leader.farm.createToken.bind(leader.farm), ask);
    expect(await headAs(farm, byHttp.secret)).toBe(404);
    const who = { agentId: `den-${i}`, name: 'den', natsPublicKey: `U${'A'.repeat(55)}` };
    const { key } = await leader.call(leader.agents.joinAgent.bind(leader.agents), who);
    // It may do nothing there, but it is not told for good that nobody knows it.
    expect(await refusalOf(statusAs(farm, key))).toMatchObject({ reason: 'ROLE_TOO_LOW' });
  }
  for (const kind of ['token', 'agent-key'] as const) {
    const guess = formatSecret(kind, 'den-0', newSecret());
    expect(await refusalOf(statusAs(farm, guess))).toMatchObject({ code: status.UNAUTHENTICATED });
    expect(await headAs(farm, guess)).toBe(401);
  }
  leader.close();
});

// Versions differ in how they answer an append that was in doubt.
test.each(NATS_VERSIONS)(
  'three servers, nats %s: one dies, the leader leads on',
  async (version) => {
    const { farm, cluster } = await startClusterFarm(version);
    const nats = await cluster.connect('witness');
    const manager = await nats.jetstreamManager();
    const info = await manager.streams.info(JOURNAL_STREAM);
    // The worst one: it leads the journal's stream.
    const victim = found(info.cluster?.leader, 'leader of the stream');
    await farm.addAgents(AGENTS);
    const load = new Load(farm);
    await load.untilAcknowledged(5);
    await cluster.killNode(victim);
    await load.untilAcknowledged(5);
    await load.expectAllSucceed();
    // It was the first all along: with the stream's leader gone for seconds nobody had to take its place.
    const status = await statusOf(clientOf(farm, 0));
    expect(status).toMatchObject({ epoch: 1, standby: false });
    expect(await statusOf(clientOf(farm, 1))).toMatchObject({ standby: true });
  },
);

async function statusAs(farm: TestFarm, token: string): Promise<GetStatusResponse> {
  const standby = new GrpcCaller(farm.addresses[1]!, token, farm.trust);
  try {
    return await standby.call(standby.farm.getStatus.bind(standby.farm), {});
  } finally {
    standby.close();
  }
}

/** Of a blob that is not there. */
async function headAs(farm: TestFarm, token: string): Promise<number | undefined> {
  const target = { url: farm.httpUrls[1]!, token, trust: farm.trust };
  const path = `/blobs/${'a'.repeat(64)}`;
  const response = await sendRequest(target, { method: 'HEAD', path });
  response.resume();
  return response.statusCode;
}

/** What a standby says of itself to a load balancer. */
const HEALTH = {
  '': 'SERVING',
  'furrow.v1.FarmService': 'SERVING',
  'furrow.v1.JobService': 'NOT_SERVING',
  'furrow.v1.AgentService': 'NOT_SERVING',
  'furrow.v1.BlobService': 'NOT_SERVING',
};

async function startClusterFarm(
  version: NatsVersion,
): Promise<{ farm: TestFarm; cluster: TestNatsCluster }> {
  const cluster = await startTestCluster(version);
  const farm = await startFarm({
    nats: cluster,
    replicas: 3,
    hasStandby: true,
    takeoverGraceMs: 20_000,
  });
  return { farm, cluster };
}

function authorization(farm: TestFarm): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${farm.nats.token}`);
  return metadata;
}
