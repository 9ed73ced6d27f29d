/** What a step that fans out runs over: outputs of another step, which come in the same order on every replay. */
import type { Job, StepRun } from './farm.ts';
import { byName, matchesPattern } from './names.ts';
import { producerOf } from './stand-ins.ts';
import type { File } from './task.ts';

/** A queue of more takes time to go through, and its last unit matters less. */
const MOST_ORDERED_UNITS = 256;

/**
 * The order in which units of a fan-out should start: what takes longest first, so that no agent is left with it
 * at the end. How large its input is tells that. Empty where the order they have is as good.
 */
export function largestFirst(items: readonly File[]): number[] {
  const sizes = new Set(items.map(({ sizeBytes }) => sizeBytes));
  if (sizes.size < 2 || items.length > MOST_ORDERED_UNITS) return [];
  const sizeOf = (unit: number): number => items[unit]?.sizeBytes ?? 0;
  return items.map((_, unit) => unit).toSorted((a, b) => sizeOf(b) - sizeOf(a) || a - b);
}

/** What a fan-out runs over: matching outputs, ordered by producing unit, then name. */
export function fanOutItems(job: Job, step: StepRun): readonly File[] {
  const kind = step.spec.parameters?.kind;
  if (kind?.$case !== 'forEach') return [];
  const producer = producerOf(job, kind.value.step);
  return producer === undefined ? [] : outputsOf(producer, kind.value.pattern);
}

/** What a fan-out runs over, and who made it; nothing where the step has no units. */
export function fillItems(job: Job, step: StepRun): void {
  if (step.units?.size === 0) return;
  step.items = fanOutItems(job, step);
  const kind = step.spec.parameters?.kind;
  if (kind?.$case !== 'forEach') return;
  const units = producerOf(job, kind.value.step)?.units;
  if (units === undefined) return;
  step.makers = [...units.outputs]
    .toSorted(([a], [b]) => a - b)
    .flatMap(([unit, files]) =>
      files
        .filter(({ name }) => matchesPattern(name, kind.value.pattern))
        .map(() => units.agentOf(unit)),
    );
}

/** Outputs of a step that match, ordered by producing unit, then name. */
export function outputsOf(step: StepRun, pattern: string): File[] {
  return allOutputsOf(step).filter((file) => matchesPattern(file.name, pattern));
}

/** All outputs of a step, ordered by producing unit, then name. */
export function allOutputsOf(step: StepRun): File[] {
  const outputs = step.units?.outputs;
  if (outputs === undefined) return [];
  return [...outputs.keys()]
    .toSorted((a, b) => a - b)
    .flatMap((unit) => (outputs.get(unit) ?? []).toSorted(byName));
}
