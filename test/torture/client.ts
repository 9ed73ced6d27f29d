/**
 * A client of the tortured farm, a process of its own: submits jobs and repeats each call until it is
 * answered, under the same client id; cancels some, watches all, and writes down what it was told. Ends
 * when its standard input did and all its jobs have come to their end.
 */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { blobTarget, uploadFile } from '../../cli/blobs.ts';
import { FarmClient } from '../../cli/client.ts';
import { PLAINTEXT } from '../../kit/trust.ts';
import { checkSource } from '../../cli/local-files.ts';
import { watchJob } from '../../cli/watch-job.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import {
  AttemptOutcome,
  JobState,
  type Job,
  type SubmitJobResponse,
} from '../../proto/gen/furrow/v1/job_service.ts';
import type { File } from '../../proto/gen/furrow/v1/step.ts';
import { Prng } from '../sim/prng.ts';
import type { ClientNote } from './evidence.ts';
import { planFilm, planJob, planSlowJob, type PlannedJob } from './workload.ts';

const settingsSchema = z.object({
  name: z.string(),
  farm: z.string(),
  token: z.string(),
  seed: z.number(),
  /** This client's own record. */
  notes: z.string(),
  /** What units append to. */
  ledger: z.string(),
  /** Paths of films to submit; empty for a client without films. */
  films: z.array(z.string()),
  workDir: z.string(),
});

export type ClientSettings = z.infer<typeof settingsSchema>;

/** Jobs at once. */
const MOST_OPEN = 6;
const RETRY_MS = 300;

class Client {
  readonly #settings: ClientSettings;
  readonly #prng: Prng;
  readonly #farm: FarmClient;
  readonly #signal = new AbortController().signal;
  readonly #open = new Set<Promise<void>>();
  #isOver = false;
  #submitted = 0;
  #films = 0;

