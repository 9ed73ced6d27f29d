/**
 * From kill -9 of an agent to the start of its unit on another one, by the clock of this same machine and
 * to the millisecond, as that agent logs it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AttemptOutcome, type AttemptEvent } from '../../proto/gen/furrow/v1/job_service.ts';
import { BenchFarm, commandStep, type BenchOptions } from './bench-farm.ts';
import { atMost, type Figure } from './figure.ts';

const AGENTS = ['left', 'right'];
const DEFAULT_TTL_MS = 15_000;
/** The lowest that the coordinator takes. */
const LOWEST_TTL_MS = 1_000;

export async function measureRecovery(options: BenchOptions): Promise<Figure[]> {
  const lowest = await recoveryMs(options, LOWEST_TTL_MS);
  const usual = await recoveryMs(options, DEFAULT_TTL_MS);
  return [
    atMost('recovery.ttl_15s', usual, 'ms', DEFAULT_TTL_MS + 500),
    atMost('recovery.lowest_ttl', lowest, 'ms', 2_000),
  ];
}

async function recoveryMs(options: BenchOptions, ttlMs: number): Promise<number> {
  const farm = await BenchFarm.start(options, ['--lease-ttl-ms', String(ttlMs)]);
  try {
    await farm.addAgents(AGENTS, ['--log-level', 'debug']);
    const job = await farm.submit('recovery', [commandStep(['sleep', '600'], 1)]);
    let killedMs: number | undefined;
    for await (const event of grantsOf(farm, job.id)) {
      if (event.attempt > 1 && killedMs !== undefined) {
        return (await startedMs(farm, event)) - killedMs;
      }
      farm.killAgent(event.agentName);
      killedMs = Date.now();
    }
    throw new Error('the unit was never granted again');
  } finally {
    await farm.close();
  }
}

async function startedMs(farm: BenchFarm, granted: AttemptEvent): Promise<number> {
  for (;;) {
    const starts = await farm.logOf(granted.agentName, 'unit starts');
    const start = starts.find(({ attempt }) => attempt === granted.attempt);
    if (start !== undefined) return Number(start['time']);
    await sleep(20);
  }
}

async function* grantsOf(farm: BenchFarm, jobId: string): AsyncGenerator<AttemptEvent> {
  const { jobs } = farm.client;
  // From the journal's first commit on: the grant may have come before the watch.
  const request = { jobId, cursor: '0', withoutAttempts: false };
  for await (const { event } of farm.client.stream(jobs.watchJob.bind(jobs), request)) {
    if (event?.$case !== 'attempts') continue;
    for (const attempt of event.value.events) {
      if (attempt.outcome === AttemptOutcome.ATTEMPT_OUTCOME_GRANTED) yield attempt;
    }
  }
}
