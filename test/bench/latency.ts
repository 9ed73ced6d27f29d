/**
 * From the submit of a one-unit job to the start of its runner, one job at a time on an idle farm. The
 * runner's start is what the agent logs, by the clock of this same machine and to the millisecond; to
 * the job's end as the client sees it is measured more finely.
 */
import { BenchFarm, noopStep, type BenchOptions } from './bench-farm.ts';
import { atMost, percentile, plain, type Figure } from './figure.ts';

const AGENT = 'only';
/** The code of all processes is compiled by then, and compiled well. */
const WARM_UP = 1_000;

export async function measureLatency(options: BenchOptions, submits: number): Promise<Figure[]> {
  const farm = await BenchFarm.start(options);
  try {
    await farm.addAgents([AGENT], ['--log-level', 'debug']);
    const submittedAtMs = new Map<string, number>();
    const toEndMs: number[] = [];
    for (let round = -WARM_UP; round < submits; round += 1) {
      const atMs = Date.now();
      const startMs = performance.now();
      const job = await farm.submit(`latency-${round}`, [noopStep(1)]);
      await farm.untilSucceeded(job.id);
      if (round < 0) continue;
      submittedAtMs.set(job.id, atMs);
      toEndMs.push(performance.now() - startMs);
    }
    const toStartMs = (await farm.logOf(AGENT, 'unit starts')).flatMap(({ job, time }) => {
      const atMs = submittedAtMs.get(String(job));
      return atMs === undefined ? [] : [Number(time) - atMs];
    });
    if (toStartMs.length < submits) throw new Error('the agent does not log the start of units');
    return [
      atMost('latency.submit_to_start.p50', percentile(toStartMs, 0.5), 'ms', 3),
      atMost('latency.submit_to_start.p99', percentile(toStartMs, 0.99), 'ms', 10),
      plain('latency.submit_to_end.p50', percentile(toEndMs, 0.5), 'ms'),
      plain('latency.submit_to_end.p99', percentile(toEndMs, 0.99), 'ms'),
    ];
  } finally {
    await farm.close();
  }
}
