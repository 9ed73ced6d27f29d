/**
 * What the coordinator knows of its agents but never journals: capacity, inventories, deadlines. All
 * of it is learned anew after a restart. Times here are milliseconds of the monotonic clock.
 */
import { newTrust, type Trust } from './agent-trust.ts';
import { book, type Booking, type Capacity, emptyBooking } from './demand.ts';
import type { GrantAnswered, ReportedResult, ReportResults } from './commands.ts';
import type { Usages } from './fair-share.ts';
import type { Farm, Lease, StepRun } from './farm.ts';
import { grantPauseMs, type RoomPauses } from './grant-pause.ts';
import type { Hold, Hunger } from './holds.ts';
import { LeaseLooks } from './lease-looks.ts';
import { type Losses, newLosses, noteReturn } from './losses.ts';
import { Measuring } from './measuring.ts';
import { modelOfTask, SeenMemories } from './model-memory.ts';
import { noteRuns, paceKeyOf, type Paces } from './pace.ts';
import { RunTimes } from './run-times.ts';
import { newSharedTrouble, type SharedTrouble } from './shared-trouble.ts';
import type { Growth } from './size.ts';
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
  /** Listed as waiting, ended here: they begin, if at all, in a place that is booked for others. */
  readonly placeless: Set<Token>;
  grantsHandled: number;
  lastGrantNumber: number;
  /** Grants up to this number are void unless they were handled. */
  releasedGrant: number;
  workPlaneUp: boolean;
  leaving: boolean;
  /** No grants before this time; grows with each grant that went wrong in a row. */
  grantsPausedUntilMs: number;
  grantFailures: number;
  /** Classes of units that it had no room for. */
  readonly roomPauses: RoomPauses;
  /** How fast it gets through units. */
  readonly paces: Paces;
  /** Whether it gets work, by how its units went. */
  readonly trust: Trust;
  /** Units that were lost with it. */
  readonly losses: Losses;
  /** Whether its last inventory shows something that is in no book; undefined when not looked at yet. */
  hasStrays: boolean | undefined;
}

export interface LeaseLiveness {
  /** When it was granted or, after a takeover, when we began to watch. */
  sinceMs: number;
  /** True once an inventory showed it running. */
  running: boolean;
  /** When that was. */
  runningSinceMs: number | undefined;
  /** True once an inventory showed it waiting. */
  waited: boolean;
}

export interface Liveness {
  readonly leaseTtlMs: number;
  /** Most leases of the farm; 0 for no limit. */
  readonly maxUnits: number;
  readonly agents: Map<string, AgentLiveness>;
  readonly leases: Map<Token, LeaseLiveness>;
  /** Of all leases. */
  readonly looks: LeaseLooks;
  /** What several agents cannot reach. */
  readonly shared: SharedTrouble;
  /** What results show that the journal does not have yet. */
  readonly measuring: Measuring;
  /** The same of models. */
  readonly seenMemories: SeenMemories;
  /** What owners had. */
  readonly usages: Usages;
  readonly runTimes: RunTimes;
  /** By class: who finds no room. */
  readonly hunger: Map<string, Hunger>;
  /** By agent: who is kept for whom. */
  readonly holds: Map<string, Hold>;
  /** Leases whose units should have a second copy, until the next pass. */
  readonly stragglers: Set<Token>;
  /** Nothing expires before this time: the grace after a takeover. */
  noExpiryBeforeMs: number;
}

export const MIN_TAKEOVER_GRACE_MS = 20_000;
/** Agents try again at least so often: when none came back for so long, the others will not. */
const ARRIVAL_GAP_MS = 5_000;
const MAX_RETIRED_SESSIONS = 32;
/** Short units are over by then, and nothing is due sooner. */
const FIRST_LOOK_MS = 1_000;

