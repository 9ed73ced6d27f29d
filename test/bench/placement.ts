/**
 * What a placement pass costs: the real domain, driven as the command loop drives it, without journal and
 * network. A farm is filled from empty, then a few of its agents change at a time. Times are of the CPU.
 */
import { type Capacity, NO_DEMAND } from '../../coordinator/domain/demand.ts';
import type { Demand } from '../../coordinator/domain/task.ts';
import { DomainFarm, type Pass } from './domain-farm.ts';
import { atMost, type Figure, percentile, plain } from './figure.ts';

const GIB = 2 ** 30;
const AGENTS = 1_000;
const CLASSES = 200;
const UNITS_OF_CLASS = 5_000;
const CHANGED_AGENTS = 10;
const STEADY_PASSES = 200;
const OWNERS = ['ann', 'bob', 'carl', 'dora', 'eve'];

export async function measurePlacement(): Promise<Figure[]> {
  const farm = new DomainFarm();
  for (let agent = 0; agent < AGENTS; agent += 1) farm.enrol(agentIdOf(agent), capacityOf(agent));
  for (let job = 1; job <= CLASSES; job += 1) {
    farm.submit(UNITS_OF_CLASS, demandOf(job), OWNERS[job % OWNERS.length] ?? '');
  }
  const first = farm.pass();
  let passes = 1;
  let { ms } = first;
  let granted = unitsOf(first);
  for (let pass = farm.pass(); pass.grants.length > 0; pass = farm.pass(), passes += 1) {
    ms += pass.ms;
    granted += unitsOf(pass);
  }
  const idle = farm.pass();
  const steady: number[] = [];
  let replaced = 0;
  for (let round = 0; round < STEADY_PASSES; round += 1) {
    for (let at = 0; at < CHANGED_AGENTS; at += 1) endOneOf(farm, (round * 37 + at * 101) % AGENTS);
    const pass = farm.pass();
    steady.push(pass.ms);
    replaced += unitsOf(pass);
  }
  return [
    atMost('placement.first_pass', first.ms, 'ms', 500),
    plain('placement.first_pass.units', unitsOf(first), 'units'),
    plain('placement.fill.passes', passes, ''),
    plain('placement.fill.units', granted, 'units'),
    plain('placement.fill', ms, 'ms'),
    plain('placement.fill.per_unit', (ms * 1000) / granted, 'us'),
    atMost('placement.nothing_changed', idle.ms, 'ms', 1),
    atMost('placement.ten_agents_changed.p50', percentile(steady, 0.5), 'ms', 10),
    atMost('placement.ten_agents_changed.p99', percentile(steady, 0.99), 'ms', 30),
    plain('placement.ten_agents_changed.units', replaced / STEADY_PASSES, 'units'),
  ];
}

function unitsOf({ grants }: Pass): number {
  return grants.reduce((sum, { units }) => sum + units.length, 0);
}

/** One of the agent's units is done. */
function endOneOf(farm: DomainFarm, number: number): void {
  const [token] = farm.farm.agents.get(agentIdOf(number))?.leases ?? [];
  const lease = token && farm.farm.leases.get(token);
  if (lease !== undefined) farm.accept(lease, 60_000);
}

function agentIdOf(number: number): string {
  return `agent-${String(number).padStart(4, '0')}`;
}

/** From the small PC to the workstation with two cards. */
function capacityOf(number: number): Capacity {
  const size = number % 4;
  const vramTotalBytes = (8 + 4 * size) * GIB;
  const gpus = Array.from({ length: [0, 1, 1, 2][size] ?? 0 }, (_, gpu) => ({
    id: `${agentIdOf(number)}-gpu-${gpu}`,
    name: 'GPU',
    vramTotalBytes,
    vramForeignBytes: (number % 7) * 100_000_000,
  }));
  return {
    cpuMillis: 8_000 * (size + 1),
    ramTotalBytes: 16 * (size + 1) * GIB,
    ramAvailableBytes: 15 * (size + 1) * GIB,
    scratchFreeBytes: 500 * GIB,
    encoderSessions: 3,
    attributes: ['tool:command', 'tool:ffmpeg', ...(number % 2 === 0 ? ['tag:studio'] : [])],
    gpus,
    maxUnits: 0,
  };
}

/** No two alike: CPU work, work that takes memory, and every third with a GPU. */
function demandOf(job: number): Demand {
  const gpus = job % 3 === 0 ? 1 : 0;
  return {
    ...NO_DEMAND,
    cpuMillis: 500 + (job % 8) * 500,
    ramBytes: (1 + (job % 25)) * (GIB / 2) + job * 1_048_576,
    gpus,
    vramBytes: gpus * (2 + (job % 9)) * GIB,
    attributes: job % 5 === 0 ? ['tag:studio', 'tool:command'] : ['tool:command'],
  };
}
