/** Jobs for tests on a real farm: commands that a test steers by files, and films. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { downloadFile, uploadFile } from '../../cli/blobs.ts';
import { checkSource } from '../../cli/local-files.ts';
import {
  JobState,
  type Job,
  type SubmitJobRequest,
  type SubmitJobResponse,
  type TranscodeRequest,
  type Unit,
} from '../../proto/gen/furrow/v1/job_service.ts';
import type { Step } from '../../proto/gen/furrow/v1/step.ts';
import { found, type TestFarm, until } from './farm.ts';
import { frameNumbers } from './clips.ts';
import { watchProcess, type Watched } from './processes.ts';

/** One unit of one CPU that runs a program. */
export function commandStep(name: string, argv: readonly string[], more: Partial<Step> = {}): Step {
  return {
    name,
    dependsOn: [],
    parameters: undefined,
    task: { kind: { $case: 'command', value: { argv, environment: {} } } },
    inputs: [],
    outputs: [],
    demand: { ...NO_DEMAND, cpuMillis: 1000 },
    limits: undefined,
    ...more,
  };
}

export const NO_DEMAND = {
  cpuMillis: 0,
  ramBytes: 0,
  gpus: 0,
  vramBytes: 0,
  scratchBytes: 0,
  encoderSessions: 0,
  attributes: [],
  tickets: {},
} as const;

/** Steps that wait for a file each, so that a test says when a unit ends. */
export class Gate {
  readonly #directory: string;

  constructor(farm: TestFarm, name: string) {
    this.#directory = join(farm.workDir, name);
    mkdirSync(this.#directory);
  }

  /** A unit that writes its pid, then waits until its index is opened. */
  step(name: string, more: Partial<Step> = {}): Step {
    return commandStep(name, ['sh', '-c', this.script('{index}')], more);
  }

  script(index: string): string {
    const dir = this.#directory;
    return `echo $$ >> ${dir}/pid-${index}; while [ ! -e ${dir}/open-${index} ]; do sleep 0.05; done`;
  }

  /** Of all that began with this index: pids, in order. A line that is still being written is none yet. */
  #pids(index: number): readonly number[] {
    const path = this.#pidFile(index);
    if (!existsSync(path)) return [];
    return readFileSync(path, 'utf8').split('\n').slice(0, -1).map(Number);
  }

  #pidFile(index: number): string {
    return join(this.#directory, `pid-${index}`);
  }

  hasBegun(index: number): boolean {
    return this.#pids(index).length > 0;
  }

  /** Of the unit, which has begun, and once. */
  process(index: number): Watched {
    const [pid, ...more] = this.#pids(index);
    if (more.length > 0) throw new Error(`unit ${index} was started ${more.length + 1} times`);
    return watchProcess(found(pid, `unit ${index} that has begun`));
  }

  /** As if no unit with this index had begun yet. */
  forget(index: number): void {
    rmSync(this.#pidFile(index));
  }

  open(...indexes: readonly number[]): void {
    for (const index of indexes) writeFileSync(join(this.#directory, `open-${index}`), '');
  }
}

export function stepsRequest(clientId: string, steps: readonly Step[]): SubmitJobRequest {
  return {
    clientId,
    name: clientId,
    priority: 0,
    work: { $case: 'steps', value: { steps } },
  };
}

export function submit(farm: TestFarm, request: SubmitJobRequest): Promise<SubmitJobResponse> {
  const { client } = farm;
  return client.call(client.jobs.submitJob.bind(client.jobs), request);
}

/** The new job's id. */
export async function submitSteps(farm: TestFarm, ...steps: readonly Step[]): Promise<string> {
  const { job } = await submit(farm, stepsRequest(`test-${performance.now()}`, steps));
  return found(job, 'job').id;
}

/** Encoding at a few frames a second, so that there is a middle to kill it in. */
export async function submitFilm(
  farm: TestFarm,
  clip: string,
  more: Partial<TranscodeRequest> = {},
): Promise<string> {
  const { sizeBytes, name } = await checkSource(clip);
  const memoryDir = join(farm.workDir, 'uploads');
  const blob = await uploadFile(await farm.blobTarget(), clip, sizeBytes, { memoryDir });
  const value: TranscodeRequest = {
    source: { name, ...blob },
    video: {
      encoder: 'libx264',
      crf: 0,
      preset: 'slower',
      width: 960,
      height: 540,
      threads: 0,
    },
    audio: undefined,
    film: 'film.mp4',
    pieceMs: 1000,
    ...more,
  };
  const { job } = await submit(farm, {
    clientId: `film-${performance.now()}`,
    name,
    priority: 0,
    work: { $case: 'transcode', value },
  });
  return found(job, 'job').id;
}

export async function getJob(farm: TestFarm, jobId: string): Promise<Job> {
  const { client } = farm;
  const { job } = await client.call(client.jobs.getJob.bind(client.jobs), { jobId });
  return found(job, jobId);
}

/** The job at its end; a farm that is away meanwhile is waited for. */
export function untilEnded(farm: TestFarm, jobId: string, patienceMs?: number): Promise<Job> {
  const look = async (): Promise<Job | false> => {
    const job = await getJob(farm, jobId).catch(() => undefined);
    return job !== undefined && job.endedAtMs > 0 && job;
  };
  return until(`the end of ${jobId}`, look, patienceMs);
}

export async function expectSuccess(
  farm: TestFarm,
  jobId: string,
  patienceMs?: number,
): Promise<Job> {
  const job = await untilEnded(farm, jobId, patienceMs);
  expect(job).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, reason: '' });
  return job;
}

export async function listUnits(
  farm: TestFarm,
  jobId: string,
  step = '',
): Promise<readonly Unit[]> {
  const { client } = farm;
  const request = { jobId, step, states: [], pageSize: 0, pageToken: '' };
  return (await client.call(client.jobs.listUnits.bind(client.jobs), request)).units;
}

/** Downloads the job's film and reads back what every frame of it shows. */
export async function expectExactFilm(farm: TestFarm, job: Job, frames: number): Promise<void> {
  const film = found(
    job.outputs.find(({ name }) => name.startsWith('film.')),
    'film',
  );
  const path = join(farm.workDir, `${job.id}-${film.name}`);
  await downloadFile(await farm.blobTarget(), film, path, { replace: false });
  expect(await frameNumbers(path)).toEqual(Array.from({ length: frames }, (_, index) => index));
}
