/**
 * What the coordinator knows of its agents but never journals: capacity, inventories, deadlines. All
 * of it is learned anew after a restart. Times here are milliseconds of the monotonic clock.
 */
import { book, type Booking, type Capacity, emptyBooking } from './demand.ts';
import type { GrantAnswered } from './commands.ts';
import type { Farm, Lease } from './farm.ts';
import type { Demand } from './task.ts';
import type { Token } from './token.ts';

export type HeldState = 'waiting' | 'running' | 'finished' | 'ending';

/** One entry of an agent's inventory. */
export interface HeldLease {
  readonly token: Token;
  readonly state: HeldState;
  /** Grows while the unit makes progress. */
  readonly progress: number;
}

/** A heartbeat. */
export interface Beat {
  readonly agentId: string;
  readonly session: string;
  /** By the agent's clock; 0 or absent when it does not say. */
  readonly sessionStartedAtMs?: number;
  readonly beat: number;
  readonly machineFingerprint: string;
  /** Undefined when unchanged since the last one. */
  readonly capacity: Capacity | undefined;
  readonly inventory: readonly HeldLease[];
  readonly grantsHandled: number;
  readonly workPlaneUp: boolean;
  readonly leaving: boolean;
}

interface HeldNow extends HeldLease {
  readonly progressMovedMs: number;
}

/** A process of a lease that ended here but still stands in its agent's inventory: booked. */
interface Ghost {
  readonly sinceMs: number;
  readonly grantNumber: number;
  readonly demand: Demand;
  readonly gpuIds: readonly string[];
}

export interface AgentLiveness {
  readonly agentId: string;
  readonly session: string;
  readonly sessionStartedAtMs: number;
  /** Sessions that this one replaced: their late beats are refused. */
  readonly retiredSessions: readonly string[];
  machineFingerprint: string;
  connected: boolean;
  lastBeatMs: number;
  capacity: Capacity | undefined;
  readonly inventory: Map<Token, HeldNow>;
  readonly ghosts: Map<Token, Ghost>;
  grantsHandled: number;
  lastGrantNumber: number;
  /** Grants up to this number are void unless they were handled. */
  releasedGrant: number;
  workPlaneUp: boolean;
  leaving: boolean;
  /** No grants before this time; grows with each grant that went wrong in a row. */
  grantsPausedUntilMs: number;
  grantFailures: number;
}

export interface LeaseLiveness {
  /** When it was granted or, after a takeover, when we began to watch. */
  sinceMs: number;
  /** True once an inventory showed it running. */
  running: boolean;
}

export interface Liveness {
  readonly leaseTtlMs: number;
  readonly agents: Map<string, AgentLiveness>;
  readonly leases: Map<Token, LeaseLiveness>;
  /** Nothing expires before this time: the grace after a takeover. */
  noExpiryBeforeMs: number;
}

export const MIN_TAKEOVER_GRACE_MS = 20_000;
const MAX_RETIRED_SESSIONS = 32;

export function newLiveness(leaseTtlMs: number): Liveness {
  return { leaseTtlMs, agents: new Map(), leases: new Map(), noExpiryBeforeMs: 0 };
}

/**
 * The listeners are ready: from now on agents can come back. Where there are no leases there is nobody
 * to wait for, and what is granted from now on expires as ever: a new farm loses no time.
 */
export function beginTakeoverGrace(
  liveness: Liveness,
  farm: Farm,
  nowMs: number,
  minGraceMs: number,
): void {
  if (farm.leases.size === 0) return;
  for (const token of farm.leases.keys()) watchLease(liveness, token, nowMs);
  liveness.noExpiryBeforeMs = nowMs + Math.max(minGraceMs, liveness.leaseTtlMs + 5_000);
}

/** Our own event loop stood still: nobody else is to blame for beats that were not read. */
export function extendByStall(liveness: Liveness, stallMs: number): void {
  liveness.noExpiryBeforeMs += stallMs;
  for (const agent of liveness.agents.values()) {
    agent.lastBeatMs += stallMs;
    for (const [token, held] of agent.inventory) {
      agent.inventory.set(token, { ...held, progressMovedMs: held.progressMovedMs + stallMs });
    }
  }
  for (const lease of liveness.leases.values()) lease.sinceMs += stallMs;
}

