/** Disks that are full: the coordinator refuses clearly, and an agent's unit moves to another agent. */
import { status } from '@grpc/grpc-js';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { EXIT } from '../../cli/exit-codes.ts';
import { checkSource } from '../../cli/local-files.ts';
import { uploadFile } from '../../cli/blobs.ts';
import { AttemptOutcome, JobState } from '../../proto/gen/furrow/v1/job_service.ts';
import { startFarm, until } from '../support/farm.ts';
import { commandStep, listUnits, submitSteps, untilEnded } from '../support/farm-jobs.ts';
import { GrpcCaller, refusalOf } from '../support/grpc-calls.ts';
import { startUpFarm, type UpFarm } from '../support/up-farm.ts';

describe('the coordinator’s disk', () => {
  let farm: UpFarm;
  let grpc: GrpcCaller;

  beforeAll(async () => {
    // No disk has so much free: as if what is there were full.
    const environment = { FURROW_MIN_FREE_BYTES: String(2 ** 52) };
    farm = await startUpFarm({ agents: 0, environment });
    grpc = new GrpcCaller(farm.grpc, farm.token, farm.trust);
  });
  afterAll(async () => {
    grpc.close();
    await farm.close();
  });

  test('the CLI says how much is free and what to do', async () => {
    writeFileSync(join(farm.home, 'clip.mp4'), Buffer.alloc(5000));
    const run = await farm.cli(['--json', 'submit', 'clip.mp4'], { cwd: farm.home });
    expect(run.exitCode).toBe(EXIT.refused);
    expect(JSON.parse(run.stdout)).toMatchObject({ error: { reason: 'DISK_FULL' } });
    expect(run.stderr).toMatch(
      /^furrow: the coordinator's disk has \d+\.\d GiB free and keeps [\d.]+ GiB .*; this upload needs 5000 bytes: .+\n$/,
    );
  });

  test('a service gets RESOURCE_EXHAUSTED, and nothing stays of its upload', async () => {
    const upload = new Promise((resolve, reject) => {
      const call = grpc.blobs.uploadBlob(grpc.metadata, (error, response) =>
        error === null ? resolve(response) : reject(error),
      );
      const header = { sha256: 'a'.repeat(64), sizeBytes: 5 };
      call.write({ part: { $case: 'header', value: header } });
      call.end();
    });
    expect(await refusalOf(upload)).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      reason: 'DISK_FULL',
    });
    for (const place of ['incoming', 'uploads']) {
      expect(readdirSync(join(farm.home, 'coordinator', place))).toEqual([]);
    }
  });

  test('furrow status warns', async () => {
    const run = await farm.cli(['status']);
    expect(run.stdout).toMatch(/disk/);
  });
});

/** A disk of 16 MiB, for as long as the test runs; undefined where that takes more rights. */
function mountSmallDisk(path: string): boolean {
  try {
    mkdirSync(path);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'furrow-test', path], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}

test('an agent’s disk: its units end as infrastructure and move to the other agent', async (context) => {
  const farm = await startFarm({ mediaTools: 'ffmpeg' });
  const small = join(farm.workDir, 'small');
  if (!mountSmallDisk(small)) return context.skip();
  onTestFinished(() => void execFileSync('umount', ['--lazy', small]));
  await farm.addAgents({
    small: ['--state', small, '--cpus', '1'],
    large: ['--cpus', '1'],
  });
  const path = join(farm.workDir, 'input.bin');
  writeFileSync(path, Buffer.alloc(20 * 2 ** 20, 1));
  const { sizeBytes, name } = await checkSource(path);
  const blob = await uploadFile(await farm.blobTarget(), path, sizeBytes, {
    memoryDir: join(farm.workDir, 'uploads'),
  });
  const jobId = await submitSteps(
    farm,
    commandStep('work', ['true'], {
      parameters: { kind: { $case: 'count', value: 4 } },
      inputs: [{ kind: { $case: 'file', value: { name, ...blob } } }],
    }),
  );
  const job = await untilEnded(farm, jobId, 60_000);
  expect(job).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED });
  const units = await listUnits(farm, jobId);
  expect(new Set(units.map(({ agentName }) => agentName))).toEqual(new Set(['large']));
  const grpc = new GrpcCaller(`127.0.0.1:${farm.grpcPort}`, farm.nats.token, farm.trust);
  const history = await grpc.all(grpc.jobs.watchJob.bind(grpc.jobs), {
    jobId,
    cursor: '0',
    withoutAttempts: false,
  });
  grpc.close();
  const ended = history
    .flatMap(({ event }) => (event?.$case === 'attempts' ? event.value.events : []))
    .filter(({ outcome }) => outcome === AttemptOutcome.ATTEMPT_OUTCOME_ENDED);
  expect(ended.length).toBeGreaterThan(0);
  for (const attempt of ended) {
    expect(attempt).toMatchObject({
      agentName: 'small',
      failureKind: 'infrastructure',
      message: expect.stringMatching(/^the agent's disk is full: /) as string,
    });
  }
  // What did not fit was not left there either; the outbox's log takes its 1 MiB beforehand.
  expect(Number(execFileSync('du', ['-sk', small]).toString().split('\t')[0])).toBeLessThan(2_000);
  await until('its files are gone', () => farm.attemptDirs('large').length === 0);
});

test('a disk that fills while a unit runs: the unit moves, and nothing half-made stays', async (context) => {
  const farm = await startFarm({ mediaTools: 'ffmpeg' });
  const small = join(farm.workDir, 'small');
  if (!mountSmallDisk(small)) return context.skip();
  onTestFinished(() => void execFileSync('umount', ['--lazy', small]));
  await farm.addAgents({ small: ['--state', small, '--cpus', '1'] });
  // 40 MB, more than the small disk has.
  const script = 'head -c 40000000 /dev/zero > big && wc -c < big > size';
  const jobId = await submitSteps(
    farm,
    commandStep('work', ['sh', '-c', script], {
      outputs: [{ pattern: 'size', keep: true, optional: false }],
    }),
  );
  await until('it failed there', async () => (await listUnits(farm, jobId))[0]!.failureKind !== '');
  const [unit] = await listUnits(farm, jobId);
  expect(unit).toMatchObject({
    failureKind: 'infrastructure',
    failureMessage: expect.stringMatching(
      /^the agent's disk is full: .*No space left on device/,
    ) as string,
  });
  await farm.addAgents({ large: ['--cpus', '1'] });
  expect(await untilEnded(farm, jobId, 90_000)).toMatchObject({
    state: JobState.JOB_STATE_SUCCEEDED,
  });
  expect((await listUnits(farm, jobId))[0]?.agentName).toBe('large');
  expect(Number(execFileSync('du', ['-sk', small]).toString().split('\t')[0])).toBeLessThan(2_000);
});