  constructor(settings: ClientSettings) {
    this.#settings = settings;
    this.#prng = new Prng(settings.seed);
    setMaxListeners(0, this.#signal);
    const { farm: address, token } = settings;
    this.#farm = new FarmClient({ address, trust: PLAINTEXT, token }, this.#signal);
  }

  async run(): Promise<void> {
    process.stdin.once('end', () => (this.#isOver = true)).resume();
    while (!this.#isOver) {
      if (this.#open.size >= MOST_OPEN) {
        await Promise.race(this.#open);
        continue;
      }
      const job = this.#next();
      const following = job.then(() => void this.#open.delete(following));
      this.#open.add(following);
      await sleep(this.#prng.between(20, 400));
    }
    await Promise.all(this.#open);
    this.#farm.close();
  }

  async #next(): Promise<void> {
    this.#submitted += 1;
    const clientId = `${this.#settings.name}-${this.#submitted}`;
    const { films, ledger } = this.#settings;
    // One film at a time: they are what takes long.
    const isFilm = films.length > 0 && this.#films === 0;
    if (isFilm) {
      this.#films += 1;
      await this.#see(planFilm(clientId, await this.#uploaded(this.#prng.pick(films))), false);
      this.#films -= 1;
      return;
    }
    const isCancelled = this.#prng.chance(0.15);
    const job = isCancelled
      ? planSlowJob(clientId, ledger, this.#prng)
      : planJob(clientId, ledger, this.#prng);
    await this.#see(job, isCancelled);
  }

  /** From the first try to submit it to its end. */
  async #see({ plan, request }: PlannedJob, isCancelled: boolean): Promise<void> {
    const { clientId } = request;
    this.#note({ note: 'asks', clientId, plan, atMs: Date.now() });
    const steerAfterMs = this.#prng.between(500, 4_000);
    const submitsAgain = this.#prng.chance(0.2);
    const isPaused = this.#prng.chance(0.1);
    const submit = async (): Promise<string> => {
      const { jobs } = this.#farm;
      const answer = await this.#untilAnswered<SubmitJobResponse>(`submit ${clientId}`, () =>
        this.#farm.call(jobs.submitJob.bind(jobs), request),
      );
      const jobId = answer.job?.id ?? '';
      this.#note({ note: 'acknowledged', clientId, jobId, atMs: Date.now() });
      return jobId;
    };
    const jobId = await submit();
    const steering = isCancelled
      ? sleep(steerAfterMs).then(() => this.#cancel(jobId))
      : isPaused
        ? this.#pause(jobId, steerAfterMs)
        : undefined;
    await this.#follow(jobId);
    await steering;
    if (submitsAgain) await submit();
  }

  /**
   * For a while; one that has ended meanwhile is left alone. A pause that was given up for lost may
   * arrive after the resumption: as long as the job is there, it is resumed again.
   */
  async #pause(jobId: string, forMs: number): Promise<void> {
    const { jobs } = this.#farm;
    await this.#untilAnswered(`pause ${jobId}`, () =>
      unlessEnded(this.#farm.call(jobs.pauseJob.bind(jobs), { jobId })),
    );
    for (;;) {
      await sleep(forMs);
      const resumed = await this.#untilAnswered(`resume ${jobId}`, () =>
        unlessEnded(this.#farm.call(jobs.resumeJob.bind(jobs), { jobId })),
      );
      if (resumed?.job === undefined) return;
    }
  }

  async #cancel(jobId: string): Promise<void> {
    const { jobs } = this.#farm;
    const request = { jobId, reason: 'torture' };
    const answer = await this.#untilAnswered(`cancel ${jobId}`, () =>
      unlessEnded(this.#farm.call(jobs.cancelJob.bind(jobs), request)),
    );
    if (answer?.job?.state === JobState.JOB_STATE_CANCELLED) {
      this.#note({ note: 'cancelled', jobId, atMs: Date.now() });
    } else if (answer !== undefined) {
      this.#wrong(
        `${jobId} was to be cancelled, and the answer shows it as ${stateOf(answer.job)}`,
      );
    }
  }

  /** To its end; a job that failed is tried again, as a person would who saw agents die. */
  async #follow(jobId: string): Promise<void> {
    for (;;) {
      const job = await this.#watched(jobId);
      this.#note({ note: 'ended', jobId, state: stateOf(job), atMs: Date.now() });
      if (job.state !== JobState.JOB_STATE_FAILED) return;
      const { jobs } = this.#farm;
      const retry = (): Promise<unknown> =>
        this.#farm.call(jobs.retryJob.bind(jobs), { jobId }).catch((error: unknown) => {
          // An earlier try came through, and its answer did not.
          if (error instanceof FurrowError && error.reason === 'JOB_NOT_FAILED') return undefined;
          throw error;
        });
      await this.#untilAnswered(`retry ${jobId}`, retry);
      this.#note({ note: 'retried', jobId, atMs: Date.now() });
    }
  }

  async #watched(jobId: string): Promise<Job> {
    return this.#untilAnswered(`watch ${jobId}`, async () => {
      const events = watchJob(this.#farm, jobId, { signal: this.#signal, waitMs: undefined });
      for (;;) {
        const step = await events.next();
        if (step.done) return step.value;
        const event = step.value.kind === 'message' ? step.value.message.event : undefined;
        if (event?.$case !== 'attempts') continue;
        const accepted = event.value.events.filter(
          ({ outcome }) => outcome === AttemptOutcome.ATTEMPT_OUTCOME_ACCEPTED,
        );
        if (accepted.length === 0) continue;
        this.#note({ note: 'accepted', units: accepted.map(({ unitId }) => unitId) });
      }
    });
  }

  async #uploaded(path: string): Promise<File> {
    const { name, sizeBytes } = await checkSource(path);
    const memoryDir = join(this.#settings.workDir, 'uploads');
    const blob = await this.#untilAnswered(`upload ${name}`, async () =>
      uploadFile(await blobTarget(this.#farm), path, sizeBytes, { memoryDir }),
    );
    return { name, ...blob };
  }

  /** Tries for ever: whoever must never lose a job does. */
  async #untilAnswered<T>(what: string, call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof FurrowError && error.retryable)) {
          this.#wrong(`${what}: ${messageOf(error)}`);
        }
        await sleep(RETRY_MS);
      }
    }
  }

  #wrong(message: string): void {
    this.#note({ note: 'wrong', message: `${this.#settings.name}: ${message}`, atMs: Date.now() });
  }

  #note(note: ClientNote): void {
    appendFileSync(this.#settings.notes, `${JSON.stringify(note)}\n`);
  }
}

/** Undefined when it came too late, and the farm says so. */
function unlessEnded<T>(call: Promise<T>): Promise<T | undefined> {
  return call.catch((error: unknown) => {
    if (error instanceof FurrowError && error.reason === 'JOB_ENDED') return undefined;
    throw error;
  });
}

function stateOf(job: Job | undefined): string {
  return JobState[job?.state ?? 0]?.replace('JOB_STATE_', '').toLowerCase() ?? 'unknown';
}

await new Client(settingsSchema.parse(JSON.parse(process.argv[2] ?? '{}'))).run();
