/**
 * What the coordinator holds for queued units: the real fold and read model, filled from facts that
 * went through the journal's encoding, as after a restart.
 */
import { createHash } from 'node:crypto';
import { apply } from '../../coordinator/domain/apply.ts';
import type { Fact, JobSubmitted } from '../../coordinator/domain/facts.ts';
import { emptyFarm } from '../../coordinator/domain/farm.ts';
import { encodeFact, fromWire } from '../../coordinator/journal/fact-codec.ts';
import { ReadModel } from '../../coordinator/read-model.ts';
import { Fact as WireFact } from '../../proto/gen/furrow/journal/v1/journal.ts';
import { commandStep, noopStep } from './bench-farm.ts';
import { atMost, type Figure } from './figure.ts';

const UNITS = 1_000_000;
const JOBS = 100_000;
const DEMAND = {
  cpuMillis: 1_000,
  ramBytes: 512 * 2 ** 20,
  gpus: 0,
  vramBytes: 0,
  scratchBytes: 0,
  encoderSessions: 0,
  attributes: ['tool:command'],
  tickets: {},
};
const LIMITS = { maxAttempts: 0, runTimeoutMs: 0, stallTimeoutMs: 0 };

export async function measureMemory(): Promise<Figure[]> {
  const perUnit = bytesOfFarm(1, () => ({ ...submitted(1), steps: [noopStep(UNITS)] })) / UNITS;
  const perJob = bytesOfFarm(JOBS, submitted) / JOBS;
  return [
    atMost('memory.per_queued_unit', perUnit, 'B', 16),
    atMost('memory.one_unit_job.bytes', perJob, 'B', 1_536),
  ];
}

function bytesOfFarm(jobs: number, submit: (job: number) => Fact): number {
  const before = usedBytes();
  const farm = emptyFarm();
  for (let job = 1; job <= jobs; job += 1) apply(farm, asRead(submit(job)));
  const readModel = new ReadModel(farm, jobs);
  const bytes = usedBytes() - before;
  // Held up to here.
  if (readModel.job(jobs) === undefined) throw new Error('the farm lost a job');
  return bytes;
}

/** As `furrow submit command` does it for one shot of many: no two jobs have all words in common. */
function submitted(job: number): JobSubmitted {
  const shot = `sc${String(Math.ceil(job / 100)).padStart(4, '0')}_sh${String(job % 100).padStart(3, '0')}`;
  const digest = createHash('sha256').update(shot).digest('hex');
  const argv = ['blender', '-b', `/mnt/projects/harvest/${shot}/light_v012.blend`];
  const step = commandStep([...argv, '-o', `//render/${shot}_####`, '-f', String(job % 240)], 1);
  return {
    type: 'JobSubmitted',
    job,
    clientId: `${digest.slice(0, 8)}-${digest.slice(8, 12)}-4${digest.slice(12, 15)}-${digest.slice(15, 19)}-${digest.slice(19, 31)}`,
    requestHash: digest,
    name: `harvest ${shot} lighting`,
    priority: 0,
    recipe: 'steps',
    steps: [{ ...step, demand: DEMAND, limits: LIMITS }],
    atMs: 1_700_000_000_000 + job * 17,
  };
}

const COMMIT = { epoch: 1, writerId: new Uint8Array(16), sequence: 1 };
const asRead = (fact: Fact): Fact => fromWire(WireFact.decode(encodeFact(fact)), COMMIT);

function usedBytes(): number {
  if (global.gc === undefined) throw new Error('run it with node --expose-gc');
  global.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
