/**
 * What heartbeats and the passing of time mean for leases: adoption, fencing of old sessions, expiry,
 * stall.
 */
import { stepOf, unitsOf } from './find.ts';
import { rivalOf } from './copy-race.ts';
import { decided, type Decision, type Now, type StopOrder } from './decision.ts';
import { book, type Booking, type Capacity, copyOf, emptyBooking, fits } from './demand.ts';
import type { EndKind, Fact, LeaseEnded } from './facts.ts';
import { type Farm, type Lease, type LeaseRecord, unitIdOf } from './farm.ts';
import { stallTimeoutOf } from './stall.ts';
import type { LearnedSize } from './learned-sizes.ts';
import type { AgentLiveness, HeldLease, LeaseLiveness, Liveness } from './liveness.ts';
import { DOUBT, excusedLosses } from './losses.ts';
import { endLease } from './retry.ts';
import { noteStraggler } from './second-copies.ts';
import { sizeOfUnit } from './size.ts';
import { epochOf, type Token } from './token.ts';
import { UNIT_QUEUED } from './unit-table.ts';
import { withinReach } from './within-reach.ts';

/** A commit has a size; what is left over is found again at the next beat or tick. */
const MAX_ENDS_AT_ONCE = 1_000;
/** Several times what leases are prefilled for. */
const LONGEST_WAIT_MS = 3_000;

/** Compares an agent's inventory with the lease book. */
export function decideReview(farm: Farm, liveness: Liveness, agentId: string, now: Now): Decision {
  const agent = liveness.agents.get(agentId);
  if (agent === undefined) return decided([]);
  const ends = endsOfAbsent(farm, liveness, agent, now);
  const { resumed, stop } = reviewInventory(farm, agent, now);
  return {
    facts: [...ends, ...resumed],
    answer: { kind: 'done' },
    barrier: stop.length === 0 ? 'decided' : 'fresh',
    stops: stop.length === 0 ? [] : [{ agentId, tokens: stop }],
    retracts: [],
  };
}

/** Leases that the agent would list if it had them. */
function endsOfAbsent(
  farm: Farm,
  liveness: Liveness,
  agent: AgentLiveness,
  now: Now,
): LeaseEnded[] {
  const ends: LeaseEnded[] = [];
  for (const token of farm.agents.get(agent.agentId)?.leases ?? []) {
    const lease = farm.leases.get(token);
    if (lease === undefined || agent.inventory.has(token)) continue;
    const end = endOfAbsent(lease, agent, liveness.leases.get(token));
    if (end === undefined) continue;
    const weighed = { ...end, excused: excusedOf(farm, liveness, lease) };
    ends.push(endLease(lease, stepOf(farm, lease.job, lease.step), weighed, now.wallMs));
    if (ends.length === MAX_ENDS_AT_ONCE) break;
  }
  return ends;
}

/** How much of the unit's losses before does not count. */
function excusedOf(farm: Farm, { agents }: Liveness, lease: LeaseRecord): number {
  const units = unitsOf(stepOf(farm, lease.job, lease.step));
  let excused = 0;
  for (const agentId of units.lostOn.get(lease.unit) ?? []) {
    const losses = agents.get(agentId)?.losses;
    if (losses !== undefined) excused += excusedLosses(losses, unitIdOf(farm, lease));
  }
  // A retry began to count anew.
  return Math.min(excused, units.lossCountOf(lease.unit));
}

function endOfAbsent(
  lease: Lease,
  agent: AgentLiveness,
  watched: LeaseLiveness | undefined,
): { readonly kind: EndKind; readonly message: string } | undefined {
  const wasRunning = watched?.running === true;
  if (lease.session !== agent.session) {
    const message = 'the agent was started again and does not have it any more';
    return { kind: wasRunning ? 'lost' : 'refused', message };
  }
  // Absence from an inventory says nothing about grants that the agent has not handled yet.
  if (lease.grantNumber > agent.grantsHandled) return undefined;
  if (wasRunning) return { kind: 'lost', message: 'the agent does not have it any more' };
  // It lists what is finished until the result is answered: what it had and has no more never began.
  return watched?.waited === true
    ? { kind: 'retracted', message: 'the agent handed it back' }
    : { kind: 'refused', message: 'the agent did not take it' };
}

/**
 * Listed leases: current ones are adopted by being known, lapsed ones go on, others must stop. What is
 * finished has nothing to stop: its result is on its way, and is answered.
 */