export function newLiveness(leaseTtlMs: number, maxUnits = 0): Liveness {
  return {
    leaseTtlMs,
    maxUnits,
    agents: new Map(),
    leases: new Map(),
    looks: new LeaseLooks(),
    shared: newSharedTrouble(),
    measuring: new Measuring(),
    seenMemories: new SeenMemories(),
    usages: new Map(),
    runTimes: new RunTimes(),
    hunger: new Map(),
    holds: new Map(),
    stragglers: new Set(),
    noExpiryBeforeMs: 0,
  };
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

/** The grace lasts while agents still arrive: each counts once. */
function prolongGrace(liveness: Liveness, nowMs: number): void {
  if (nowMs >= liveness.noExpiryBeforeMs) return;
  liveness.noExpiryBeforeMs = Math.max(liveness.noExpiryBeforeMs, nowMs + ARRIVAL_GAP_MS);
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
  for (const lease of liveness.leases.values()) {
    lease.sinceMs += stallMs;
    if (lease.runningSinceMs !== undefined) lease.runningSinceMs += stallMs;
  }
}

/** Takes note of a beat. A new session starts with a clean sheet. */
export function observeBeat(liveness: Liveness, beat: Beat, nowMs: number): AgentLiveness {
  const known = liveness.agents.get(beat.agentId);
  const agent = known?.session === beat.session ? known : newAgentLiveness(beat, known, nowMs);
  if (agent !== known) liveness.agents.set(beat.agentId, agent);
  if (known === undefined) prolongGrace(liveness, nowMs);
  // Nobody watched while it was silent, and it may have slept: its units' progress is watched anew.
  const wasSilent = nowMs - agent.lastBeatMs >= liveness.leaseTtlMs;
  agent.connected = true;
  agent.lastBeatMs = nowMs;
  noteReturn(agent.losses);
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
    placeless: new Set(),
    grantsHandled: beat.grantsHandled,
    lastGrantNumber: beat.grantsHandled,
    releasedGrant: 0,
    workPlaneUp: beat.workPlaneUp,
    leaving: beat.leaving,
    grantsPausedUntilMs: 0,
    grantFailures: 0,
    roomPauses: new Map(),
    paces: new Map(),
    trust: before?.trust ?? newTrust(),
    losses: newLosses(before?.losses),
    hasStrays: undefined,
  };
}

function observeInventory(
  liveness: Liveness,
  agent: AgentLiveness,
  beat: Beat,
  isWatchedAnew: boolean,
  nowMs: number,
): void {
  agent.hasStrays = undefined;
  if (beat.inventory.length + agent.inventory.size + agent.ghosts.size === 0) return;
  const listed = new Set<Token>();
  for (const held of beat.inventory) {
    listed.add(held.token);
    const before = agent.inventory.get(held.token);
    const lease = liveness.leases.get(held.token);
    if (lease !== undefined && held.state === 'running') {
      lease.running = true;
      lease.runningSinceMs ??= nowMs;
    } else if (lease !== undefined && held.state === 'waiting') lease.waited = true;
    const isSame = before?.state === held.state && before.progress === held.progress;
    if (isSame && !isWatchedAnew) continue;
    const moved =
      isWatchedAnew ||
      before === undefined ||
      held.progress > before.progress ||
      held.state !== before.state;
    agent.inventory.set(held.token, {
      ...held,
      progressMovedMs: moved ? nowMs : before.progressMovedMs,
    });
  }
  for (const token of agent.inventory.keys()) {
    if (!listed.has(token)) agent.inventory.delete(token);
  }
  for (const token of agent.placeless) if (!listed.has(token)) agent.placeless.delete(token);
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
  liveness.leases.set(token, {
    sinceMs: nowMs,
    running: false,
    runningSinceMs: undefined,
    waited: false,
  });
  liveness.looks.set(token, nowMs + Math.min(FIRST_LOOK_MS, liveness.leaseTtlMs));
}

/**
 * A lease is about to leave the book. What still runs on its agent stays booked until the inventory
 * no longer lists it; a reported result is the agent's word that nothing runs any more. Answers whether
 * it stays booked.
 */
export function unwatchLease(
  liveness: Liveness,
  lease: Lease,
  end: { readonly reported: boolean; readonly leavesPlace: boolean },
  nowMs: number,
): boolean {
  liveness.leases.delete(lease.token);
  liveness.looks.delete(lease.token);
  const agent = liveness.agents.get(lease.agentId);
  if (agent === undefined) return false;
  if (end.reported) {
    agent.inventory.delete(lease.token);
    return false;
  }
  if (!mayRun(agent, lease, end.leavesPlace)) {
    if (agent.inventory.has(lease.token)) agent.placeless.add(lease.token);
    return false;
  }
  const { grantNumber, gpuIds, slot } = lease;
  agent.ghosts.set(lease.token, { sinceMs: nowMs, grantNumber, demand: slot.demand, gpuIds });
  return true;
}

/**
 * Whether a process of this lease may exist on the agent beyond what stays booked. One that has not begun
 * may begin until it is told: in the place that it books, if nobody takes that over.
 */
