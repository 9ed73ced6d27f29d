/** From kill -9 of an agent to its unit granted to another one, as a watching client is told. */
import { AttemptOutcome, type AttemptEvent } from '../../proto/gen/furrow/v1/job_service.ts';
import { BenchFarm, commandStep, type BenchOptions } from './bench-farm.ts';
import { atMost, type Figure } from './figure.ts';

const AGENTS = ['left', 'right'];
const DEFAULT_TTL_MS = 15_000;
/** The lowest that the coordinator takes. */
const LOWEST_TTL_MS = 1_000;

export async function measureRecovery(options: BenchOptions): Promise<Figure[]> {
  const lowest = await recoveryMs(options, LOWEST_TTL_MS, 300);
  const usual = await recoveryMs(options, DEFAULT_TTL_MS, 3_000);
  return [
    atMost('recovery.ttl_15s', usual, 'ms', DEFAULT_TTL_MS + 500),
    atMost('recovery.lowest_ttl', lowest, 'ms', 2_000),
  ];
}

async function recoveryMs(
  options: BenchOptions,
  ttlMs: number,
  heartbeatMs: number,
): Promise<number> {
  const flags = ['--lease-ttl-ms', String(ttlMs), '--heartbeat-ms', String(heartbeatMs)];
  const farm = await BenchFarm.start(options, flags);
  try {
    await farm.addAgents(AGENTS, ['--drain-grace-ms', '0']);
    const job = await farm.submit('recovery', [commandStep(['sleep', '600'], 1)]);
    let killedMs: number | undefined;
    for await (const event of grantsOf(farm, job.id)) {
      if (event.attempt > 1 && killedMs !== undefined) return performance.now() - killedMs;
      farm.killAgent(event.agentName);
      killedMs = performance.now();
    }
    throw new Error('the unit was never granted again');
  } finally {
    await farm.close();
  }
}

async function* grantsOf(farm: BenchFarm, jobId: string): AsyncGenerator<AttemptEvent> {
  const { jobs } = farm.client;
  // From the journal's first commit on: the grant may have come before the watch.
  const request = { jobId, cursor: '0' };
  for await (const { event } of farm.client.stream(jobs.watchJob.bind(jobs), request)) {
    if (event?.$case !== 'attempts') continue;
    for (const attempt of event.value.events) {
      if (attempt.outcome === AttemptOutcome.ATTEMPT_OUTCOME_GRANTED) yield attempt;
    }
  }
}
