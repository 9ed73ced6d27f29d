/**
 * Steps that have queued units, by demand class, in the order in which they should be served. A
 * placement pass looks at classes and their first steps, never at all units.
 */
export interface ReadyStep {
  readonly job: number;
  readonly step: number;
  readonly priority: number;
}

export class ReadyIndex {
  readonly #classes = new Map<string, ReadyStep[]>();

  /** Steps by class; never an empty list. */
  classes(): ReadonlyMap<string, readonly ReadyStep[]> {
    return this.#classes;
  }

  has(classKey: string, entry: ReadyStep): boolean {
    const steps = this.#classes.get(classKey);
    if (steps === undefined) return false;
    const found = steps[positionOf(steps, entry)];
    return found !== undefined && compareReady(found, entry) === 0;
  }

  add(classKey: string, entry: ReadyStep): void {
    const steps = this.#classes.get(classKey);
    if (steps === undefined) {
      this.#classes.set(classKey, [entry]);
      return;
    }
    const at = positionOf(steps, entry);
    const found = steps[at];
    if (found !== undefined && compareReady(found, entry) === 0) return;
    steps.splice(at, 0, entry);
  }

  remove(classKey: string, entry: ReadyStep): void {
    const steps = this.#classes.get(classKey);
    if (steps === undefined) return;
    const at = positionOf(steps, entry);
    const found = steps[at];
    if (found === undefined || compareReady(found, entry) !== 0) return;
    if (at === 0) steps.shift();
    else steps.splice(at, 1);
    if (steps.length === 0) this.#classes.delete(classKey);
  }
}

/** Higher priority first, then the older job, then the earlier step. */
export function compareReady(a: ReadyStep, b: ReadyStep): number {
  return b.priority - a.priority || a.job - b.job || a.step - b.step;
}

function positionOf(steps: readonly ReadyStep[], entry: ReadyStep): number {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = steps[middle];
    if (at !== undefined && compareReady(at, entry) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
