/** Two coordinators on one journal: the second follows, and leads within seconds when the first is gone. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Metadata } from '@grpc/grpc-js';
import { FarmClient } from '../../cli/client.ts';
import type { GetStatusResponse } from '../../proto/gen/furrow/v1/farm_service.ts';
import { JOURNAL_STREAM } from '../../proto/subjects.ts';
import { found, startFarm, type TestFarm, until } from '../support/farm.ts';
import {
  commandStep,
  expectSuccess,
  Gate,
  stepsRequest,
  submit,
  submitSteps,
} from '../support/farm-jobs.ts';
import { readJournal } from '../support/journal-record.ts';
import { startTestCluster, type TestNatsCluster } from '../support/nats-cluster.ts';
import { watchProcess, type Watched } from '../support/processes.ts';
import { linesOf, watch } from '../support/watcher.ts';

/** What is promised. */
const TAKEOVER_MS = 10_000;
const EXIT_DEPOSED = 7;
const AGENTS = { one: ['--cpus', '2'], two: ['--cpus', '2'] };

test('a standby shows what the leader knows, and sends writers to it', async () => {
  const farm = await startFarm({ hasStandby: true, agents: { one: ['--cpus', '1'] } });
  const standby = clientOf(farm, 1);
  const jobId = await submitSteps(farm, commandStep('quick', ['true']));
  await expectSuccess(farm, jobId);

  const { job } = await standby.call(standby.jobs.getJob.bind(standby.jobs), { jobId });
  expect(job).toMatchObject({ id: jobId });
  const status = await standby.call(standby.farm.getStatus.bind(standby.farm), {});
  expect(status).toMatchObject({ standby: true, leader: farm.addresses[0] });
  expect(status.blobUrl).toBe((await farm.blobTarget()).url);
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
  // A client that knows only the standby gets there all the same.
  const written = await standby.call(
    jobs.submitJob.bind(jobs),
    stepsRequest('by-standby', [commandStep('quick', ['true'])]),
  );
  expect(standby.address).toBe(farm.addresses[0]);
  await expectSuccess(farm, found(written.job, 'job').id);
});

test('kill -9 of the leader under load: the standby leads, and nothing is lost or run twice', async () => {
  const farm = await startFarm({ hasStandby: true });
  await expectTakeover(farm, () => farm.coordinator.kill());

  // The first comes back, and stands by.
  farm.coordinator.start();
  const first = clientOf(farm, 0);
  await until('the first stands by', async () => {
    const status = await statusOf(first).catch(() => undefined);
    return status?.standby === true && status.leader === farm.addresses[1];
  });
});

test('a leader that slept finds out that another leads, commits nothing and exits', async () => {
  const farm = await startFarm({ hasStandby: true });
  await expectTakeover(farm, async () => farm.coordinator.signal('SIGSTOP'));
  const journal = await readJournal(farm);
  farm.coordinator.signal('SIGCONT');
  expect(await farm.coordinator.exited).toBe(EXIT_DEPOSED);
  const later = await readJournal(farm);
  expect(later.farm.epoch).toBe(journal.farm.epoch);
  expect((await statusOf(farm.client)).standby).toBe(false);
});

test('on a cluster of three: kill -9 of the leader', async () => {
  const { farm } = await startClusterFarm();
  await expectTakeover(farm, () => farm.coordinator.kill());
});

test('on a cluster of three: one server dies, and the farm goes on with the same leader', async () => {
  const { farm, cluster } = await startClusterFarm();
  const nats = await cluster.connect('witness');
  const manager = await nats.jetstreamManager();
  const info = await manager.streams.info(JOURNAL_STREAM);
  // The worst one: it leads the journal's stream.
  const victim = found(info.cluster?.leader, 'leader of the stream');
  await farm.addAgents(AGENTS);
  const load = new Load(farm);
  await load.untilAcknowledged(5);
  await cluster.killNode(victim);
  const killedAtMs = performance.now();
  await load.untilAcknowledged(5);
  expect(performance.now() - killedAtMs).toBeLessThan(TAKEOVER_MS);
  await load.expectAllSucceed();
  const status = await statusOf(farm.client);
  expect(status.epoch).toBe(1);
});

async function startClusterFarm(): Promise<{ farm: TestFarm; cluster: TestNatsCluster }> {
  const cluster = await startTestCluster();
  const farm = await startFarm({
    nats: cluster,
    replicas: 3,
    hasStandby: true,
  });
  return { farm, cluster };
}

/** `end` takes the leader away, under load and with units that run. */
async function expectTakeover(farm: TestFarm, end: () => Promise<void>): Promise<void> {
  const gate = new Gate(farm, 'gate');
  const gated = await submitSteps(
    farm,
    gate.step('gated', { parameters: { kind: { $case: 'count', value: 2 } } }),
  );
  const watcher = watch(farm, gated);
  await farm.addAgents(AGENTS);
  const units = await until('the gated units run', () => {
    const files = [0, 1].map((index) => gate.pidFile(index));
    return files.every((file) => existsSync(file)) && files.map(runOf);
  });
  const load = new Load(farm);
  await load.untilAcknowledged(5);
  await end();
  const endedAtMs = performance.now();
  await load.untilAcknowledged(1);
  expect(performance.now() - endedAtMs).toBeLessThan(TAKEOVER_MS);
  await farm.agentsOnline();
  await load.expectAllSucceed();

  expect(units.every((unit) => unit.runs())).toBe(true);
  gate.open(0, 1);
  await expectSuccess(farm, gated);
  await watcher.ended;
  const journal = await readJournal(farm);
  expect(journal.farm.epoch).toBe(2);
  expect(journal.granted(gated)).toHaveLength(2);
  expect(journal.ended(gated), 'no lease was given up').toEqual([]);
  expect([...watcher.told]).toEqual(linesOf(journal, gated));
}

/** Small jobs, one after another, by a client that knows both coordinators. */
class Load {
  readonly #farm: TestFarm;
  readonly #acknowledged: string[] = [];
  readonly #running: Promise<void>;
  #isOver = false;

  constructor(farm: TestFarm) {
    this.#farm = farm;
    this.#running = this.#run();
  }

  /** So many more than now. */
  async untilAcknowledged(more: number): Promise<void> {
    const wanted = this.#acknowledged.length + more;
    await until(`${more} more jobs are acknowledged`, () => this.#acknowledged.length >= wanted);
  }

  async expectAllSucceed(): Promise<void> {
    this.#isOver = true;
    await this.#running;
    for (const jobId of this.#acknowledged) await expectSuccess(this.#farm, jobId);
  }

  async #run(): Promise<void> {
    for (let number = 0; !this.#isOver; number += 1) {
      const request = stepsRequest(`load-${number}`, [commandStep('quick', ['true'])]);
      const { job } = await until(`job ${number} is acknowledged`, () =>
        submit(this.#farm, request).catch(() => undefined),
      );
      this.#acknowledged.push(found(job, 'job').id);
    }
  }
}

function runOf(pidFile: string): Watched {
  const pids = readFileSync(pidFile, 'utf8').trim().split('\n');
  expect(pids, 'it was started once').toHaveLength(1);
  return watchProcess(Number(pids[0]));
}

function clientOf(farm: TestFarm, index: number): FarmClient {
  const address = found(farm.addresses[index], 'address');
  return new FarmClient({ address, token: farm.nats.token }, new AbortController().signal);
}

function statusOf(client: FarmClient): Promise<GetStatusResponse> {
  return client.call(client.farm.getStatus.bind(client.farm), {});
}

function authorization(farm: TestFarm): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${farm.nats.token}`);
  return metadata;
}
