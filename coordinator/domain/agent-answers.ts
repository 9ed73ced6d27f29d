/**
 * What each agent says to one more unit of a step, and why: the first reason it refuses. It asks what a
 * placement pass asks, in the same order, so that it cannot say other than what happens.
 */
import { isOnTrial, whySuspended } from './agent-trust.ts';
import { type Capacity, copyOf, emptyBooking, fits, lacking, unbook, whenEmpty } from './demand.ts';
import { roughly } from './durations.ts';
import type { AgentRecord, Lease, Slot } from './farm.ts';
import { ghostBooking } from './lease-watch.ts';
import type { AgentLiveness } from './liveness.ts';
import { whyKeptForGpu } from './gpu-reserve.ts';
import { whyKept } from './holds.ts';
import { offeredBy, whyClosed } from './roster.ts';
import { remainingMs, type Seen } from './estimates.ts';
import { newSeat, roomOn, type Seat } from './seats.ts';
import type { Size } from './size.ts';

export type AgentAnswer = { readonly agentId: string; readonly name: string } & Answer;

type Answer =
  /** It would take a unit now. */
  | { readonly state: 'fits' }
  /** It had no room, or did not answer, a moment ago: it is asked again by itself. */
  | { readonly state: 'paused'; readonly reason: string; readonly forMs: number }
  /** It has room once some of its units have ended. */
  | {
      readonly state: 'busy';
      readonly reason: string;
      /** Units that must end; undefined when what holds the room is no current unit. */
      readonly units: number | undefined;
      /** Undefined when nobody knows how long they take. */
      readonly freeInMs: number | undefined;
    }
  /** It has room, which is kept for a unit too large to find some by chance: only what ends sooner may go there. */
  | { readonly state: 'kept'; readonly reason: string }
  /** It has room once other programs there give back what they use. */
  | { readonly state: 'used-by-others'; readonly reason: string }
  /**
   * It takes nothing new from anybody, or has a GPU that cannot be used for now. `wouldFit`: if it did, and were empty, it would take this; undefined when
   * it has not said what it has.
   */
  | { readonly state: 'closed'; readonly reason: string; readonly wouldFit: boolean | undefined }
  /** `wouldFit`: with these attributes, and empty, it would take this. */
  | {
      readonly state: 'lacks';
      readonly reason: string;
      readonly attributes: readonly string[];
      readonly wouldFit: boolean;
    }
  | { readonly state: 'too-small'; readonly reason: string };

const ORDER = [
  'fits',
  'paused',
  'kept',
  'busy',
  'used-by-others',
  'closed',
  'too-small',
  'lacks',
] as const;

/** Of all agents that are known, those nearest to taking the unit first. */
export function agentAnswers(seen: Seen, size: Size): AgentAnswer[] {
  const answers = [...seen.farm.agents.values()].map((record) => ({
    agentId: record.id,
    name: record.name,
    ...answerOf(seen, record, size),
  }));
  return answers.toSorted((a, b) => farnessOf(a) - farnessOf(b) || (a.name < b.name ? -1 : 1));
}

/** How much would have to change, roughly. */
function farnessOf(answer: AgentAnswer): number {
  const isHopeless = answer.state === 'closed' && answer.wouldFit === false;
  return isHopeless ? ORDER.length : ORDER.indexOf(answer.state);
}

function answerOf(seen: Seen, record: AgentRecord, size: Size): Answer {
  const place = placeAt(seen, record);
  switch (place.state) {
    case 'open':
      return answerOfSeat(seen, place.seat, size);
    case 'paused':
      return place;
    case 'closed':
      return closedBecause(place.reason, place.capacity, size);
  }
}

/** Seats of the agents that may get units now, of whatever class. */
export function openSeats(seen: Pick<Seen, 'farm' | 'liveness' | 'now'>): Seat[] {
  return [...seen.farm.agents.values()].flatMap((record) => {
    const place = placeAt(seen, record);
    return place.state === 'open' ? [place.seat] : [];
  });
}

type Place =
  | { readonly state: 'open'; readonly seat: Seat }
  | { readonly state: 'paused'; readonly reason: string; readonly forMs: number }
  | { readonly state: 'closed'; readonly reason: string; readonly capacity: Capacity | undefined };

/** What holds for units of every class. */
function placeAt(
  { farm, liveness, now }: Pick<Seen, 'farm' | 'liveness' | 'now'>,
  record: AgentRecord,
): Place {
  const agent = liveness.agents.get(record.id);
  if (agent === undefined) {
    const reason = 'it has not been heard of since this coordinator leads';
    return { state: 'closed', reason, capacity: undefined };
  }
  const { capacity } = agent;
  // Of the reasons to be closed pauses alone end by themselves.
  const trust = { ...agent.trust, suspendedUntilMs: 0 };
  const reason = whyClosed(liveness, { ...agent, trust, grantsPausedUntilMs: 0 }, record, now);
  if (reason !== undefined) return { state: 'closed', reason, capacity };
  const suspended = whySuspended(agent.trust, now.monotonicMs);
  if (suspended !== undefined) {
    const forMs = agent.trust.suspendedUntilMs - now.monotonicMs;
    return { state: 'paused', reason: suspended, forMs };
  }
  if (now.monotonicMs < agent.grantsPausedUntilMs) return pausedByGrants(agent, now.monotonicMs);
  if (capacity === undefined) {
    return { state: 'closed', reason: 'it has not said what it has', capacity };
  }
  const ghosts = ghostBooking(agent, farm);
  if (ghosts === undefined) {
    const strays =
      'it still lists units that were ended here: they stay booked until it stops them';
    return { state: 'closed', reason: strays, capacity };
  }
  const shown = ghosts.leases > 0 ? ghosts : undefined;
  const offered = offeredBy(agent, capacity);
  const seat = newSeat(agent, record, offered, shown, now.monotonicMs);
  return { state: 'open', seat };
}

