/** Results that came since sizes were learned last, by kind of work: soft, until the journal has them. */
import {
  bucketOf,
  isNews,
  type LearnedSize,
  type Measured,
  NOTHING_MEASURED,
  withMeasured,
} from './learned-sizes.ts';
import type { Growth } from './size.ts';

/** The journal hears of it this seldom. */
const LEARN_EVERY_MS = 10_000;
const MOST_AT_ONCE = 100;
/** Kinds that nobody has learned yet; more are let go. */
const MOST_KINDS = 4_096;

interface Tally {
  units: number;
  runMs: number;
  readonly ram: Map<number, number>;
  readonly vram: Map<number, number>;
}

export class Measuring {
  readonly #tallies = new Map<string, Tally>();
  /** Kinds of which something came since the last look. */
  readonly #noted = new Set<string>();
  #dueMs = 0;

  /** A unit of this kind succeeded. */
  note(kind: string, runMs: number, peak: Growth): void {
    const tally = this.#tallies.get(kind) ?? emptyTally();
    if (tally.units === 0) {
      if (this.#tallies.size >= MOST_KINDS) return;
      this.#tallies.set(kind, tally);
    }
    this.#noted.add(kind);
    tally.units += 1;
    tally.runMs += Math.max(0, runMs);
    if (peak.ramBytes > 0) count(tally.ram, bucketOf(peak.ramBytes));
    if (peak.vramBytes > 0) count(tally.vram, bucketOf(peak.vramBytes));
  }

  /** Whether it is time to look what was learned, and then not again for a while. */
  isDue(nowMs: number): boolean {
    if (nowMs < this.#dueMs) return false;
    this.#dueMs = nowMs + LEARN_EVERY_MS;
    return true;
  }

  /** What is worth the journal's while. */
  news(learned: ReadonlyMap<string, LearnedSize>): LearnedSize[] {
    const news: LearnedSize[] = [];
    for (const kind of this.#noted) {
      if (news.length === MOST_AT_ONCE) break;
      this.#noted.delete(kind);
      const tally = this.#tallies.get(kind);
      if (tally === undefined) continue;
      const before = learned.get(kind);
      const sum = withMeasured(before ?? NOTHING_MEASURED, measuredOf(tally));
      if (isNews(before, sum)) news.push({ kind, ...sum });
    }
    return news;
  }

  /** The journal has what was measured of these. */
  learned(kinds: Iterable<string>): void {
    for (const kind of kinds) this.#tallies.delete(kind);
  }
}

function emptyTally(): Tally {
  return { units: 0, runMs: 0, ram: new Map(), vram: new Map() };
}

function count(histogram: Map<number, number>, bucket: number): void {
  histogram.set(bucket, (histogram.get(bucket) ?? 0) + 1);
}

function measuredOf({ units, runMs, ram, vram }: Tally): Measured {
  return { units, runMs: Math.round(runMs), ram: bucketsOf(ram), vram: bucketsOf(vram) };
}

function bucketsOf(histogram: ReadonlyMap<number, number>): Measured['ram'] {
  return [...histogram]
    .map(([bucket, count]) => ({ bucket, count }))
    .toSorted((a, b) => a.bucket - b.bucket);
}
