/** From the start of a coordinator that was killed to ready, with many jobs and units known. */
import { BenchFarm, noopStep, type BenchOptions } from './bench-farm.ts';
import { atMost, plain, type Figure } from './figure.ts';

const UNITS_PER_JOB = 100;
const AT_ONCE = 64;
const REACH_MS = 5_000;

export async function measureRestart(options: BenchOptions, jobs: number): Promise<Figure[]> {
  const farm = await BenchFarm.start(options);
  try {
    const startMs = performance.now();
    let next = 0;
    const submitter = async (): Promise<void> => {
      for (; next < jobs;) {
        next += 1;
        await farm.submit(`restart-${next}`, [noopStep(UNITS_PER_JOB)]);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, submitter));
    const submitsPerS = (jobs / (performance.now() - startMs)) * 1000;
    const readyMs = await farm.restartCoordinator();
    return [
      plain('restart.submits_per_s', submitsPerS, '1/s'),
      plain('restart.units_known', jobs * UNITS_PER_JOB, ''),
      atMost('restart.ready', readyMs, 'ms', REACH_MS),
    ];
  } finally {
    await farm.close();
  }
}