function reviewInventory(
  farm: Farm,
  agent: AgentLiveness,
  now: Now,
): { readonly resumed: readonly Fact[]; readonly stop: readonly Token[] } {
  const resumed: Fact[] = [];
  const stop: Token[] = [];
  const room = new Room(farm, agent);
  for (const held of waitingLast(agent)) {
    if (farm.leases.get(held.token)?.agentId === agent.agentId) continue;
    if (epochOf(held.token) > farm.epoch || held.state === 'ending') continue;
    const lapsed = farm.lapsed.get(held.token);
    if (lapsed?.agentId === agent.agentId && isStillQueued(farm, lapsed)) {
      // It may begin at once, as far as there is room: who cannot have begun next books nothing.
      const waits = !room.take(lapsed) && held.state === 'waiting';
      resumed.push(resumptionOf(lapsed, agent.session, waits, now));
      if (resumed.length === MAX_ENDS_AT_ONCE) break;
    } else if (held.state !== 'finished') stop.push(held.token);
  }
  return { resumed, stop };
}

function waitingLast(agent: AgentLiveness): Iterable<HeldLease> {
  const waits = ({ state }: HeldLease): number => (state === 'waiting' ? 1 : 0);
  return [...agent.inventory.values()].toSorted((a, b) => waits(a) - waits(b));
}

/** What an agent has room for beside what it books. */
class Room {
  readonly #farm: Farm;
  readonly #capacity: Capacity | undefined;
  readonly #booked: Booking;

  constructor(farm: Farm, { agentId, capacity }: AgentLiveness) {
    this.#farm = farm;
    this.#capacity = capacity;
    this.#booked = copyOf(farm.agents.get(agentId)?.booking ?? emptyBooking());
  }

