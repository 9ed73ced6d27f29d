/** A farm of 0.1.0 is started by this version: its store, its coordinator's folder, its agent's. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiscardPolicy, RetentionPolicy, StorageType, type NatsConnection } from 'nats';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Agent } from '../../../agent/agent.ts';
import { readAgentConfig } from '../../../agent/config.ts';
import { readCoordinatorConfig } from '../../../coordinator/config.ts';
import { startCoordinator } from '../../../coordinator/coordinator.ts';
import { createLog } from '../../../kit/log.ts';
import { VERSION } from '../../../kit/version.ts';
import { type Job, JobState } from '../../../proto/gen/furrow/v1/job_service.ts';
import {
  JOURNAL_STREAM,
  JOURNAL_SUBJECT,
  SNAPSHOT_STREAM,
  SNAPSHOT_SUBJECTS,
} from '../../../proto/subjects.ts';
import { GrpcCaller } from '../../support/grpc-calls.ts';
import { startTestNats, type TestNats } from '../../support/nats-server.ts';
import { OLD_FARM, oldJournal, writeOldAgent } from '../../support/old-farm.ts';

const log = createLog({ role: 'test', level: 'silent' });

/** Fills the streams as they were, message for message. */
async function fillStore(nats: NatsConnection): Promise<void> {
  const manager = await nats.jetstreamManager();
  for (const [name, subject] of [
    [JOURNAL_STREAM, JOURNAL_SUBJECT],
    [SNAPSHOT_STREAM, SNAPSHOT_SUBJECTS],
  ] as const) {
    await manager.streams.add({
      name,
      subjects: [subject],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      deny_delete: name === JOURNAL_STREAM,
    });
  }
  const stream = nats.jetstream();
  for (const message of oldJournal()) await stream.publish(JOURNAL_SUBJECT, message);
  for (const { subject, data } of OLD_FARM.snapshots) {
    await stream.publish(subject, Buffer.from(data, 'base64'));
  }
}

async function startOld(server: TestNats, home: string) {
  await mkdir(join(home, 'coordinator'), { recursive: true });
  await writeFile(join(home, 'token'), server.token, { mode: 0o600 });
  await writeFile(join(home, 'farm.json'), JSON.stringify(OLD_FARM.farmFile));
  await writeFile(join(home, 'coordinator', 'identity.json'), JSON.stringify(OLD_FARM.identity));
  writeOldAgent(join(home, 'agents', 'box'));
  const ports = ['--grpc-port', '0', '--http-port', '0', '--takeover-grace-ms', '60000'];
  const argv = ['--home', home, '--nats', server.url, '--plaintext', ...ports];
  return startCoordinator(readCoordinatorConfig(argv, {}), log);
}

test('jobs, leases and an unreported result are where they were, and the farm goes on', async () => {
  const home = await mkdtemp(join(tmpdir(), 'furrow-old-farm-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const server = await startTestNats();
  onTestFinished(() => server.close());
  await fillStore(await server.connect('filler'));
  const coordinator = await startOld(server, home);
  onTestFinished(() => coordinator.close());
  const grpc = new GrpcCaller(coordinator.grpcAddress, server.token);
  onTestFinished(() => grpc.close());

  const { farmId, epoch } = await grpc.call(grpc.farm.getStatus.bind(grpc.farm), {});
  expect({ farmId, epoch }).toEqual({ farmId: OLD_FARM.identity.farmId, epoch: 2 });
  const job = async (jobId: string): Promise<Job> =>
    (await grpc.call(grpc.jobs.getJob.bind(grpc.jobs), { jobId })).job!;
  const states = await Promise.all(['j1', 'j2', 'j3', 'j4', 'j5', 'j6', 'j7'].map(job));
  expect(states.map(({ name, state }) => [name, state])).toEqual([
    ['echo', JobState.JOB_STATE_SUCCEEDED],
    ['fan', JobState.JOB_STATE_SUCCEEDED],
    ['false', JobState.JOB_STATE_FAILED],
    ['gone', JobState.JOB_STATE_CANCELLED],
    ['later', JobState.JOB_STATE_PAUSED],
    ['long', JobState.JOB_STATE_RUNNING],
    ['short', JobState.JOB_STATE_RUNNING],
  ]);
  expect(states[1]?.outputs.map(({ name }) => name).toSorted()).toEqual(['out-0.txt', 'out-1.txt']);
  // It would run for ten minutes.
  await grpc.call(grpc.jobs.cancelJob.bind(grpc.jobs), { jobId: 'j6', reason: '' });

  const at = ['--home', home, '--name', 'box', '--farm', coordinator.grpcAddress, '--plaintext'];
  const config = await readAgentConfig(
    [...at, '--allow-commands', 'all', '--log-level', 'silent'],
    {},
  );
  const agent = new Agent(config, log);
  const done = agent.run();
  onTestFinished(async () => {
    agent.leave();
    await done;
  });
  // What 0.1.0 could tell nobody is told now.
  await vi.waitFor(async () => expect((await job('j7')).state).toBe(JobState.JOB_STATE_SUCCEEDED), {
    timeout: 20_000,
    interval: 50,
  });
  expect((await job('j7')).steps).toMatchObject([{ accepted: 1, lostAttempts: 0 }]);
  const { agents } = await grpc.call(grpc.farm.listAgents.bind(grpc.farm), {});
  expect(agents).toMatchObject([{ id: OLD_FARM.agent.id, name: 'box', version: VERSION }]);

  await grpc.call(grpc.jobs.resumeJob.bind(grpc.jobs), { jobId: 'j5' });
  await vi.waitFor(async () => expect((await job('j5')).state).toBe(JobState.JOB_STATE_SUCCEEDED), {
    timeout: 30_000,
    interval: 50,
  });
});
