/**
 * Growing pauses between grants that come to nothing. An agent that does not answer, or refuses, gets nothing
 * for a while. One that turns out to have no room for a class of units, whatever its capacity says, gets
 * no more of that class than it has room for: other units may fit it all the same.
 */
import type { GrantAnswered } from './commands.ts';
import type { Slot } from './farm.ts';
import type { AgentLiveness, Liveness } from './liveness.ts';

export interface RoomPause {
  readonly untilMs: number;
  /** Pauses in a row. */
  readonly failures: number;
  /** So many of the class it had room for. */
  readonly places: number;
}

/** By class. */
export type RoomPauses = Map<string, RoomPause>;

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;
/** A pause that was over for so long, and no other since, is forgotten. */
const REMEMBERED_MS = 60_000;
const MOST_CLASSES = 256;

/** The pause after so many failures in a row, from 1. */
function grantPauseMs(failures: number): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 16), MAX_PAUSE_MS);
}

/** The agent had no room for a unit of the class beside `places` others of it. */
export function noteNoRoom(
  pauses: RoomPauses,
  classKey: string,
  places: number,
  nowMs: number,
): void {
  const before = pauses.get(classKey);
  if (before !== undefined && nowMs < before.untilMs) {
    // It was granted before the pause began: what comes back together is one failure.
    pauses.set(classKey, { ...before, places: Math.min(before.places, places) });
    return;
  }
  const isAgain = before !== undefined && nowMs - before.untilMs < REMEMBERED_MS;
  const failures = isAgain ? before.failures + 1 : 1;
  pauses.delete(classKey);
  pauses.set(classKey, { untilMs: nowMs + grantPauseMs(failures), failures, places });
  const [oldest] = pauses.keys();
  if (pauses.size > MOST_CLASSES && oldest !== undefined) pauses.delete(oldest);
}

/** What may still be booked at the agent of each class that pauses; undefined when none does. */
export function roomByClass(
  pauses: RoomPauses,
  slots: ReadonlyMap<string, Slot>,
  nowMs: number,
): Map<string, number> | undefined {
  if (pauses.size === 0) return undefined;
  const room = new Map<string, number>();
  for (const [classKey, { untilMs, places }] of pauses) {
    if (nowMs < untilMs) room.set(classKey, places - placesBooked(slots, classKey));
  }
  return room.size === 0 ? undefined : room;
}

/** Leases of a class that may run at an agent. */
export function placesBooked(slots: ReadonlyMap<string, Slot>, classKey: string): number {
  let places = 0;
  for (const slot of slots.values()) if (slot.classKey === classKey) places += slot.booked;
  return places;
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
