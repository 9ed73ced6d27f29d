/**
 * Where jobs lie that have left the farm's memory: segments of many jobs each, stored outside. The farm
 * keeps of a segment what finds a job in it, a few bytes a job. A segment never changes; which of its
 * jobs were removed since stands here.
 */

/** Bytes that are stored under a segment's name. */
export interface StoredPart {
  /** SHA-256, lower-case hexadecimal. */
  readonly hash: string;
  readonly sizeBytes: number;
}

/** A segment as the fact that makes it valid tells of it. */
export interface StoredSegment {
  /** `<epoch>-<n>`: no two reigns store under one name. */
  readonly name: string;
  /** Numbers of its jobs, ascending: first and last of each run of them, in turn. */
  readonly ranges: readonly number[];
  /** What listings show of its jobs. */
  readonly index: StoredPart;
  /** The jobs whole. */
  readonly images: StoredPart;
  /** `clientIdHash` of each of its jobs, ascending. */
  readonly clientIdHashes: readonly number[];
}

export interface ArchiveSegment extends Omit<StoredSegment, 'clientIdHashes'> {
  readonly clientIdHashes: Uint32Array;
  /** Jobs that were removed since, ascending. */
  readonly removed: readonly number[];
}

/** In the order in which they were archived. Replaced when it changes. */
export type Archive = readonly ArchiveSegment[];

export function withSegment(archive: Archive, segment: StoredSegment): Archive {
  const { name, ranges, index, images, clientIdHashes } = segment;
  const hashes = Uint32Array.from(clientIdHashes);
  return [...archive, { name, ranges, index, images, clientIdHashes: hashes, removed: [] }];
}

/** Without this job; a segment that has none left is gone. */
export function withoutJob(archive: Archive, job: number): Archive {
  return archive.flatMap((segment) => {
    if (!holds(segment, job)) return [segment];
    const removed = [...segment.removed, job].toSorted((a, b) => a - b);
    return removed.length === sizeOf(segment) ? [] : [{ ...segment, removed }];
  });
}

/** The segment that holds the job, if one does. */
export function segmentOf(archive: Archive, job: number): ArchiveSegment | undefined {
  return archive.find((segment) => holds(segment, job));
}

function holds({ ranges, removed }: ArchiveSegment, job: number): boolean {
  for (let at = 0; at < ranges.length; at += 2) {
    const [first = Infinity, last = 0] = [ranges[at], ranges[at + 1]];
    if (job < first) return false;
    if (job <= last) return !removed.includes(job);
  }
  return false;
}

/** Jobs that the segment was stored with. */
function sizeOf({ ranges }: Pick<ArchiveSegment, 'ranges'>): number {
  let size = 0;
  for (let at = 0; at < ranges.length; at += 2) {
    size += (ranges[at + 1] ?? 0) - (ranges[at] ?? 0) + 1;
  }
  return size;
}

/** Numbers of the segment's jobs that were not removed, largest first. */
export function* jobsOf({ ranges, removed }: Pick<ArchiveSegment, 'ranges' | 'removed'>) {
  const gone = new Set(removed);
  for (let at = ranges.length - 2; at >= 0; at -= 2) {
    for (let job = ranges[at + 1] ?? 0; job >= (ranges[at] ?? Infinity); job -= 1) {
      if (!gone.has(job)) yield job;
    }
  }
}

/** Runs of these numbers, which are ascending. */
export function rangesOf(numbers: readonly number[]): number[] {
  const ranges: number[] = [];
  for (const number of numbers) {
    if (ranges.at(-1) === number - 1) ranges[ranges.length - 1] = number;
    else ranges.push(number, number);
  }
  return ranges;
}

/** At most `limit` archived jobs with numbers below `before`, largest first. */
export function newestArchived(archive: Archive, before: number, limit: number): number[] {
  const byLast = archive
    .filter((segment) => (segment.ranges[0] ?? Infinity) < before)
    .toSorted((a, b) => (b.ranges.at(-1) ?? 0) - (a.ranges.at(-1) ?? 0));
  let found: number[] = [];
  for (const segment of byLast) {
    const least = found[limit - 1];
    // All further segments end below what was found.
    if (least !== undefined && (segment.ranges.at(-1) ?? 0) < least) break;
    const more: number[] = [];
    for (const job of jobsOf(segment)) {
      if (job < before) more.push(job);
      if (more.length === limit) break;
    }
    found = [...found, ...more].toSorted((a, b) => b - a).slice(0, limit);
  }
  return found;
}

/** 32 bits of a client id (FNV-1a): which segments it could be in, without reading them. */
export function clientIdHash(clientId: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < clientId.length; at += 1) {
    hash = Math.imul(hash ^ clientId.charCodeAt(at), 0x01000193) >>> 0;
  }
  // The last characters of an id are often all that differs: spread what they change.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) >>> 0;
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** Segments that may hold a job of this client id; seldom one that does not. */
export function segmentsThatMayHold(archive: Archive, clientId: string): ArchiveSegment[] {
  if (archive.length === 0) return [];
  const hash = clientIdHash(clientId);
  return archive.filter(({ clientIdHashes }) => includesSorted(clientIdHashes, hash));
}

function includesSorted(sorted: Uint32Array, wanted: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === wanted;
}
