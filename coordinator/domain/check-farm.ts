/** What must hold after every fact. Answers with what does not, in words. */
import { eighthsOf, readyClasses, readyEntry } from './ready-steps.ts';
import { jobsOf } from './archive.ts';
import { book, type Booking, type Capacity, emptyBooking, GPU_SHARES } from './demand.ts';
import type { AgentRecord, Farm, Job, Slot, StepRun } from './farm.ts';
import { faultsOfSharing } from './check-sharing.ts';
import type { AgentLiveness, Liveness } from './liveness.ts';
import { isComplete } from './tolerance.ts';
import { UNIT_ACCEPTED, UNIT_LEASED, UNIT_QUEUED, type UnitTable } from './unit-table.ts';

export function checkFarm(farm: Farm): string[] {
  const faults: string[] = [];
  for (const job of farm.jobs.values()) {
    for (const step of job.steps) faults.push(...faultsOfStep(farm, job, step));
    if (job.eighths !== eighthsOf(job.steps)) {
      faults.push(`job ${job.number} is said to be ${job.eighths} eighths done`);
    }
    if (job.end?.state === 'succeeded' && !job.steps.every((step) => isComplete(job, step))) {
      faults.push(`job ${job.number} succeeded with units that were not accepted`);
    }
  }
  for (const agent of farm.agents.values()) faults.push(...faultsOfAgent(farm, agent));
  faults.push(...faultsOfLeases(farm), ...faultsOfArchive(farm), ...faultsOfLineage(farm));
  faults.push(...faultsOfSharing(farm));
  return faults;
}

function faultsOfArchive(farm: Farm): string[] {
  const archived = farm.archive.flatMap((segment) => [...jobsOf(segment)]);
  const faults = archived.flatMap((job) =>
    farm.jobs.has(job) ? [`job ${job} is in memory and in the archive`] : [],
  );
  if (new Set(archived).size !== archived.length) faults.push('a job is archived twice');
  if (farm.jobByClientId.size !== farm.jobs.size) {
    faults.push(`${farm.jobByClientId.size} client ids are known of ${farm.jobs.size} jobs`);
  }
  return faults;
}

function faultsOfLineage({ epoch, reigns }: Farm): string[] {
  const faults = reigns.flatMap((reign, index) => {
    const before = reigns[index - 1];
    const follows =
      before === undefined ||
      (reign.epoch > before.epoch && reign.firstSequence > before.firstSequence);
    return follows ? [] : [`the reign of epoch ${reign.epoch} does not follow the one before it`];
  });
  const last = reigns.at(-1);
  if (last !== undefined && last.epoch !== epoch) {
    faults.push(`the farm is in epoch ${epoch}, its lineage ends with ${last.epoch}`);
  }
  return faults;
}

function faultsOfStep(farm: Farm, job: Job, step: StepRun): string[] {
  const faults: string[] = [];
  const where = `job ${job.number} step ${step.spec.name}`;
  const entry = readyEntry(job, step);
  for (const [classKey, isReady] of readyClasses(job, step)) {
    if (farm.ready.has(classKey, entry) === isReady) continue;
    faults.push(`${where} is ${isReady ? 'ready but not' : 'not ready but'} indexed`);
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
  faults.push(...faultsOfCopies(farm, where, units));
  const { queued, leased, accepted, failed, cancelled } = units.counts;
  if (counts.join() !== [queued, leased, accepted, failed, cancelled].join()) {
    faults.push(`${where} miscounts its units: ${counts.join()} are there`);
  }
  faults.push(...faultsOfQueue(where, units));
  return faults;
}

function faultsOfCopies(farm: Farm, where: string, units: UnitTable): string[] {
  return [...units.copies].flatMap(([unit, { token, agent }]) => {
    const copy = `${where} unit ${unit} has a copy`;
    if (units.stateOf(unit) !== UNIT_LEASED)
      return [`${copy} and is in state ${units.stateOf(unit)}`];
    if (units.agentOf(unit) === agent) return [`${copy} on the same agent`];
    const lease = farm.leases.get(token);
    if (lease?.unit === unit && farm.agentByNumber[agent - 1]?.id === lease.agentId) return [];
    return [`${copy} without a lease of its own`];
  });
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
  for (const unit of units.checkpoints.keys()) {
    if (!units.isOpen(unit)) faults.push(`${where} unit ${unit} is closed and has a checkpoint`);
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
  const held = new Map<Slot, number>();
  for (const token of agent.leases) {
    const lease = farm.leases.get(token);
    if (lease === undefined) return [`agent ${agent.id} holds a lease that is not in the book`];
    held.set(lease.slot, (held.get(lease.slot) ?? 0) + 1);
  }
  for (const slot of agent.slots.values()) {
    const leases = held.get(slot) ?? 0;
    if (slot.held !== leases || slot.booked < 1 || slot.booked > slot.held) {
      return [`agent ${agent.id} has ${leases} leases in slot ${slot.key}: ${slotText(slot)}`];
    }
    for (let n = 0; n < slot.booked; n += 1) book(expected, slot.demand, slot.gpuIds);
  }
  if (held.size !== agent.slots.size) {
    return [`agent ${agent.id} has ${agent.slots.size} slots, its leases are in ${held.size}`];
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
    const copy = units?.copies.get(lease.unit);
    if (units?.tokenOf(lease.unit) !== token && copy?.token !== token)
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
    const booking = bookingOfUnfinished(farm, agent, known);
    return exceeds(booking, known.capacity)
      ? [`agent ${agent.id} is overbooked: ${bookingText(booking)}`]
      : [];
  });
}

function bookingOfUnfinished(farm: Farm, agent: AgentRecord, known: AgentLiveness): Booking {
  const unfinished = new Map<Slot, number>();
  for (const token of agent.leases) {
    const slot = farm.leases.get(token)?.slot;
    if (slot === undefined || known.inventory.get(token)?.state === 'finished') continue;
    unfinished.set(slot, (unfinished.get(slot) ?? 0) + 1);
  }
  const booking = emptyBooking();
  for (const [slot, count] of unfinished) {
    const most = Math.min(count, slot.booked);
    for (let n = 0; n < most; n += 1) book(booking, slot.demand, slot.gpuIds);
  }
  return booking;
}

function slotText({ booked, held }: Slot): string {
  return `${booked} of ${held} booked`;
}

function exceeds(booking: Booking, capacity: Capacity): boolean {
  return (
    booking.cpuMillis > capacity.cpuMillis ||
    booking.ramBytes > capacity.ramTotalBytes ||
    booking.encoderSessions > capacity.encoderSessions ||
    (capacity.maxUnits > 0 && booking.leases > capacity.maxUnits) ||
    capacity.gpus.some((gpu) => (booking.vramBytes.get(gpu.id) ?? 0) > gpu.vramTotalBytes) ||
    [...booking.gpuShares.values()].some((shares) => shares > GPU_SHARES)
  );
}

function bookingText(booking: Booking): string {
  const { vramBytes, gpuShares, ...amounts } = booking;
  const vram = [...vramBytes].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const shares = [...gpuShares].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify({ ...amounts, vram, shares });
}
