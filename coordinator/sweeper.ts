/**
 * Deletes blobs that nothing needs any more: what a job's units made when that job ends, everything else
 * now and then. Inputs are of the second kind, because others may have been told that they are here, and
 * a restart forgets who was. It reads committed state only.
 */
import type { Clock } from '../kit/clock.ts';
import { messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { CommandLoop } from './command-loop.ts';
import { blobsMadeBy, referencedBlobs } from './domain/blob-references.ts';
import type { BlobStore, Committed } from './ports.ts';

const SWEEP_EVERY_MS = 10 * 60_000;
/** A result that was looked at just now may name a blob that no commit refers to yet. */
const JUST_NAMED_MS = 10_000;

type SweptStore = Pick<BlobStore, 'release' | 'sweep'>;

export class Sweeper {
  readonly #loop: CommandLoop;
  readonly #store: SweptStore;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #justNamed = new Map<string, number>();
  #cancelTimer: () => void = () => {};
  #isBusy = false;
  #ended: number[] = [];

  constructor(loop: CommandLoop, store: SweptStore, clock: Clock, log: Logger) {
    this.#loop = loop;
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  start(): void {
    this.#cancelTimer = this.#clock.after(SWEEP_EVERY_MS, () => {
      void this.#run(() => this.#sweepAll());
      this.start();
    });
  }

  stop(): void {
    this.#cancelTimer();
  }

  /** Outputs named in a result: kept until its commit has had time to refer to them. */
  note(hashes: readonly string[]): void {
    const nowMs = this.#clock.monotonicMs();
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
    for (const view of commit.views) if (view.endedAtMs > 0) this.#ended.push(view.number);
    if (this.#ended.length > 0) void this.#run(() => this.#releaseEnded());
  }

  async #run(work: () => Promise<void>): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      await work();
    } catch (error) {
      this.#log.warn({ error: messageOf(error) }, 'sweep put off');
    } finally {
      this.#isBusy = false;
    }
  }

  async #releaseEnded(): Promise<void> {
    while (this.#ended.length > 0) {
      const numbers = this.#ended;
      this.#ended = [];
      const nowMs = this.#clock.wallMs();
      const { candidates, referenced } = await this.#loop.read((farm) => ({
        candidates: numbers.flatMap((number) => {
          const job = farm.jobs.get(number);
          return job?.end === undefined ? [] : blobsMadeBy(job);
        }),
        referenced: referencedBlobs(farm, nowMs),
      }));
      const released = await this.#store.release(candidates, (sha256) =>
        this.#isNeeded(sha256, referenced),
      );
      if (released > 0) this.#log.info({ released }, 'intermediates deleted');
    }
  }

  async #sweepAll(): Promise<void> {
    const nowMs = this.#clock.wallMs();
    const referenced = await this.#loop.read((farm) => referencedBlobs(farm, nowMs));
    const deleted = await this.#store.sweep((sha256) => this.#isNeeded(sha256, referenced));
    if (deleted > 0) this.#log.info({ deleted }, 'unreferenced blobs deleted');
  }

  #isNeeded(sha256: string, referenced: ReadonlySet<string>): boolean {
    if (referenced.has(sha256)) return true;
    const namedAtMs = this.#justNamed.get(sha256);
    return namedAtMs !== undefined && this.#clock.monotonicMs() - namedAtMs < JUST_NAMED_MS;
  }
}
