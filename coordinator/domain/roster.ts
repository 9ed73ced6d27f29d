/**
 * The agents that may get units, as a placement pass needs them, kept from pass to pass: a pass over
 * thousands of agents for every job that comes would cost more than all else.
 *
 * A seat is as good as the last look at its agent. Whoever knows of a change asks for a new look; that an
 * agent is closed meanwhile (it fell silent, say) is seen when it is picked.
 */
import { isOnTrial, whySuspended } from './agent-trust.ts';
import type { Now } from './decision.ts';
import type { Capacity } from './demand.ts';
import type { AgentRecord, Farm } from './farm.ts';
import { ghostBooking } from './lease-watch.ts';
import { type AgentLiveness, isOnline, type Liveness } from './liveness.ts';
import { takesShortUnits } from './pace.ts';
import { SeatOrders, type Totals } from './seat-orders.ts';
import { newSeat, type Seat } from './seats.ts';

export class Roster {
  /** All seats. */
  readonly orders = new SeatOrders();
  readonly #seats = new Map<string, Seat>();
  /** Agents that get through units so fast that some may wait there. */
  readonly #quick = new Set<string>();
  /** When the next pause of an agent ends that is open but for pauses: of all grants, or of a class. */
  readonly #pausedUntilMs = new Map<string, number>();
  #cpuMillis = 0;
  #ramBytes = 0;

  get totals(): Totals {
    return { agents: this.#seats.size, cpuMillis: this.#cpuMillis, ramBytes: this.#ramBytes };
  }

  /** Looks at everybody. */
  reset(farm: Farm, liveness: Liveness, now: Now): void {
    for (const agentId of this.#seats.keys()) this.#forget(agentId);
    for (const known of [this.#quick, this.#pausedUntilMs]) known.clear();
    for (const agentId of liveness.agents.keys()) this.#look(farm, liveness, now, agentId);
    this.orders.reset([...this.#seats.values()]);
  }

  /** Looks at one agent again. Answers its seat, if it has one. */
  reseat(farm: Farm, liveness: Liveness, now: Now, agentId: string): Seat | undefined {
    const before = this.#seats.get(agentId);
    this.#forget(agentId);
    const seat = this.#look(farm, liveness, now, agentId);
    this.orders.replace(before, seat);
    return seat;
  }

  seatOf(agentId: string): Seat | undefined {
    return this.#seats.get(agentId);
  }

  isQuick(agentId: string): boolean {
    return this.#quick.has(agentId);
  }

  /** Seats of those that are quick still, and open. */
  quickSeats(liveness: Liveness, now: Now): Seat[] {
    const seats = [...this.#quick].flatMap((agentId) => this.#seats.get(agentId) ?? []);
    return seats.filter(
      ({ agent, record }) =>
        takesShortUnits(agent.paces, now.monotonicMs) &&
        whyClosed(liveness, agent, record, now) === undefined,
    );
  }

  /** Agents of which a pause is over: each is named once. */
  endPauses(nowMs: number): string[] {
    const over = [...this.#pausedUntilMs].filter(([, untilMs]) => nowMs >= untilMs);
    for (const [agentId] of over) this.#pausedUntilMs.delete(agentId);
    return over.map(([agentId]) => agentId);
  }

  #forget(agentId: string): void {
    const seat = this.#seats.get(agentId);
    if (seat !== undefined) this.#count(seat, -1);
    for (const known of [this.#seats, this.#quick, this.#pausedUntilMs]) known.delete(agentId);
  }

  #look(farm: Farm, liveness: Liveness, now: Now, agentId: string): Seat | undefined {
    const agent = liveness.agents.get(agentId);
    const record = farm.agents.get(agentId);
    if (agent?.capacity === undefined || record === undefined) return undefined;
    const nowMs = now.monotonicMs;
    const pausedUntilMs = nextPauseEndMs(agent, nowMs);
    if (pausedUntilMs !== undefined) this.#pausedUntilMs.set(agentId, pausedUntilMs);
    const isPaused = nowMs < Math.max(agent.grantsPausedUntilMs, agent.trust.suspendedUntilMs);
    if (!isPaused && whyClosed(liveness, agent, record, now) !== undefined) return undefined;
    const ghosts = ghostBooking(agent, farm);
    if (ghosts === undefined) return undefined;
    const shown = ghosts.leases > 0 ? ghosts : undefined;
    const seat = newSeat(agent, record, offeredBy(agent, agent.capacity), shown, nowMs);
    this.#seats.set(agentId, seat);
    this.#count(seat, 1);
    const isTrusted = !isOnTrial(agent.trust);
    if (isTrusted && takesShortUnits(agent.paces, nowMs)) this.#quick.add(agentId);
    return seat;
  }

  #count({ capacity }: Seat, sign: 1 | -1): void {
    this.#cpuMillis += sign * capacity.cpuMillis;
    this.#ramBytes += sign * capacity.ramTotalBytes;
  }
}

/** What an agent offers of what it has: one place while it is on trial. */
export function offeredBy({ trust }: AgentLiveness, capacity: Capacity): Capacity {
  return isOnTrial(trust) ? { ...capacity, maxUnits: 1 } : capacity;
}

/** When the next of an agent's pauses ends; undefined when none is on. */
function nextPauseEndMs(agent: AgentLiveness, nowMs: number): number | undefined {
  const ends = [agent.grantsPausedUntilMs, agent.trust.suspendedUntilMs];
  for (const { untilMs } of agent.roomPauses.values()) ends.push(untilMs);
  const open = ends.filter((untilMs) => nowMs < untilMs);
  return open.length === 0 ? undefined : Math.min(...open);
}

/** Why an agent gets nothing new, or undefined when it may. */
export function whyClosed(
  liveness: Liveness,
  agent: AgentLiveness,
  record: AgentRecord,
  now: Now,
): string | undefined {
  if (record.revokedAtMs !== 0) return 'it was revoked';
  if (!agent.connected) return 'its connection is closed';
  if (!isOnline(liveness, agent, now.monotonicMs)) return 'it does not answer';
  if (record.draining) return 'it is drained';
  if (agent.leaving) return 'it is leaving';
  if (agent.capacity?.closedReason !== undefined) return agent.capacity.closedReason;
  if (!agent.workPlaneUp) return 'it has no connection to NATS';
  const nowMs = now.monotonicMs;
  if (nowMs < agent.grantsPausedUntilMs) return 'it refused grants a moment ago';
  return whySuspended(agent.trust, nowMs);
}
