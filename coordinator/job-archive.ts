/**
 * Reads jobs back from the archive. What it reads is what the journal vouches for, or it is damaged: that
 * is said loudly, with the segment's name, and hurts nobody but the jobs in it.
 */
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import {
  type Archive,
  type ArchiveSegment,
  jobsOf,
  segmentsThatMayHold,
} from './domain/archive.ts';
import type { ArchiveLookup } from './domain/commands.ts';
import type { JobSnapshot } from './domain/farm-snapshot.ts';
import { jobId } from './domain/farm.ts';
import { decodeImage, decodeIndex, type IndexedJob } from './journal/archive-codec.ts';
import { hashOfBytes } from './journal/chunked-objects.ts';
import type { ArchivePart, ArchiveStore } from './ports.ts';

export type SegmentIndex = ReadonlyMap<number, IndexedJob>;

/** Segments whose index is kept at hand: those that a listing goes through. */
const INDEXES_KEPT = 8;
/** And whose jobs are: those whose units are listed, page by page. */
const IMAGES_KEPT = 2;

export class JobArchive {
  readonly #store: Pick<ArchiveStore, 'load'>;
  readonly #log: Logger;
  readonly #indexes = new Map<string, Promise<SegmentIndex>>();
  readonly #images = new Map<string, Promise<Uint8Array>>();
  readonly #damaged = new Map<string, string>();

  constructor(store: Pick<ArchiveStore, 'load'>, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** One line for each of these segments that was found damaged. */
  damageIn(archive: Archive): string[] {
    return archive.flatMap(({ name }) => this.#damaged.get(name) ?? []);
  }

  /** FurrowError: data-loss ARCHIVE_DAMAGED; unavailable ARCHIVE_UNREACHABLE. */
  index(segment: ArchiveSegment): Promise<SegmentIndex> {
    return keptFor(this.#indexes, INDEXES_KEPT, segment.name, () => this.readIndex(segment));
  }

  /** As `index`, but nothing of it is kept: for whoever goes through all segments. */
  async readIndex(segment: ArchiveSegment): Promise<SegmentIndex> {
    const bytes = await this.#read(segment, 'index');
    return new Map(decodeIndex(bytes).map((job) => [job.view.number, job]));
  }

  /** A job of the segment, whole. FurrowError: as `index`. */
  async image(segment: ArchiveSegment, number: number): Promise<JobSnapshot> {
    const job = (await this.index(segment)).get(number);
    if (job === undefined) throw this.#damage(segment, `${jobId(number)} is not in its index`);
    const images = await keptFor(this.#images, IMAGES_KEPT, segment.name, () =>
      this.#read(segment, 'images'),
    );
    return decodeImage(images, job);
  }

  /** Whether one of its jobs has this client id. FurrowError: as `index`. */
  async lookUpClientId(archive: Archive, clientId: string): Promise<ArchiveLookup> {
    const mayHold = segmentsThatMayHold(archive, clientId);
    const segments = mayHold.map(({ name }) => name);
    for (const segment of mayHold) {
      for (const { view, requestHash } of (await this.index(segment)).values()) {
        if (view.clientId !== clientId || segment.removed.includes(view.number)) continue;
        return { segments, found: { job: view.number, requestHash } };
      }
    }
    return { segments, found: undefined };
  }

  async #read(segment: ArchiveSegment, part: ArchivePart): Promise<Uint8Array> {
    const { name } = segment;
    let bytes: Uint8Array;
    try {
      bytes = await this.#store.load(name, part);
    } catch (error) {
      const message = `the archive cannot be read (segment ${name}: ${messageOf(error)}): try again in a while`;
      throw new FurrowError('unavailable', 'ARCHIVE_UNREACHABLE', message, { cause: error });
    }
    const { hash, sizeBytes } = segment[part];
    if (bytes.byteLength !== sizeBytes) {
      throw this.#damage(
        segment,
        `${bytes.byteLength} of ${sizeBytes} bytes of its ${part} are there`,
      );
    }
    if (hashOfBytes(bytes) !== hash) throw this.#damage(segment, `its ${part} has other bytes`);
    this.#damaged.delete(name);
    return bytes;
  }

  #damage(segment: ArchiveSegment, why: string): FurrowError {
    const jobs = [...jobsOf(segment)];
    const [last = 0, first = 0] = [jobs[0], jobs.at(-1)];
    const which =
      jobs.length === 1
        ? jobId(last)
        : `${jobs.length} jobs from ${jobId(first)} to ${jobId(last)}`;
    const message = `segment ${segment.name} of the archive is damaged (${why}): ${which} cannot be shown`;
    if (!this.#damaged.has(segment.name)) {
      this.#log.error({ segment: segment.name, why, jobs: jobs.length }, 'archive segment damaged');
    }
    this.#damaged.set(segment.name, message);
    return new FurrowError('data-loss', 'ARCHIVE_DAMAGED', message);
  }
}

/** What was made for this key, made again if it was so long ago that it was forgotten, or failed. */
function keptFor<T>(
  kept: Map<string, Promise<T>>,
  most: number,
  key: string,
  make: () => Promise<T>,
): Promise<T> {
  const made = kept.get(key) ?? make();
  // Set anew, so that the map's order is that of their last use.
  kept.delete(key);
  kept.set(key, made);
  made.catch(() => kept.delete(key));
  for (const oldest of kept.keys()) {
    if (kept.size <= most) break;
    kept.delete(oldest);
  }
  return made;
}
