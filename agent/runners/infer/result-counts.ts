/** Counts over all lines of results. Pure. */
import type { ResultLine } from './result-line.ts';

export interface LabelCount {
  readonly label: string;
  /** In so many pictures it was found. */
  pictures: number;
  /** So often. */
  found: number;
}

export class ResultCounts {
  readonly #labels = new Map<string, LabelCount>();
  lines = 0;
  failed = 0;
  found = 0;

  add(line: ResultLine): void {
    this.lines += 1;
    if ('error' in line) {
      this.failed += 1;
      return;
    }
    this.found += line.found.length;
    const here = new Set<string>();
    for (const { label } of line.found) {
      const count = this.#labels.get(label) ?? { label, pictures: 0, found: 0 };
      this.#labels.set(label, count);
      count.found += 1;
      if (!here.has(label)) count.pictures += 1;
      here.add(label);
    }
  }

  /** The most frequent first. */
  get labels(): readonly Readonly<LabelCount>[] {
    return [...this.#labels.values()].toSorted(
      (a, b) => b.found - a.found || (a.label < b.label ? -1 : 1),
    );
  }
}
