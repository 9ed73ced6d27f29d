/**
 * Thousands of agents that do next to nothing: what their heartbeats cost the coordinator, how long a unit
 * that is submitted meanwhile takes to reach one of them, and how long they take to come: a new farm's, and
 * all at once after their coordinator was killed. Simulated, with a real connection and stream each.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { FurrowError } from '../../kit/furrow-error.ts';
import { BenchFarm, noopStep, type BenchOptions } from './bench-farm.ts';
import { Crowd, type Submit } from './crowd.ts';
import { atMost, percentile, plain, type Figure } from './figure.ts';
import { cpuSeconds, residentBytes } from './processes.ts';

const SUBMITS_PER_S = 20;
/** Not counted: everybody has beaten twice, and the code is compiled. */
const SETTLE_MS = 10_000;
const WINDOW_MS = 30_000;
const REACH_CORES = 1;
const REACH_P99_MS = 50;
const MIB = 1024 * 1024;

export async function measureAgents(
  options: BenchOptions,
  counts: readonly number[],
): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const count of counts) figures.push(...(await measureCount(options, count)));
  return figures;
}

async function measureCount(options: BenchOptions, count: number): Promise<Figure[]> {
  // The crowd's own client is as bare as can be, and speaks no TLS.
  const farm = await BenchFarm.start(options, ['--plaintext']);
  const crowd = new Crowd(farm, count);
  try {
    const enrolledMs = await crowd.arrivalMs();
    const backMs = await comeBackMs(farm, crowd);
    const trickle = new Trickle(farm);
    await sleep(SETTLE_MS);
    const { coordinatorPid } = farm;
    const cpuBefore = cpuSeconds(coordinatorPid);
    const startMs = performance.now();
    const from = trickle.submitted;
    const beatsBefore = crowd.beatsAnswered;
    await sleep(WINDOW_MS);
    const windowS = (performance.now() - startMs) / 1000;
    const cores = (cpuSeconds(coordinatorPid) - cpuBefore) / windowS;
    const beatsPerS = (crowd.beatsAnswered - beatsBefore) / windowS;
    const jobs = trickle.stop().slice(from);
    const rss = residentBytes(coordinatorPid) / MIB;
    const placedMs = await crowd.placementsMs(await Promise.all(jobs));
    const name = `agents.${count % 1000 === 0 ? `${count / 1000}k` : count}`;
    return [
      plain(`${name}.enrolled_per_s`, count / (enrolledMs / 1000), '1/s'),
      plain(`${name}.back_after_restart`, backMs / 1000, 's'),
      atMost(`${name}.coordinator_cores`, cores, '', REACH_CORES),
      // A machine that is too busy to beat in time shows here.
      plain(`${name}.beats_per_s`, beatsPerS, '1/s'),
      plain(`${name}.cpu_per_beat`, (cores / beatsPerS) * 1e6, 'us'),
      plain(`${name}.coordinator_rss`, rss, 'MiB'),
      plain(`${name}.placement.p50`, percentile(placedMs, 0.5), 'ms'),
      atMost(`${name}.placement.p99`, percentile(placedMs, 0.99), 'ms', REACH_P99_MS),
    ];
  } finally {
    crowd.stop();
    await farm.close();
  }
}

/** From the start of a new coordinator, at the address of the one that was killed, until all are there. */
async function comeBackMs(farm: BenchFarm, crowd: Crowd): Promise<number> {
  const port = farm.client.address.split(':').at(-1) ?? '';
  const readyMs = await farm.restartCoordinator(['--grpc-port', port, '--plaintext']);
  return readyMs + (await crowd.arrivalMs());
}

/** Jobs of one unit at an even pace, whatever becomes of them. */
class Trickle {
  readonly #jobs: Promise<Submit>[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(farm: BenchFarm) {
    this.#timer = setInterval(() => {
      const atNs = process.hrtime.bigint();
      this.#jobs.push(submitted(farm, `trickle-${this.#jobs.length}`, atNs));
    }, 1000 / SUBMITS_PER_S);
  }

  get submitted(): number {
    return this.#jobs.length;
  }

  stop(): readonly Promise<Submit>[] {
    clearInterval(this.#timer);
    return this.#jobs;
  }
}

/** A disk that is slow for a second makes the farm refuse: that is part of how long it takes. */
async function submitted(farm: BenchFarm, name: string, atNs: bigint): Promise<Submit> {
  for (;;) {
    try {
      const { id } = await farm.submit(name, [noopStep(1)]);
      return { jobId: id, atNs };
    } catch (error) {
      if (!(error instanceof FurrowError) || !error.retryable) throw error;
    }
    await sleep(10);
  }
}