function mayRun(agent: AgentLiveness, lease: Lease, leavesPlace: boolean): boolean {
  const held = agent.inventory.get(lease.token);
  if (held?.state === 'running' || held?.state === 'ending') return true;
  if (held !== undefined) return held.state === 'waiting' && leavesPlace;
  return leavesPlace && lease.session === agent.session && lease.grantNumber > agent.grantsHandled;
}

/** What runs on an agent without a current lease. Undefined: there is something of unknown size. */
export function ghostBooking(agent: AgentLiveness, farm: Farm): Booking | undefined {
  const booking = emptyBooking();
  for (const ghost of agent.ghosts.values()) book(booking, ghost.demand, ghost.gpuIds);
  agent.hasStrays ??= listsStrays(agent, farm);
  return agent.hasStrays ? undefined : booking;
}

/** One that waits counts too: it may begin, before it is told that it must not. */
function listsStrays({ inventory, ghosts, placeless }: AgentLiveness, farm: Farm): boolean {
  for (const { state, token } of inventory.values()) {
    if (state === 'finished' || farm.leases.has(token)) continue;
    if (!ghosts.has(token) && !(state === 'waiting' && placeless.has(token))) return true;
  }
  return false;
}

export function isOnline(liveness: Liveness, agent: AgentLiveness, nowMs: number): boolean {
  return agent.connected && nowMs - agent.lastBeatMs < liveness.leaseTtlMs;
}

/** Takes note of how long units ran, and what they took. */
export function observeResults(liveness: Liveness, farm: Farm, command: ReportResults): void {
  const agent = liveness.agents.get(command.agentId);
  if (agent === undefined) return;
  const sums = new Map<string, { runs: number; runMs: number; readonly eachMs: number[] }>();
  for (const result of command.results) {
    const { token, job, step, outcome, runMs } = result;
    noteModelMemory(liveness, farm, result);
    // What failed says nothing of how long it takes to succeed.
    if (outcome.state !== 'succeeded') continue;
    const key = paceKeyOf(job, step);
    const sum = sums.get(key) ?? { runs: 0, runMs: 0, eachMs: [] };
    sums.set(key, sum);
    sum.runs += 1;
    sum.runMs += runMs;
    // One that is offered again has been noted.
    if (liveness.leases.has(token)) sum.eachMs.push(runMs);
    const run = farm.jobs.get(job)?.steps.find(({ spec }) => spec.name === step);
    if (run !== undefined) liveness.measuring.note(run.kind, runMs, tellingPeak(farm, run, result));
  }
  for (const [key, { runs, runMs, eachMs }] of sums) {
    noteRuns(agent.paces, key, runMs / runs);
    liveness.runTimes.note(key, runMs / runs, eachMs);
  }
}

/** Only of its own model, and once: what is offered again has been noted. */
function noteModelMemory(
  liveness: Liveness,
  farm: Farm,
  { token, job, step, modelMemory }: ReportedResult,
): void {
  if (modelMemory === undefined || !liveness.leases.has(token)) return;
  const run = farm.jobs.get(job)?.steps.find(({ spec }) => spec.name === step);
  if (modelOfTask(run?.spec.task)?.sha256 !== modelMemory.sha256) return;
  liveness.seenMemories.note(farm.modelMemory, modelMemory);
}

/**
 * Its peak, as far as it tells what its kind of work needs. A unit with a model cuts its pictures to what it was
 * given: that it took that much says nothing, and would only make the next ones larger.
 */
function tellingPeak(farm: Farm, { spec }: StepRun, { token, peak }: ReportedResult): Growth {
  const given = farm.leases.get(token)?.slot.demand;
  if (given === undefined || modelOfTask(spec.task) === undefined) return peak;
  return {
    ramBytes: peak.ramBytes <= given.ramBytes ? 0 : peak.ramBytes,
    vramBytes: peak.vramBytes <= given.vramBytes ? 0 : peak.vramBytes,
  };
}

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
  agent.grantFailures += 1;
  agent.grantsPausedUntilMs = nowMs + grantPauseMs(agent.grantFailures);
}

function clearGrantPause(agent: AgentLiveness): void {
  agent.grantFailures = 0;
  agent.grantsPausedUntilMs = 0;
}

/** All agents may be offered anything again, whatever they refused. */
export function forgetPauses(liveness: Liveness): void {
  for (const agent of liveness.agents.values()) {
    clearGrantPause(agent);
    agent.roomPauses.clear();
  }
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
