/**
 * What units of each kind of work were seen to take: memory as a histogram that forgets slowly, and how long
 * they run. Kept in the journal, so that it outlives every restart, and used for units that come.
 *
 * A unit is given what its step declares, or more where units of its kind usually take more. What is declared is
 * never lowered: it may know what no unit has shown yet.
 */
import { roundedUp } from './outgrown.ts';
import { withMemory } from './size.ts';
import type { Demand } from './task.ts';

/** What results of one kind of work showed. Sparse histograms: how many by bucket, ascending. */
export interface Measured {
  readonly units: number;
  /** Sum over the units, in milliseconds. */
  readonly runMs: number;
  readonly ram: readonly BucketCount[];
  readonly vram: readonly BucketCount[];
}

/** Bucket b holds peaks above 2^((b-1)/4) MiB, up to 2^(b/4) MiB. */
export interface BucketCount {
  readonly bucket: number;
  readonly count: number;
}

export interface LearnedSize extends Measured {
  readonly kind: string;
}

const MIB = 2 ** 20;
const BUCKETS_AN_OCTAVE = 4;
const MAX_BUCKET = 80;
/** What was seen this often is worth more than a guess; below it only a lack of memory is. */
const ENOUGH_UNITS = 5;
/** A histogram of more is halved: old versions of a program are forgotten. */
const MOST_UNITS = 1_000;
/** So many units fit into what is given; the others are given more when they have run out. */
const SHARE = 0.95;
/** Above what was seen: the next unit is not the last one. */
const MARGIN = 1.15;
/** Less is not worth a place in the books. */
const LEAST_BYTES = 64 * MIB;

export function bucketOf(bytes: number): number {
  if (bytes <= MIB) return 0;
  return Math.min(Math.ceil(Math.log2(bytes / MIB) * BUCKETS_AN_OCTAVE), MAX_BUCKET);
}

function bytesOfBucket(bucket: number): number {
  return Math.ceil(2 ** (bucket / BUCKETS_AN_OCTAVE) * MIB);
}

export const NOTHING_MEASURED: Measured = { units: 0, runMs: 0, ram: [], vram: [] };

/** With these results beside those before. Peaks of 0 were not seen. */
export function withMeasured(before: Measured, added: Measured): Measured {
  const sum = {
    units: before.units + added.units,
    runMs: before.runMs + added.runMs,
    ram: merged(before.ram, added.ram),
    vram: merged(before.vram, added.vram),
  };
  if (sum.units <= MOST_UNITS) return sum;
  const units = Math.ceil(sum.units / 2);
  const runMs = Math.round((sum.runMs * units) / sum.units);
  return { units, runMs, ram: halved(sum.ram), vram: halved(sum.vram) };
}

function merged(a: readonly BucketCount[], b: readonly BucketCount[]): BucketCount[] {
  if (b.length === 0) return [...a];
  const counts = new Map(a.map(({ bucket, count }) => [bucket, count]));
  for (const { bucket, count } of b) counts.set(bucket, (counts.get(bucket) ?? 0) + count);
  return [...counts]
    .map(([bucket, count]) => ({ bucket, count }))
    .toSorted((left, right) => left.bucket - right.bucket);
}

function halved(histogram: readonly BucketCount[]): BucketCount[] {
  return histogram.flatMap(({ bucket, count }) => {
    const half = Math.floor(count / 2);
    return half === 0 ? [] : [{ bucket, count: half }];
  });
}

/** What nearly all units of the kind took at most, in bytes; undefined when too few were seen. */
export function usualPeakBytes(histogram: readonly BucketCount[]): number | undefined {
  const seen = histogram.reduce((sum, { count }) => sum + count, 0);
  if (seen < ENOUGH_UNITS) return undefined;
  let left = Math.ceil(seen * SHARE);
  for (const { bucket, count } of histogram) {
    left -= count;
    if (left <= 0) return bytesOfBucket(bucket);
  }
  return undefined;
}

/** How long units of the kind run on average, in milliseconds; undefined when none was seen. */
export function usualRunMs({ units, runMs }: Measured): number | undefined {
  return units === 0 ? undefined : runMs / units;
}

/** What a unit is given. */
export function learnedDemand(declared: Demand, learned: Measured | undefined): Demand {
  if (learned === undefined) return declared;
  const ramBytes = atLeastUsual(declared.ramBytes, usualPeakBytes(learned.ram));
  const vramBytes =
    declared.gpus === 0
      ? declared.vramBytes
      : atLeastUsual(declared.vramBytes, usualPeakBytes(learned.vram));
  const isSame = ramBytes === declared.ramBytes && vramBytes === declared.vramBytes;
  return isSame ? declared : withMemory(declared, { ramBytes, vramBytes });
}

function atLeastUsual(declaredBytes: number, peakBytes: number | undefined): number {
  if (peakBytes === undefined || peakBytes <= declaredBytes) return declaredBytes;
  const neededBytes = roundedUp(peakBytes * MARGIN);
  return neededBytes < LEAST_BYTES ? declaredBytes : neededBytes;
}

/** The same units, the largest of them taken to be a bucket smaller. */
export function withLowerTop(histogram: readonly BucketCount[]): readonly BucketCount[] {
  const top = histogram.at(-1);
  if (top === undefined) return histogram;
  const rest = histogram.slice(0, -1);
  if (top.bucket === 0) return rest;
  return merged(rest, [{ bucket: top.bucket - 1, count: top.count }]);
}

/** Whether what is known changes what is done, or what a person would say of it. */
export function isNews(before: Measured | undefined, now: Measured): boolean {
  if (before === undefined) return now.units >= ENOUGH_UNITS;
  if (now.units >= before.units * 2) return true;
  const peaksOf = ({ ram, vram }: Measured): string => {
    return `${usualPeakBytes(ram)} ${usualPeakBytes(vram)}`;
  };
  if (peaksOf(before) !== peaksOf(now)) return true;
  const [was = 0, is = 0] = [usualRunMs(before), usualRunMs(now)];
  return Math.abs(is - was) > was / 4;
}
