/**
 * What the coordinator knows of its agents but never journals: capacity, inventories, deadlines. All
 * of it is learned anew after a restart. Times here are milliseconds of the monotonic clock.
 */
import type { Trust } from './agent-trust.ts';
import type { Capacity } from './demand.ts';
import type { Usages } from './fair-share.ts';
import type { RoomPauses } from './grant-pause.ts';
import type { Hold, Hunger } from './holds.ts';
import { LeaseLooks } from './lease-looks.ts';
import type { Losses } from './losses.ts';
import { Measuring } from './measuring.ts';
import { SeenMemories } from './model-memory.ts';
import type { Paces } from './pace.ts';
import { RunTimes } from './run-times.ts';
import { newSharedTrouble, type SharedTrouble } from './shared-trouble.ts';
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

export function isOnline(liveness: Liveness, agent: AgentLiveness, nowMs: number): boolean {
  return agent.connected && nowMs - agent.lastBeatMs < liveness.leaseTtlMs;
}
