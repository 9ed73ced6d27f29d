/** Beats of agents: what each one says of itself and of what it holds, and whose beats are not taken. */
import { newTrust } from './agent-trust.ts';
import type { Capacity } from './demand.ts';
import { type AgentLiveness, type HeldLease, isOnline, type Liveness } from './liveness.ts';
import { newLosses, noteReturn } from './losses.ts';
import { prolongGrace } from './takeover-grace.ts';
import type { Token } from './token.ts';

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

const MAX_RETIRED_SESSIONS = 32;

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