/** Takes note of a beat. A new session starts with a clean sheet. */
export function observeBeat(liveness: Liveness, beat: Beat, nowMs: number): AgentLiveness {
  const known = liveness.agents.get(beat.agentId);
  const agent = known?.session === beat.session ? known : newAgentLiveness(beat, known, nowMs);
  if (agent !== known) liveness.agents.set(beat.agentId, agent);
  // Nobody watched while it was silent, and it may have slept: its units' progress is watched anew.
  const wasSilent = nowMs - agent.lastBeatMs >= liveness.leaseTtlMs;
  agent.connected = true;
  agent.lastBeatMs = nowMs;
  agent.machineFingerprint = beat.machineFingerprint;
  if (beat.capacity !== undefined) agent.capacity = beat.capacity;
  agent.grantsHandled = Math.max(agent.grantsHandled, beat.grantsHandled);
  agent.lastGrantNumber = Math.max(agent.lastGrantNumber, agent.grantsHandled);
  agent.workPlaneUp = beat.workPlaneUp;
  agent.leaving = beat.leaving;
  observeInventory(liveness, agent, beat, wasSilent, nowMs);
  return agent;
}

function newAgentLiveness(
  beat: Beat,
  before: AgentLiveness | undefined,
  nowMs: number,
): AgentLiveness {
  const retired = before === undefined ? [] : [...before.retiredSessions, before.session];
  return {
    agentId: beat.agentId,
    session: beat.session,
    sessionStartedAtMs: beat.sessionStartedAtMs ?? 0,
    retiredSessions: retired.slice(-MAX_RETIRED_SESSIONS),
    machineFingerprint: beat.machineFingerprint,
    connected: true,
    lastBeatMs: nowMs,
    capacity: before?.capacity,
    inventory: new Map(),
    ghosts: new Map(),
    grantsHandled: beat.grantsHandled,
    lastGrantNumber: beat.grantsHandled,
    releasedGrant: 0,
    workPlaneUp: beat.workPlaneUp,
    leaving: beat.leaving,
    grantsPausedUntilMs: 0,
    grantFailures: 0,
  };
}

function observeInventory(
  liveness: Liveness,
  agent: AgentLiveness,
  beat: Beat,
  isWatchedAnew: boolean,
  nowMs: number,
): void {
  const listed = new Set<Token>();
  for (const held of beat.inventory) {
    listed.add(held.token);
    const before = agent.inventory.get(held.token);
    const moved =
      isWatchedAnew ||
      before === undefined ||
      held.progress > before.progress ||
      held.state !== before.state;
    agent.inventory.set(held.token, {
      ...held,
      progressMovedMs: moved ? nowMs : before.progressMovedMs,
    });
    const lease = liveness.leases.get(held.token);
    if (lease !== undefined && held.state === 'running') lease.running = true;
  }
  for (const token of agent.inventory.keys()) {
    if (!listed.has(token)) agent.inventory.delete(token);
  }
  for (const [token, ghost] of agent.ghosts) {
    // Absence means something only for grants that the agent has handled (or was told are void).
    const handled = ghost.grantNumber <= agent.grantsHandled;
    if (handled && !listed.has(token)) agent.ghosts.delete(token);
    // Lost on its way, with nothing left in it that would expire: void, or it stays booked for ever.
    else if (!handled && nowMs - ghost.sinceMs >= liveness.leaseTtlMs) {
      agent.releasedGrant = Math.max(agent.releasedGrant, ghost.grantNumber);
    }
  }
}

/** A lease was granted or, after a restart, found. */
export function watchLease(liveness: Liveness, token: Token, nowMs: number): void {
  liveness.leases.set(token, { sinceMs: nowMs, running: false });
}

/**
 * A lease is about to leave the book. What still runs on its agent stays booked until the inventory
 * no longer lists it; a reported result is the agent's word that nothing runs any more.
 */
export function unwatchLease(
  liveness: Liveness,
  lease: Lease,
  demand: Demand,
  reported: boolean,
  nowMs: number,
): void {
  liveness.leases.delete(lease.token);
  const agent = liveness.agents.get(lease.agentId);
  if (agent === undefined) return;
  if (reported) {
    agent.inventory.delete(lease.token);
    return;
  }
  if (!mayRun(agent, lease)) return;
  const { grantNumber, gpuIds } = lease;
  agent.ghosts.set(lease.token, { sinceMs: nowMs, grantNumber, demand, gpuIds });
}

