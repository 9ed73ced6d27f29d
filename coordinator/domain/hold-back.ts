/**
 * What keeps a unit from starting wherever it would fit: its job's and its owner's limits, and tickets that
 * others hold.
 */
import { ticketsOf } from './demand.ts';
import { roughly } from './durations.ts';
import type { Farm, Job } from './farm.ts';
import { isOnline, type Liveness } from './liveness.ts';
import { ownerOf } from './sharing.ts';
import type { Demand } from './task.ts';

/** Units that may still be leased, of whatever job; Infinity without a limit. */
export function unitsLeftOfFarm(farm: Farm, { maxUnits }: Liveness): number {
  return maxUnits === 0 ? Infinity : maxUnits - farm.leases.size;
}

/** Units of the job that may still be leased; Infinity without a limit. */
export function unitsLeftOfJob(job: Job): number {
  if (job.maxUnits === 0) return Infinity;
  return job.maxUnits - leasesOf(job);
}

/** Second copies included. */
function leasesOf(job: Job): number {
  return job.steps.reduce(
    (sum, { units }) => sum + (units === undefined ? 0 : units.counts.leased + units.copies.size),
    0,
  );
}

/** Units of the owner that may still be leased; Infinity without a limit. */
export function unitsLeftOfOwner(farm: Farm, name: string): number {
  const { maxUnits, leases } = ownerOf(farm, name);
  return maxUnits === 0 ? Infinity : maxUnits - leases;
}

/**
 * What may still run on a silent agent keeps its tickets for so long: they are licences, and whoever was only cut
 * off uses them all the while. A box that died would keep them for ever.
 */
const SILENT_TICKETS_MS = 2 * 60_000;

/** Tickets that nobody holds. What may still run on an agent, although its lease has ended, holds its own. */
export function freeTickets(farm: Farm, liveness: Liveness, nowMs: number): Map<string, number> {
  const free = new Map<string, number>();
  for (const { name, limit, used } of farm.tickets.values()) free.set(name, limit - used);
  if (free.size === 0) return free;
  for (const agent of liveness.agents.values()) {
    if (nowMs - agent.lastBeatMs >= SILENT_TICKETS_MS) continue;
    for (const { demand } of agent.ghosts.values()) take(free, demand);
  }
  return free;
}

/** Who is silent and keeps some of a ticket all the same, in words; empty when nobody does. */
function silentHolders(farm: Farm, liveness: Liveness, name: string, nowMs: number): string {
  for (const agent of liveness.agents.values()) {
    const leftMs = agent.lastBeatMs + SILENT_TICKETS_MS - nowMs;
    if (leftMs <= 0 || isOnline(liveness, agent, nowMs)) continue;
    const used = [...agent.ghosts.values()].some(({ demand }) =>
      ticketsOf(demand).some(([ticket]) => ticket === name),
    );
    const who = farm.agents.get(agent.agentId)?.name ?? agent.agentId;
    if (used) return `; ${who} is silent and may still use some, for ${roughly(leftMs)} more`;
  }
  return '';
}

/** How many units of the demand there are tickets for; Infinity when it takes none. */
export function unitsLeftOfTickets(free: ReadonlyMap<string, number>, demand: Demand): number {
  return ticketsOf(demand).reduce(
    (least, [name, count]) => Math.min(least, Math.floor((free.get(name) ?? 0) / count)),
    Infinity,
  );
}

export function take(free: Map<string, number>, demand: Demand): void {
  for (const [name, count] of ticketsOf(demand)) free.set(name, (free.get(name) ?? 0) - count);
}

/** Why no unit of the job's step may start now, whoever has room; undefined when one may. */
export function whyHeldBack(
  farm: Farm,
  liveness: Liveness,
  job: Job,
  demand: Demand,
  nowMs: number,
): string | undefined {
  if (unitsLeftOfFarm(farm, liveness) <= 0) {
    return `the farm has ${farm.leases.size} of at most ${liveness.maxUnits} units leased`;
  }
  if (unitsLeftOfJob(job) <= 0) {
    return `its job has ${leasesOf(job)} of at most ${job.maxUnits} units leased`;
  }
  if (unitsLeftOfOwner(farm, job.owner) <= 0) {
    const { leases, maxUnits } = ownerOf(farm, job.owner);
    const whose = job.owner === '' ? "nobody's jobs have" : `${job.owner} has`;
    return `${whose} ${leases} of at most ${maxUnits} units leased`;
  }
  const free = freeTickets(farm, liveness, nowMs);
  for (const [name, count] of ticketsOf(demand)) {
    const left = free.get(name) ?? 0;
    if (left >= count) continue;
    const limit = farm.tickets.get(name)?.limit ?? 0;
    const silent = silentHolders(farm, liveness, name, nowMs);
    return `it needs ${count} of ticket ${name}, of which ${Math.max(0, left)} of ${limit} are free${silent}`;
  }
  return undefined;
}
