/**
 * Deletes blobs that nothing needs any more: intermediates when the last step that takes them is done,
 * checkpoints soon after a newer one took their place or their unit is done,
 * what else a job's units made when it ends, everything else now and then. Inputs are of the last kind,
 * because others may have been told that they are here, and a restart forgets who was. It reads committed
 * state only, and deletes only what was unused while it led for certain: the lead is proven after the
 * reading. What a deposed leader still deletes was then unused when its successor began; how that one keeps
 * clear of it is the store's matter. While it cannot be known what archived jobs need, nothing is deleted.
 */
import type { Clock } from '../kit/clock.ts';
import { messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { ArchivedBlobs } from './archived-blobs.ts';
import { CheckpointBlobs } from './checkpoint-blobs.ts';
import type { ListedBlobs } from './listed-blobs.ts';
import type { CommandLoop } from './command-loop.ts';
import {
  blobsMadeBy,
  type BlobTerms,
  blobsUsedUp,
  referencedBlobs,
  referencedLists,
  unreferenced,
} from './domain/blob-references.ts';
import type { Fact } from './domain/facts.ts';
import type { Farm } from './domain/farm.ts';
import type { JobView } from './domain/views.ts';
import type { BlobStore, Committed } from './ports.ts';

const SWEEP_EVERY_MS = 10 * 60_000;
/** After jobs or models were removed; others may follow at once. */
const SWEEP_SOON_MS = 5_000;
/** Checkpoints that were replaced go together: each look goes through all jobs. */
const DROP_EVERY_MS = 10_000;
/** A result that was looked at just now may name a blob that no commit refers to yet. */
const JUST_NAMED_MS = 10_000;

/** Inputs, too, which else wait for the next sweep. */
const leavesBlobs = ({ type }: Fact): boolean => type === 'JobRemoved' || type === 'ModelRemoved';

export interface SweeperOptions {
  readonly loop: Pick<CommandLoop, 'read' | 'proveLead'>;
  readonly store: Pick<BlobStore, 'release' | 'sweep'>;
  readonly archived: Pick<ArchivedBlobs, 'refresh' | 'has'>;
  readonly listed: Pick<ListedBlobs, 'refresh' | 'has'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Outputs are kept so long after their job's end; 0 for ever. */
  readonly outputRetentionMs: number;
}

export class Sweeper {
  readonly #options: SweeperOptions;
  readonly #justNamed = new Map<string, number>();
  /** By open job: how many of its steps are complete. */
  readonly #stepsDone = new Map<number, number>();
  #cancelTimer: () => void = () => {};
  #isBusy = false;
  #isSweepDue = false;
  /** Jobs that have intermediates to lose. */
  #moved: number[] = [];
  readonly #checkpoints = new CheckpointBlobs();
  /** Blobs of checkpoints that were replaced. */
  readonly #dropped = new Set<string>();
  #cancelDrop: (() => void) | undefined;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  start(): void {
    this.#sweepIn(SWEEP_EVERY_MS);
  }

  stop(): void {
    this.#cancelTimer();
    this.#cancelTimer = () => {};
    this.#cancelDrop?.();
  }

  #sweepIn(delayMs: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(delayMs, () => {
      this.#isSweepDue = true;
      void this.#run();
      this.start();
    });
  }

  /** Outputs named in a result: kept until its commit has had time to refer to them. */
  note(hashes: readonly string[]): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const sha256 of hashes) {
      // Set anew, so that the map's order is the order of their times.
      this.#justNamed.delete(sha256);
      this.#justNamed.set(sha256, nowMs);
    }
    for (const [sha256, namedAtMs] of this.#justNamed) {
      if (nowMs - namedAtMs < JUST_NAMED_MS) break;
      this.#justNamed.delete(sha256);
    }
  }

  committed(commit: Committed): void {
    for (const view of commit.views) if (this.#hasMoved(view)) this.#moved.push(view.number);
    if (this.#moved.length > 0) void this.#run();
    for (const sha256 of this.#checkpoints.committed(commit.facts)) this.#dropped.add(sha256);
    if (this.#dropped.size > 0) this.#dropSoon();
    if (commit.facts.some(leavesBlobs)) this.#sweepIn(SWEEP_SOON_MS);
  }

  #dropSoon(): void {
    this.#cancelDrop ??= this.#options.clock.after(DROP_EVERY_MS, () => {
      this.#cancelDrop = undefined;
      void this.#run();
    });
  }

  /** Whether the job has ended, or one more of its steps is complete. */
  #hasMoved({ number, endedAtMs, steps }: JobView): boolean {
    if (endedAtMs > 0) {
      this.#stepsDone.delete(number);
      return true;
    }
    const done = steps.filter((step) => step.known && step.accepted === step.total).length;
    const before = this.#stepsDone.get(number) ?? 0;
    if (done === 0) this.#stepsDone.delete(number);
    else this.#stepsDone.set(number, done);
    return done > before;
  }

  async #run(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      while (this.#moved.length > 0) await this.#releaseIntermediates(this.#moved.splice(0));
      if (this.#dropped.size > 0 && this.#cancelDrop === undefined) await this.#releaseDropped();
      if (this.#isSweepDue) {
        this.#isSweepDue = false;
        await this.#sweepAll();
      }
    } catch (error) {
      this.#options.log.warn({ error: messageOf(error) }, 'sweep put off');
    } finally {
      this.#isBusy = false;
    }
  }

  #releaseIntermediates(numbers: readonly number[]): Promise<void> {
    return this.#release('intermediates deleted', (farm) =>
      numbers.flatMap((number) => {
        const job = farm.jobs.get(number);
        if (job === undefined) return [];
        return job.end === undefined ? blobsUsedUp(job) : blobsMadeBy(job);
      }),
    );
  }

  async #releaseDropped(): Promise<void> {
    const dropped = [...this.#dropped];
    this.#dropped.clear();
    await this.#release('old checkpoints deleted', () => dropped);
  }

  async #release(what: string, candidatesIn: (farm: Farm) => readonly string[]): Promise<void> {
    const { loop, store, archived, listed, log } = this.#options;
    const terms = this.#terms();
    const { free, archive, lists } = await loop.read((farm) => ({
      free: unreferenced(farm, candidatesIn(farm), terms),
      archive: farm.archive,
      lists: referencedLists(farm, terms),
    }));
    if (free.size === 0) return;
    await archived.refresh(archive, terms.nowMs);
    await listed.refresh(lists);
    await loop.proveLead();
    const isNeeded = (sha256: string): boolean =>
      !free.has(sha256) || archived.has(sha256) || listed.has(sha256) || this.#isJustNamed(sha256);
    const released = await store.release([...free], isNeeded);
    if (released > 0) log.info({ released }, what);
  }

  async #sweepAll(): Promise<void> {
    const { loop, store, archived, listed, log } = this.#options;
    const terms = this.#terms();
    const { referenced, archive, lists } = await loop.read((farm) => ({
      referenced: referencedBlobs(farm, terms),
      archive: farm.archive,
      lists: referencedLists(farm, terms),
    }));
    await archived.refresh(archive, terms.nowMs);
    await listed.refresh(lists);
    await loop.proveLead();
    const isNeeded = (sha256: string): boolean =>
      referenced.has(sha256) ||
      archived.has(sha256) ||
      listed.has(sha256) ||
      this.#isJustNamed(sha256);
    const deleted = await store.sweep(isNeeded);
    if (deleted > 0) log.info({ deleted }, 'unreferenced blobs deleted');
  }

  #terms(): BlobTerms {
    const { clock, outputRetentionMs } = this.#options;
    return { nowMs: clock.wallMs(), outputRetentionMs };
  }

  #isJustNamed(sha256: string): boolean {
    const namedAtMs = this.#justNamed.get(sha256);
    const nowMs = this.#options.clock.monotonicMs();
    return namedAtMs !== undefined && nowMs - namedAtMs < JUST_NAMED_MS;
  }
}