  /** Books the lease if it fits on its GPUs. */
  take({ job, step, unit, gpuIds }: LeaseRecord): boolean {
    const capacity = this.#capacity;
    if (capacity === undefined) return true;
    const { demand } = sizeOfUnit(stepOf(this.#farm, job, step), unit);
    const gpus = capacity.gpus.filter(({ id }) => gpuIds.includes(id));
    if (fits(demand, { ...capacity, gpus }, this.#booked).state !== 'fits') return false;
    book(this.#booked, demand, gpuIds);
    return true;
  }
}

function isStillQueued(farm: Farm, lease: LeaseRecord): boolean {
  const units = unitsOf(stepOf(farm, lease.job, lease.step));
  return units.stateOf(lease.unit) === UNIT_QUEUED && units.tokenOf(lease.unit) === lease.token;
}

function resumptionOf(lease: LeaseRecord, session: string, waiting: boolean, now: Now): Fact {
  const { token, job, step, unit, agentId, gpuIds } = lease;
  return {
    type: 'LeaseResumed',
    token,
    job,
    step,
    unit,
    agentId,
    session,
    gpuIds,
    waiting,
    atMs: now.wallMs,
  };
}

/** Ends what expired or stands still, and notes what is slow. Of all leases only those are looked at where that can be by now. */
export function decideTick(farm: Farm, liveness: Liveness, now: Now): Decision {
  const facts: Fact[] = [];
  const stops = new Map<string, Token[]>();
  const retracts = new Map<string, Token[]>();
  for (const token of dueLooks(farm, liveness, now)) {
    const lease = farm.leases.get(token);
    if (lease === undefined) continue;
    const step = stepOf(farm, lease.job, lease.step);
    const stallTimeoutMs = stallTimeoutOf(step, farm.learned.get(step.kind));
    const end = expiryOf(lease, liveness, now) ?? stallOf(lease, liveness, stallTimeoutMs);
    const isForLater = facts.length === MAX_ENDS_AT_ONCE || endsBeside(farm, lease, facts);
    if (end !== undefined && !isForLater) {
      const excused = DOUBT + excusedOf(farm, liveness, lease);
      facts.push(endLease(lease, step, { ...end, excused }, now.wallMs));
      if (end.kind === 'stalled') addTo(stops, lease);
    } else if (end === undefined && waitsTooLong(lease, liveness)) addTo(retracts, lease);
    const copyLookMs =
      end === undefined ? noteStraggler(liveness, lease, step, now.monotonicMs) : Infinity;
    // Also of one that ends or is asked back: it is due until that is done.
    const lookMs = nextLookMs(lease, liveness, stallTimeoutMs, now);
    liveness.looks.set(token, Math.min(lookMs, copyLookMs));
  }
  facts.push(...toLearn(farm, liveness, now));
  return {
    facts,
    answer: { kind: 'done' },
    barrier: 'decided',
    stops: ordersOf(stops),
    retracts: ordersOf(retracts),
  };
}

/** Of a unit's two leases one ends at a time: the end of the last one decides about the unit. */
function endsBeside(farm: Farm, lease: Lease, ends: readonly Fact[]): boolean {
  const rival = ends.length === 0 ? undefined : rivalOf(farm, lease);
  return rival !== undefined && ends.some((end) => 'token' in end && end.token === rival);
}

function toLearn(farm: Farm, liveness: Liveness, now: Now): Fact[] {
  if (!liveness.measuring.isDue(now.monotonicMs)) return [];
  const sizes = sizesToLearn(farm, liveness, now);
  const models = liveness.seenMemories.news(farm.modelMemory);
  if (sizes.length + models.length === 0) return [];
  return [{ type: 'SizesLearned', sizes, models, atMs: now.wallMs }];
}

function sizesToLearn(farm: Farm, liveness: Liveness, now: Now): LearnedSize[] {
  const { measuring, agents, noExpiryBeforeMs } = liveness;
  const news = measuring.news(farm.learned);
  // After a takeover the one with the most room may not be back yet.
  return now.monotonicMs < noExpiryBeforeMs ? news : withinReach(farm, agents, news);
}

/** A lease that nobody has begun to watch is due at once: it must not live for ever. */
function dueLooks(farm: Farm, liveness: Liveness, now: Now): Iterable<Token> {
  const due = liveness.looks.take(now.monotonicMs);
  if (liveness.leases.size === farm.leases.size) return due;
  const unwatched = [...farm.leases.keys()].filter((token) => !liveness.leases.has(token));
  return new Set([...due, ...unwatched]);
}

/** Before this time the lease neither expires nor stalls, nor waits too long, whatever its agent says. */
function nextLookMs(lease: Lease, liveness: Liveness, stallTimeoutMs: number, now: Now): number {
  const nowMs = now.monotonicMs;
  const held = liveness.agents.get(lease.agentId)?.inventory.get(lease.token);
  const expiresMs = lastSignMs(lease, liveness) + liveness.leaseTtlMs;
  const dueMs = [Math.max(expiresMs, liveness.noExpiryBeforeMs)];
  const movedMs = held?.progressMovedMs ?? nowMs;
  if (stallTimeoutMs > 0) {
    dueMs.push((held?.state === 'running' ? movedMs : nowMs) + stallTimeoutMs);
  }
  if (held === undefined || held.state === 'waiting') dueMs.push(movedMs + LONGEST_WAIT_MS);
  return Math.min(...dueMs);
}

function addTo(orders: Map<string, Token[]>, { agentId, token }: Lease): void {
  const tokens = orders.get(agentId);
  if (tokens === undefined) orders.set(agentId, [token]);
  else tokens.push(token);
}

function ordersOf(orders: ReadonlyMap<string, readonly Token[]>): StopOrder[] {
  return [...orders].map(([agentId, tokens]) => ({ agentId, tokens }));
}

/** What waits was to begin soon: it goes back when its agent stands still, or has no room for it. */
function waitsTooLong({ agentId, token }: Lease, liveness: Liveness): boolean {
  const agent = liveness.agents.get(agentId);
  const held = agent?.inventory.get(token);
  if (agent === undefined || held?.state !== 'waiting') return false;
  return agent.lastBeatMs - held.progressMovedMs >= LONGEST_WAIT_MS;
}

type End = { readonly kind: EndKind; readonly message: string } | undefined;

function expiryOf(lease: Lease, liveness: Liveness, now: Now): End {
  if (now.monotonicMs < liveness.noExpiryBeforeMs) return undefined;
  if (now.monotonicMs - lastSignMs(lease, liveness) < liveness.leaseTtlMs) return undefined;
  return liveness.leases.get(lease.token)?.running === true
    ? { kind: 'lost', message: `no heartbeat for ${liveness.leaseTtlMs / 1000} s` }
    : { kind: 'expired', message: 'the grant was not answered' };
}

/** When the lease was granted, or an inventory listed it last. */
function lastSignMs({ agentId, token }: Lease, liveness: Liveness): number {
  const agent = liveness.agents.get(agentId);
  const lastBeatMs = agent?.inventory.has(token) === true ? agent.lastBeatMs : -Infinity;
  return Math.max(liveness.leases.get(token)?.sinceMs ?? -Infinity, lastBeatMs);
}

/** Progress is judged by the beats that came, never by silence: that is what expiry is for. */
function stallOf(lease: Lease, liveness: Liveness, stallTimeoutMs: number): End {
  const agent = liveness.agents.get(lease.agentId);
  const held = agent?.inventory.get(lease.token);
  if (agent === undefined || held?.state !== 'running' || stallTimeoutMs === 0) return undefined;
  if (agent.lastBeatMs - held.progressMovedMs < stallTimeoutMs) return undefined;
  return { kind: 'stalled', message: `no progress for ${stallTimeoutMs / 1000} s` };
}
