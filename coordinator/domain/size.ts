/**
 * How large a unit is taken to be: what its step demands, or more where that was not enough for this unit.
 * Units of one size are one class: they are placed alike.
 */
import { classKeyOf } from './demand.ts';
import type { StepRun } from './farm.ts';
import type { Demand } from './task.ts';
import { UNIT_QUEUED } from './unit-table.ts';

export interface Size {
  readonly demand: Demand;
  readonly classKey: string;
}

/** A unit needs at least so much, whatever its step demands. */
export interface Growth {
  readonly ramBytes: number;
  /** On each of its GPUs. */
  readonly vramBytes: number;
}

export function sizeOf(demand: Demand): Size {
  return { demand, classKey: classKeyOf(demand) };
}

/** The demand, with memory of other amounts. */
export function withMemory(demand: Demand, { ramBytes, vramBytes }: Growth): Demand {
  return { ...demand, ramBytes, vramBytes };
}

export function sizeOfUnit(step: StepRun, unit: number): Size {
  const growth = step.units?.growths.get(unit);
  return growth === undefined ? step : grownSize(step, growth);
}

/** The step as its units of this class are; it must have one. */
export function sizedStep(step: StepRun, classKey: string): StepRun {
  if (classKey === step.classKey) return step;
  for (const growth of step.units?.growths.values() ?? []) {
    const size = grownSize(step, growth);
    if (size.classKey === classKey) return { ...step, demand: size.demand, classKey };
  }
  throw new Error(`step ${step.spec.name} has no unit of class ${classKey}`);
}

/** Units of the step that wait, by class; all classes that its units have, also those without any. */
export function queuedByClass(step: StepRun): ReadonlyMap<string, number> {
  const { units } = step;
  const queued = new Map([[step.classKey, units?.counts.queued ?? 0]]);
  for (const unit of units?.growths.keys() ?? []) {
    const { classKey } = sizeOfUnit(step, unit);
    if (classKey === step.classKey) continue;
    const isQueued = units?.stateOf(unit) === UNIT_QUEUED ? 1 : 0;
    queued.set(classKey, (queued.get(classKey) ?? 0) + isQueued);
    queued.set(step.classKey, (queued.get(step.classKey) ?? 0) - isQueued);
  }
  return queued;
}

/** Queued units of one class that may start at `nowMs` (Unix time), in the order they should. */
export function* readyOfClass(step: StepRun, classKey: string, nowMs: number): Generator<number> {
  const { units } = step;
  if (units === undefined) return;
  const isMixed = units.growths.size > 0;
  for (const unit of units.ready(nowMs)) {
    if (!isMixed || sizeOfUnit(step, unit).classKey === classKey) yield unit;
  }
}

function grownSize(step: StepRun, growth: Growth): Size {
  const ramBytes = Math.max(step.demand.ramBytes, growth.ramBytes);
  const vramBytes = Math.max(step.demand.vramBytes, growth.vramBytes);
  const isSame = ramBytes === step.demand.ramBytes && vramBytes === step.demand.vramBytes;
  return isSame ? step : sizeOf(withMemory(step.demand, { ramBytes, vramBytes }));
}
