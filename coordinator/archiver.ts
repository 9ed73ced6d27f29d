/**
 * Moves ended jobs out of the memory: a segment of them is stored whole, then a fact says so, and only
 * then are they forgotten. Runs with the leader. Every segment bears its reign in its name, so that a
 * deposed leader can neither overwrite nor delete what its successor stores.
 */
import type { Clock } from '../kit/clock.ts';
import { messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { CommandLoop } from './command-loop.ts';
import type { Farm } from './domain/farm.ts';
import { jobsToArchive, type Retention } from './domain/retention.ts';
import { encodeSegment } from './journal/archive-codec.ts';
import type { ArchiveStore, Committed } from './ports.ts';

export interface ArchiverOptions {
  readonly loop: Pick<CommandLoop, 'read' | 'submit'>;
  readonly store: Pick<ArchiveStore, 'save' | 'drop' | 'segments'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly retention: Retention;
  /** Time between looks for what is due. */
  readonly lookMs?: number;
}

const LOOK_MS = 5_000;

interface Draft {
  readonly name: string;
  readonly jobs: readonly { readonly number: number; readonly endedAtMs: number }[];
  readonly index: Uint8Array;
  readonly images: Uint8Array;
}

export class Archiver {
  readonly #options: ArchiverOptions;
  #cancelTimer: () => void = () => {};
  #stopped = false;
  #drafts = 0;
  #isTidy = false;

  constructor(options: ArchiverOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, lookMs = LOOK_MS } = this.#options;
    this.#cancelTimer = clock.after(lookMs, () => {
      void this.#look().finally(() => {
        if (!this.#stopped) this.start();
      });
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
  }

  committed({ facts }: Committed): void {
    // Perhaps the last job of a segment.
    if (facts.some((fact) => fact.type === 'JobRemoved')) this.#isTidy = false;
  }

  async #look(): Promise<void> {
    const { log } = this.#options;
    try {
      if (!this.#isTidy) await this.#tidy();
      while (!this.#stopped && (await this.#archiveSome())) {
        // Until nothing is due.
      }
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'archiving put off');
    }
  }

  /** True when a segment was archived. */
  async #archiveSome(): Promise<boolean> {
    const { loop, store, log } = this.#options;
    const draft = await loop.read((farm) => this.#draft(farm));
    if (draft === undefined) return false;
    const { name, jobs } = draft;
    this.#isTidy = false;
    const index = await store.save(name, 'index', draft.index);
    const images = await store.save(name, 'images', draft.images);
    const answer = await loop.submit({ type: 'ArchiveJobs', name, jobs, index, images });
    if (answer.kind === 'refused') {
      // One of them is retried: the next look does without it.
      log.info({ segment: name, reason: answer.message }, 'not archived');
      return false;
    }
    this.#isTidy = true;
    const sizeBytes = index.sizeBytes + images.sizeBytes;
    log.info({ segment: name, jobs: jobs.length, sizeBytes }, 'jobs archived');
    return true;
  }

  /** Written down at once, while the farm is what it is. */
  #draft(farm: Farm): Draft | undefined {
    const { clock, retention } = this.#options;
    const jobs = jobsToArchive(farm, retention, clock.wallMs());
    if (jobs.length === 0) return undefined;
    this.#drafts += 1;
    return {
      name: `${farm.epoch}-${this.#drafts}`,
      jobs: jobs.map(({ number, end }) => ({ number, endedAtMs: end?.atMs ?? 0 })),
      ...encodeSegment(jobs),
    };
  }

  /** Deletes what no fact speaks of: drafts that came to nothing, segments whose jobs were all removed. */
  async #tidy(): Promise<void> {
    const { loop, store, log } = this.#options;
    const stored = await store.segments();
    const { epoch, names } = await loop.read((farm) => ({
      epoch: farm.epoch,
      names: new Set(farm.archive.map((segment) => segment.name)),
    }));
    for (const name of stored) {
      // A later reign's are none of our business: this may be a leader that was deposed.
      if (names.has(name) || Number.parseInt(name, 10) > epoch) continue;
      await store.drop(name);
      log.info({ segment: name }, 'unused archive segment deleted');
    }
    this.#isTidy = true;
  }
}
