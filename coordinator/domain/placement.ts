/**
 * Which units go to which agents. A pass costs classes × agents and the grants it makes, never the
 * number of units: a class that fits nowhere is left alone for the rest of the pass.
 */
import { stepOf, unitsOf } from './apply.ts';
import { book, type Booking, type Capacity, fits } from './demand.ts';
import type { Now } from './decision.ts';
import type { LeasesGranted } from './facts.ts';
import type { AgentRecord, Farm, StepRun } from './farm.ts';
import { type AgentLiveness, ghostBooking, isOnline, type Liveness } from './liveness.ts';
import { compareReady, type ReadyStep } from './ready-index.ts';
import { MAX_COUNTER, tokenOf } from './token.ts';
import type { UnitTable } from './unit-table.ts';

/** A pass makes at most so many grants, so that its facts fit into one commit. */
const MAX_GRANTS_A_PASS = 10_000;
/** Each is a fact of its own, of up to 300 bytes or so. */
const MAX_FACTS_A_PASS = 500;

interface Candidate {
  readonly agent: AgentLiveness;
  readonly capacity: Capacity;
  /** What is booked now, this pass's grants included. */
  readonly booked: Booking;
}

interface Pick {
  readonly candidate: Candidate;
  readonly gpuIds: readonly string[];
}

/** Grants for whatever is ready and fits: one grant message for each agent. */
export function place(farm: Farm, liveness: Liveness, now: Now): LeasesGranted[] {
  if (farm.ready.classes().size === 0) return [];
  const candidates = candidatesOf(farm, liveness, now);
  if (candidates.length === 0) return [];
  const pass = new Pass(farm, now);
  const queues = [...farm.ready.classes().values()].map((steps) => ({ steps, next: 0 }));
  while (!pass.isFull) {
    const queue = firstOf(queues);
    const ready = queue?.steps[queue.next];
    if (queue === undefined || ready === undefined) break;
    const outcome = pass.placeStep(ready, candidates);
    // Nothing of this class fits any more: no later step of it can.
    if (outcome === 'no-room') queue.next = queue.steps.length;
    else queue.next += 1;
  }
  return pass.facts();
}

/** The queue whose next step comes before all others'. */
function firstOf<T extends { readonly steps: readonly ReadyStep[]; readonly next: number }>(
  queues: readonly T[],
): T | undefined {
  let first: T | undefined;
  for (const queue of queues) {
    const head = queue.steps[queue.next];
    const best = first?.steps[first.next];
    if (head === undefined) continue;
    if (best === undefined || compareReady(head, best) < 0) first = queue;
  }
  return first;
}

function candidatesOf(farm: Farm, liveness: Liveness, now: Now): Candidate[] {
  const candidates: Candidate[] = [];
  for (const agent of liveness.agents.values()) {
    const record = farm.agents.get(agent.agentId);
    if (record === undefined || agent.capacity === undefined) continue;
    if (whyClosed(liveness, agent, record, now) !== undefined) continue;
    const ghosts = ghostBooking(agent, farm);
    if (ghosts === undefined) continue;
    const { capacity } = agent;
    candidates.push({ agent, capacity, booked: sumOf(record.booking, ghosts) });
  }
  return candidates.toSorted((a, b) => (a.agent.agentId < b.agent.agentId ? -1 : 1));
}

/** Why an agent gets nothing new, or undefined when it may. */
function whyClosed(
  liveness: Liveness,
  agent: AgentLiveness,
  record: AgentRecord,
  now: Now,
): string | undefined {
  if (!agent.connected) return 'its connection is closed';
  if (!isOnline(liveness, agent, now.monotonicMs)) return 'it does not answer';
  if (record.draining) return 'it is drained';
  if (agent.leaving) return 'it is leaving';
  if (!agent.workPlaneUp) return 'it has no connection to NATS';
  if (now.monotonicMs < agent.grantsPausedUntilMs) return 'it refused grants a moment ago';
  return undefined;
}

