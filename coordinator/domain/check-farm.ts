/** What must hold after every fact. Answers with what does not, in words. */
import { isReady } from './apply.ts';
import { book, type Booking, type Capacity, emptyBooking } from './demand.ts';
import type { AgentRecord, Farm, Job, StepRun } from './farm.ts';
import type { Liveness } from './liveness.ts';
import { UNIT_ACCEPTED, UNIT_LEASED, UNIT_QUEUED, type UnitTable } from './unit-table.ts';

export function checkFarm(farm: Farm): string[] {
  const faults: string[] = [];
  for (const job of farm.jobs.values()) {
    for (const step of job.steps) faults.push(...faultsOfStep(farm, job, step));
    if (job.end?.state === 'succeeded' && !job.steps.every((step) => allAccepted(step.units))) {
      faults.push(`job ${job.number} succeeded with units that were not accepted`);
    }
  }
  for (const agent of farm.agents.values()) faults.push(...faultsOfAgent(farm, agent));
  faults.push(...faultsOfLeases(farm));
  return faults;
}

function allAccepted(units: UnitTable | undefined): boolean {
  return units !== undefined && units.counts.accepted === units.size;
}

function faultsOfStep(farm: Farm, job: Job, step: StepRun): string[] {
  const faults: string[] = [];
  const where = `job ${job.number} step ${step.spec.name}`;
  const entry = { job: job.number, step: step.index, priority: job.priority };
  if (farm.ready.has(step.classKey, entry) !== isReady(job, step)) {
    faults.push(`${where} is ${isReady(job, step) ? 'ready but not' : 'not ready but'} indexed`);
  }
  const { units } = step;
  if (units === undefined) return faults;
  const counts = [0, 0, 0, 0, 0];
  for (let unit = 0; unit < units.size; unit += 1) {
    const state = units.stateOf(unit);
    counts[state] = (counts[state] ?? 0) + 1;
    const isLeased = farm.leases.has(units.tokenOf(unit));
    if (isLeased !== (state === UNIT_LEASED)) {
      faults.push(
        `${where} unit ${unit} is in state ${state} ${isLeased ? 'with' : 'without'} a lease`,
      );
    }
  }
  const { queued, leased, accepted, failed, cancelled } = units.counts;
  if (counts.join() !== [queued, leased, accepted, failed, cancelled].join()) {
    faults.push(`${where} miscounts its units: ${counts.join()} are there`);
  }
  faults.push(...faultsOfQueue(where, units));
  return faults;
}

function faultsOfQueue(where: string, units: UnitTable): string[] {
  const queue = [...units.ready(Number.POSITIVE_INFINITY)];
  const faults: string[] = [];
  if (new Set(queue).size !== queue.length) faults.push(`${where} queues a unit twice`);
  if (queue.length !== units.counts.queued) {
    faults.push(`${where} has ${units.counts.queued} queued units, ${queue.length} in its queue`);
  }
  for (const unit of queue) {
    if (units.stateOf(unit) !== UNIT_QUEUED) faults.push(`${where} unit ${unit} is queued and not`);
  }
  for (const unit of units.outputs.keys()) {
    if (units.stateOf(unit) !== UNIT_ACCEPTED) {
      faults.push(`${where} unit ${unit} has outputs without an accepted result`);
    }
  }
  return faults;
}

function faultsOfAgent(farm: Farm, agent: AgentRecord): string[] {
  const expected = emptyBooking();
  for (const token of agent.leases) {
    const lease = farm.leases.get(token);
    const step = lease && farm.jobs.get(lease.job)?.steps[lease.step];
    if (lease === undefined || step === undefined) {
      return [`agent ${agent.id} holds a lease that is not in the book`];
    }
    book(expected, step.demand, lease.gpuIds);
  }
  return bookingText(expected) === bookingText(agent.booking)
    ? []
    : [
        `agent ${agent.id} books ${bookingText(agent.booking)}, its leases ${bookingText(expected)}`,
      ];
}

function faultsOfLeases(farm: Farm): string[] {
  const faults: string[] = [];
  for (const [token, lease] of farm.leases) {
    if (farm.agents.get(lease.agentId)?.leases.has(token) !== true) {
      faults.push(`lease ${token} is not with its agent ${lease.agentId}`);
    }
    const units = farm.jobs.get(lease.job)?.steps[lease.step]?.units;
    if (units?.tokenOf(lease.unit) !== token)
      faults.push(`lease ${token} is not its unit's current`);
    if (farm.lapsed.has(token)) faults.push(`lease ${token} is current and lapsed`);
  }
  for (const [token, lease] of farm.lapsed) {
    const units = farm.jobs.get(lease.job)?.steps[lease.step]?.units;
    if (units?.tokenOf(lease.unit) !== token)
      faults.push(`lapsed ${token} is not its unit's current`);
  }
  return faults;
}

/**
 * Agents whose leases book more than they have. Foreign use may grow under a lease: not counted. What
 * is finished takes nothing any more, even when its lease goes on until the result is accepted.
 */
export function checkBookings(farm: Farm, liveness: Liveness): string[] {
  return [...farm.agents.values()].flatMap((agent) => {
    const known = liveness.agents.get(agent.id);
    if (known?.capacity === undefined || !exceeds(agent.booking, known.capacity)) return [];
    const booking = emptyBooking();
    for (const token of agent.leases) {
      const lease = farm.leases.get(token);
      const step = lease && farm.jobs.get(lease.job)?.steps[lease.step];
      const isFinished = known.inventory.get(token)?.state === 'finished';
      if (step !== undefined && !isFinished) book(booking, step.demand, lease?.gpuIds ?? []);
    }
    return exceeds(booking, known.capacity)
      ? [`agent ${agent.id} is overbooked: ${bookingText(booking)}`]
      : [];
  });
}

function exceeds(booking: Booking, capacity: Capacity): boolean {
  return (
    booking.cpuMillis > capacity.cpuMillis ||
    booking.ramBytes > capacity.ramTotalBytes ||
    booking.encoderSessions > capacity.encoderSessions ||
    (capacity.maxUnits > 0 && booking.leases > capacity.maxUnits) ||
    capacity.gpus.some((gpu) => (booking.vramBytes.get(gpu.id) ?? 0) > gpu.vramTotalBytes)
  );
}

function bookingText(booking: Booking): string {
  const { leases, cpuMillis, ramBytes, scratchBytes, encoderSessions, vramBytes } = booking;
  const vram = [...vramBytes].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify({ leases, cpuMillis, ramBytes, scratchBytes, encoderSessions, vram });
}