/** Whether a process of this lease may exist on the agent. */
function mayRun(agent: AgentLiveness, lease: Lease): boolean {
  const held = agent.inventory.get(lease.token);
  if (held !== undefined) return held.state !== 'finished';
  return lease.session === agent.session && lease.grantNumber > agent.grantsHandled;
}

/** What runs on an agent without a current lease. Undefined: there is something of unknown size. */
export function ghostBooking(agent: AgentLiveness, farm: Farm): Booking | undefined {
  const booking = emptyBooking();
  for (const ghost of agent.ghosts.values()) book(booking, ghost.demand, ghost.gpuIds);
  for (const held of agent.inventory.values()) {
    if (held.state === 'finished' || farm.leases.has(held.token)) continue;
    if (!agent.ghosts.has(held.token)) return undefined;
  }
  return booking;
}

export function isOnline(liveness: Liveness, agent: AgentLiveness, nowMs: number): boolean {
  return agent.connected && nowMs - agent.lastBeatMs < liveness.leaseTtlMs;
}

const GRANT_PAUSE_MS = 500;
const MAX_GRANT_PAUSE_MS = 30_000;

/** Takes note of how a grant went. */
export function observeGrantAnswer(liveness: Liveness, answer: GrantAnswered, nowMs: number): void {
  const agent = liveness.agents.get(answer.agentId);
  if (agent === undefined || agent.session !== answer.session) return;
  const wentWell = answer.answer.state === 'answered' && answer.answer.refused.length === 0;
  if (wentWell) clearGrantPause(agent);
  else pauseGrants(agent, nowMs);
}

/** A grant went wrong: growing pauses, so that a box that refuses everything is not asked all day. */
function pauseGrants(agent: AgentLiveness, nowMs: number): void {
  const pause = Math.min(GRANT_PAUSE_MS * 2 ** agent.grantFailures, MAX_GRANT_PAUSE_MS);
  agent.grantFailures = Math.min(agent.grantFailures + 1, 16);
  agent.grantsPausedUntilMs = nowMs + pause;
}

function clearGrantPause(agent: AgentLiveness): void {
  agent.grantFailures = 0;
  agent.grantsPausedUntilMs = 0;
}

/** Why a beat is not taken, or undefined when it is. */
export function faultOfBeat(liveness: Liveness, beat: Beat, nowMs: number): string | undefined {
  const known = liveness.agents.get(beat.agentId);
  if (known === undefined) return undefined;
  if (known.retiredSessions.includes(beat.session) || isOvertaken(liveness, known, beat, nowMs)) {
    return `agent ${beat.agentId} was started again since: this process must end`;
  }
  return faultOfMachine(liveness, beat.agentId, beat.machineFingerprint, nowMs);
}

/**
 * A late beat of a process that has ended, which we meet only now: after a takeover, say. It would
 * retire the one that lives. A machine's clock may be set back: the word of a silent session counts for nothing.
 */
function isOvertaken(liveness: Liveness, known: AgentLiveness, beat: Beat, nowMs: number): boolean {
  const { session, sessionStartedAtMs = 0 } = beat;
  if (session === known.session || sessionStartedAtMs === 0) return false;
  if (nowMs - known.lastBeatMs >= liveness.leaseTtlMs) return false;
  return sessionStartedAtMs < known.sessionStartedAtMs;
}

/** Two live machines under one id, most likely a copied state folder. */
export function faultOfMachine(
  liveness: Liveness,
  agentId: string,
  machineFingerprint: string,
  nowMs: number,
): string | undefined {
  const known = liveness.agents.get(agentId);
  if (known === undefined || known.machineFingerprint === machineFingerprint) return undefined;
  if (!isOnline(liveness, known, nowMs)) return undefined;
  return `agent id ${agentId} is in use on another machine: delete this agent's state folder so that it gets an id of its own`;
}

/** The agent's stream is closed: no new grants, while its leases still run. */
export function observeClosedStream(liveness: Liveness, agentId: string, session: string): void {
  const agent = liveness.agents.get(agentId);
  if (agent?.session === session) agent.connected = false;
}
