/**
 * Steps whose units must all be done by one version of a tool: chunks of a film that two versions of an encoder
 * made cannot be joined. Such a step is bound by the first lease of one of its units, and free again when
 * none is held and none has its result.
 *
 * Of the versions that agents have, the one with most processors is chosen: a film must not be left to the one
 * box that was never updated, only because it was idle.
 */
import type { StepRun } from './farm.ts';
import type { Seat } from './seats.ts';
import type { Demand } from './task.ts';

/** Whether the step's next unit decides which version the others get. */
export function isUnbound({ spec, pin }: StepRun): boolean {
  return spec.uniform !== undefined && spec.uniform !== '' && pin === undefined;
}

/** The agent's version of what the step wants the same of, such as `ffmpeg:6.1`; undefined when it has none. */
export function versionAt({ spec }: StepRun, { capacity }: Seat): string | undefined {
  return capacity.attributes.find((attribute) => attribute.startsWith(`${spec.uniform}:`));
}

export function bound(demand: Demand, pin: string | undefined): Demand {
  if (pin === undefined || demand.attributes.includes(pin)) return demand;
  return { ...demand, attributes: [...demand.attributes, pin] };
}

/** Processors of the agents with each version, in thousandths. */
export function processorsByVersion(step: StepRun, seats: Iterable<Seat>): Map<string, number> {
  const processors = new Map<string, number>();
  for (const seat of seats) {
    const version = versionAt(step, seat);
    if (version === undefined) continue;
    processors.set(version, (processors.get(version) ?? 0) + seat.capacity.cpuMillis);
  }
  return processors;
}
