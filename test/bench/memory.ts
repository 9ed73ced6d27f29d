/**
 * What the coordinator holds for queued units: the real fold and read model, filled from facts that
 * went through the journal's encoding, as after a restart.
 */
import { apply } from '../../coordinator/domain/apply.ts';
import type { Fact } from '../../coordinator/domain/facts.ts';
import { emptyFarm } from '../../coordinator/domain/farm.ts';
import { encodeFact, fromWire } from '../../coordinator/journal/fact-codec.ts';
import { ReadModel } from '../../coordinator/read-model.ts';
import { Fact as WireFact } from '../../proto/gen/furrow/journal/v1/journal.ts';
import { noopStep } from './bench-farm.ts';
import { atMost, type Figure } from './figure.ts';

const UNITS = 1_000_000;
const JOBS = 100_000;

export async function measureMemory(): Promise<Figure[]> {
  const perUnit = bytesOfFarm(1, UNITS) / UNITS;
  const perJob = bytesOfFarm(JOBS, 1) / JOBS;
  return [
    atMost('memory.per_queued_unit', perUnit, 'B', 16),
    atMost('memory.per_one_unit_job', perJob, 'B', 1_536),
  ];
}

function bytesOfFarm(jobs: number, units: number): number {
  const before = usedBytes();
  const farm = emptyFarm();
  for (let job = 1; job <= jobs; job += 1) apply(farm, asRead(submitted(job, units)));
  const readModel = new ReadModel(farm, jobs);
  const bytes = usedBytes() - before;
  // Held up to here.
  if (readModel.job(jobs) === undefined) throw new Error('the farm lost a job');
  return bytes;
}

function submitted(job: number, units: number): Fact {
  return {
    type: 'JobSubmitted',
    job,
    clientId: `client-${job}`,
    requestHash: job.toString(16).padStart(64, '0'),
    name: `job ${job}`,
    priority: 0,
    recipe: '',
    steps: [noopStep(units)],
    atMs: 1_700_000_000_000,
  };
}

const asRead = (fact: Fact): Fact => fromWire(WireFact.decode(encodeFact(fact)), 1);

function usedBytes(): number {
  if (global.gc === undefined) throw new Error('run it with node --expose-gc');
  global.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
