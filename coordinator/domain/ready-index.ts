/**
 * Steps that have queued units, by demand class and owner, in the order in which they should be served. A
 * placement pass looks at classes and their first steps, never at all units.
 */
export interface ReadyStep {
  readonly job: number;
  readonly step: number;
  readonly priority: number;
  readonly owner: string;
  /** How near its job is to its end: of eight parts so many are done. */
  readonly eighths: number;
}

/** By owner; never an empty list. */
export type ReadyByOwner = ReadonlyMap<string, readonly ReadyStep[]>;

export class ReadyIndex {
  readonly #classes = new Map<string, Map<string, ReadyStep[]>>();

  /** Steps by class and owner; never an empty map. */
  classes(): ReadonlyMap<string, ReadyByOwner> {
    return this.#classes;
  }

  has(classKey: string, entry: ReadyStep): boolean {
    const steps = this.#classes.get(classKey)?.get(entry.owner);
    if (steps === undefined) return false;
    const found = steps[positionOf(steps, entry)];
    return found !== undefined && compareReady(found, entry) === 0;
  }

  add(classKey: string, entry: ReadyStep): void {
    const owners = this.#classes.get(classKey);
    const steps = owners?.get(entry.owner);
    if (owners === undefined) this.#classes.set(classKey, new Map([[entry.owner, [entry]]]));
    else if (steps === undefined) owners.set(entry.owner, [entry]);
    else {
      const at = positionOf(steps, entry);
      const found = steps[at];
      if (found !== undefined && compareReady(found, entry) === 0) return;
      steps.splice(at, 0, entry);
    }
  }

  remove(classKey: string, entry: ReadyStep): void {
    const owners = this.#classes.get(classKey);
    const steps = owners?.get(entry.owner);
    if (owners === undefined || steps === undefined) return;
    const at = positionOf(steps, entry);
    const found = steps[at];
    if (found === undefined || compareReady(found, entry) !== 0) return;
    if (at === 0) steps.shift();
    else steps.splice(at, 1);
    if (steps.length === 0) owners.delete(entry.owner);
    if (owners.size === 0) this.#classes.delete(classKey);
  }
}

/** Of one owner: higher priority first, then the job nearest to its end, the older job, the earlier step. */
export function compareReady(a: ReadyStep, b: ReadyStep): number {
  return b.priority - a.priority || b.eighths - a.eighths || a.job - b.job || a.step - b.step;
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