function sumOf(a: Booking, b: Booking): Booking {
  const vramBytes = new Map(a.vramBytes);
  for (const [id, bytes] of b.vramBytes) vramBytes.set(id, (vramBytes.get(id) ?? 0) + bytes);
  return {
    leases: a.leases + b.leases,
    cpuMillis: a.cpuMillis + b.cpuMillis,
    ramBytes: a.ramBytes + b.ramBytes,
    scratchBytes: a.scratchBytes + b.scratchBytes,
    encoderSessions: a.encoderSessions + b.encoderSessions,
    vramBytes,
  };
}

interface Group {
  readonly ready: ReadyStep;
  readonly agent: AgentLiveness;
  readonly gpuIds: readonly string[];
  readonly units: number[];
}

class Pass {
  readonly #farm: Farm;
  readonly #now: Now;
  readonly #groups = new Map<string, Group>();
  #granted = 0;

  constructor(farm: Farm, now: Now) {
    this.#farm = farm;
    this.#now = now;
  }

  get isFull(): boolean {
    return this.#granted >= MAX_GRANTS_A_PASS || this.#groups.size >= MAX_FACTS_A_PASS;
  }

  placeStep(ready: ReadyStep, candidates: readonly Candidate[]): 'placed' | 'no-room' {
    const step = stepOf(this.#farm, ready.job, ready.step);
    const units = unitsOf(step);
    for (const unit of units.ready(this.#now.wallMs)) {
      if (this.isFull) return 'placed';
      const pick = pickAgent(step, units, unit, candidates);
      if (pick === undefined) return 'no-room';
      book(pick.candidate.booked, step.demand, pick.gpuIds);
      this.#add(ready, pick, unit);
    }
    return 'placed';
  }

  facts(): LeasesGranted[] {
    const { epoch } = this.#farm;
    let counter = this.#farm.lastCounter;
    const facts: LeasesGranted[] = [];
    for (const { ready, agent, gpuIds, units } of this.#groups.values()) {
      const table = unitsOf(stepOf(this.#farm, ready.job, ready.step));
      if (counter + units.length > MAX_COUNTER) break;
      facts.push({
        type: 'LeasesGranted',
        agentId: agent.agentId,
        session: agent.session,
        grantNumber: agent.lastGrantNumber + 1,
        job: ready.job,
        step: ready.step,
        firstToken: tokenOf(epoch, counter + 1),
        units,
        attempts: units.map((unit) => table.attemptsOf(unit) + 1),
        gpuIds,
        atMs: this.#now.wallMs,
      });
      counter += units.length;
    }
    return facts;
  }

  #add(ready: ReadyStep, pick: Pick, unit: number): void {
    const { agent } = pick.candidate;
    const key = [ready.job, ready.step, agent.agentId, ...pick.gpuIds].join(' ');
    const group = this.#groups.get(key);
    if (group === undefined) {
      this.#groups.set(key, { ready, agent, gpuIds: pick.gpuIds, units: [unit] });
    } else group.units.push(unit);
    this.#granted += 1;
  }
}

/** The emptiest agent that fits; one where the unit failed before only if there is no other. */
function pickAgent(
  step: StepRun,
  units: UnitTable,
  unit: number,
  candidates: readonly Candidate[],
): Pick | undefined {
  const failedOn = units.failures.get(unit)?.agentId;
  let best: (Pick & { readonly rank: number }) | undefined;
  for (const candidate of candidates) {
    const fit = fits(step.demand, candidate.capacity, candidate.booked);
    if (fit.state !== 'fits') continue;
    const penalty = candidate.agent.agentId === failedOn ? 1_000 : 0;
    const rank = penalty + loadOf(candidate);
    if (best === undefined || rank < best.rank) best = { candidate, gpuIds: fit.gpuIds, rank };
  }
  return best;
}

/** How full an agent is: 0 for empty, 1 for no CPU left; leases break ties between equals. */
function loadOf({ capacity, booked }: Candidate): number {
  return booked.cpuMillis / Math.max(1, capacity.cpuMillis) + booked.leases / 100_000;
}