function closedBecause(reason: string, capacity: Capacity | undefined, { demand }: Size): Answer {
  const wouldFit = capacity && fits(demand, whenEmpty(capacity), emptyBooking()).state === 'fits';
  return { state: 'closed', reason, wouldFit };
}

function pausedByGrants(agent: AgentLiveness, nowMs: number): Place {
  const { grantFailures, grantsPausedUntilMs } = agent;
  const forMs = grantsPausedUntilMs - nowMs;
  const grants = grantFailures === 1 ? 'the last grant' : `the last ${grantFailures} grants`;
  const reason = `it refused ${grants}, or did not answer: it is asked again in ${roughly(forMs)}`;
  return { state: 'paused', reason, forMs };
}

/** The order in which `roomOn` looks. */
function answerOfSeat(seen: Seen, seat: Seat, size: Size): Answer {
  if (roomOn(seat, size) !== undefined) return keptOrFree(seen, seat, size);
  const pause = seat.agent.roomPauses.get(size.classKey);
  if (pause !== undefined && (seat.roomLeft?.get(size.classKey) ?? 1) <= 0) {
    const forMs = pause.untilMs - seen.now.monotonicMs;
    const reason = `it had no room for such units beside ${pause.places} a moment ago: it is asked again in ${roughly(forMs)}`;
    return { state: 'paused', reason, forMs };
  }
  return answerOfCapacity(size, seat.capacity) ?? busy(seen, seat, size);
}

/** Whoever has a higher priority than those it is kept for does not wait, and does not ask. */
function keptOrFree({ liveness, now }: Seen, seat: Seat, { classKey, demand }: Size): Answer {
  const reason =
    whyKept(liveness, seat.agent.agentId, classKey, now.monotonicMs) ??
    whyKeptForGpu(liveness.hunger, seat, demand, -Infinity);
  return reason === undefined ? { state: 'fits' } : { state: 'kept', reason };
}

/** Why it would not fit if no unit ran there; undefined when it would. */
function answerOfCapacity({ demand }: Size, capacity: Capacity): Answer | undefined {
  const empty = whenEmpty(capacity);
  const attributes = lacking(demand, capacity);
  const atBest = fits(demand, empty, emptyBooking());
  if (attributes.length > 0 && atBest.state === 'short') {
    const wouldFit = fits({ ...demand, attributes: [] }, empty, emptyBooking()).state === 'fits';
    return { state: 'lacks', reason: atBest.reason(), attributes, wouldFit };
  }
  if (atBest.state === 'short') return { state: 'too-small', reason: atBest.reason() };
  const alone = fits(demand, capacity, emptyBooking());
  if (alone.state === 'fits') return undefined;
  const reason = alone.reason();
  const isWell = fits(demand, whenWell(capacity), emptyBooking()).state === 'short';
  return isWell ? { state: 'used-by-others', reason } : { state: 'closed', reason, wouldFit: true };
}

/** With all its GPUs usable, and what others use of them. */
function whenWell(capacity: Capacity): Capacity {
  return {
    ...capacity,
    gpus: capacity.gpus.map((gpu) => ({ ...gpu, unusableReason: undefined })),
  };
}

function busy(seen: Seen, seat: Seat, size: Size): Answer {
  const beside = fits(size.demand, seat.capacity, seat.booked);
  const { trust } = seat.agent;
  const reason = isOnTrial(trust)
    ? `is on trial and takes one unit at a time: ${trust.reason}`
    : beside.state === 'short'
      ? beside.reason()
      : 'has no room beside what it runs';
  return { state: 'busy', reason, ...whenFree(seen, seat, size) };
}

/** How many of the agent's units must end until there is room, the next to end first, and when that is. */
function whenFree(
  seen: Seen,
  seat: Seat,
  { demand }: Size,
): { readonly units: number | undefined; readonly freeInMs: number | undefined } {
  const booked = copyOf(seat.booked);
  let units = 0;
  for (const { slot, leftMs } of placesGivenBack(seen, seat.record)) {
    unbook(booked, slot.demand, slot.gpuIds);
    units += 1;
    if (fits(demand, seat.capacity, booked).state === 'fits') {
      return { units, freeInMs: leftMs === Infinity ? undefined : leftMs };
    }
  }
  return { units: undefined, freeInMs: undefined };
}

/** Places of the agent's leases in the order in which they become free; Infinity where nobody knows. */
function placesGivenBack(
  seen: Seen,
  { leases, slots }: AgentRecord,
): readonly { readonly slot: Slot; readonly leftMs: number }[] {
  const ends = new Map<Slot, number[]>([...slots.values()].map((slot) => [slot, []]));
  for (const lease of leasesIn(seen, leases)) {
    ends.get(lease.slot)?.push(remainingMs(seen, lease) ?? Infinity);
  }
  const places = [...ends].flatMap(([slot, leftMs]) =>
    // The first places that become free are taken by leases that wait there.
    leftMs
      .toSorted((a, b) => a - b)
      .slice(slot.held - slot.booked)
      .map((ms) => ({ slot, leftMs: ms })),
  );
  return places.toSorted((a, b) => (a.leftMs === b.leftMs ? 0 : a.leftMs - b.leftMs));
}

function leasesIn({ farm }: Seen, tokens: AgentRecord['leases']): Lease[] {
  return [...tokens].flatMap((token) => farm.leases.get(token) ?? []);
}
