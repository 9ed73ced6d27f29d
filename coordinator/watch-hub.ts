/**
 * Who looks on. Each watcher of a job has a mailbox that holds little: the latest progress of each
 * attempt, and the commits that touched the job. One that reads too slowly loses its place in memory, not
 * in history: it goes on from the journal. While nothing new can be told here, watches end with the reason:
 * whoever looks on sees that the farm is in trouble, and may find another coordinator that knows more.
 */
import type { FurrowError } from '../kit/furrow-error.ts';
import type { Fact } from './domain/facts.ts';
import type { JobView } from './domain/views.ts';
import { LatestProgress, type LiveProgress, MAX_PROGRESS } from './latest-progress.ts';
import type { Committed } from './ports.ts';

/** What one commit did to one job. */
export interface JobChange {
  readonly sequence: number;
  /** The job after it; undefined where another change followed while nobody read: only the last is told. */
  readonly view: JobView | undefined;
  readonly facts: readonly Fact[];
}

export type Mail =
  | { readonly kind: 'changes'; readonly changes: readonly JobChange[] }
  /** Changes were left out: read the journal from the last one seen on. */
  | { readonly kind: 'gap' }
  | { readonly kind: 'progress'; readonly units: readonly LiveProgress[] };

const MAX_CHANGES = 1_000;
const LOOK_FOR_TROUBLE_MS = 1_000;

export class WatchHub {
  readonly #mailboxes = new Map<number, Set<Mailbox>>();
  readonly #latest = new LatestProgress();
  readonly #trouble: () => FurrowError | undefined;
  #looking: NodeJS.Timeout | undefined;

  /** `trouble`: why nothing new can be told. */
  constructor(trouble: () => FurrowError | undefined = () => undefined) {
    this.#trouble = trouble;
  }

  get trouble(): FurrowError | undefined {
    return this.#trouble();
  }

  open(job: number): Mailbox {
    const mailbox = new Mailbox(this.#trouble, () => {
      const open = this.#mailboxes.get(job);
      open?.delete(mailbox);
      if (open?.size === 0) this.#mailboxes.delete(job);
      if (this.#mailboxes.size === 0) this.#stopLooking();
    });
    const open = this.#mailboxes.get(job) ?? new Set();
    this.#mailboxes.set(job, open.add(mailbox));
    this.#looking ??= setInterval(() => this.#lookForTrouble(), LOOK_FOR_TROUBLE_MS).unref();
    return mailbox;
  }

  publish(commit: Committed): void {
    for (const view of commit.views) {
      const facts = commit.facts.filter((fact) => 'job' in fact && fact.job === view.number);
      this.#latest.committed(view, facts);
      const open = this.#mailboxes.get(view.number);
      if (open === undefined) continue;
      for (const mailbox of open) mailbox.change({ sequence: commit.sequence, view, facts });
    }
  }

  progress(job: number, units: readonly LiveProgress[]): void {
    this.#latest.note(job, units);
    for (const mailbox of this.#mailboxes.get(job) ?? []) mailbox.progress(units);
  }

  #lookForTrouble(): void {
    if (this.trouble === undefined) return;
    for (const open of this.#mailboxes.values()) for (const mailbox of open) mailbox.wake();
  }

  #stopLooking(): void {
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  /** As LatestProgress has it. */
  fractionOf(job: number, unitId: string, agentId?: string): number {
    return this.#latest.fractionOf(job, unitId, agentId);
  }
}

export class Mailbox {
  readonly #trouble: () => FurrowError | undefined;
  readonly #onClose: () => void;
  #changes: JobChange[] = [];
  #hasGap = false;
  readonly #progress = new Map<string, LiveProgress>();
  #wake: () => void = () => {};

  constructor(trouble: () => FurrowError | undefined, onClose: () => void) {
    this.#trouble = trouble;
    this.#onClose = onClose;
  }

  change(change: JobChange): void {
    const before = this.#changes.at(-1);
    // A view may have thousands of steps. That of the job's end is told, whatever follows.
    if (before?.view?.endedAtMs === 0) {
      this.#changes[this.#changes.length - 1] = { ...before, view: undefined };
    }
    if (this.#changes.length === MAX_CHANGES) {
      this.#changes = [];
      this.#hasGap = true;
    }
    if (!this.#hasGap) this.#changes.push(change);
    this.#wake();
  }

  progress(units: readonly LiveProgress[]): void {
    for (const unit of units) {
      const attempt = `${unit.unitId}#${unit.attempt}`;
      if (this.#progress.size < MAX_PROGRESS || this.#progress.has(attempt)) {
        this.#progress.set(attempt, unit);
      }
    }
    this.#wake();
  }

  /** Whoever waits looks again. */
  wake(): void {
    this.#wake();
  }

  /**
   * What came since; waits for something, or until `signal` is aborted (then undefined). Rejects with the
   * trouble in which nothing will come.
   */
  async next(signal: AbortSignal): Promise<Mail | undefined> {
    for (;;) {
      if (signal.aborted) return undefined;
      if (this.#hasGap) {
        this.#hasGap = false;
        return { kind: 'gap' };
      }
      if (this.#changes.length > 0) {
        const changes = this.#changes;
        this.#changes = [];
        return { kind: 'changes', changes };
      }
      const trouble = this.#trouble();
      if (trouble !== undefined) throw trouble;
      if (this.#progress.size > 0) {
        const units = [...this.#progress.values()];
        this.#progress.clear();
        return { kind: 'progress', units };
      }
      await this.#somethingCame(signal);
    }
  }

  close(): void {
    this.#onClose();
  }

  #somethingCame(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#wake = wake;
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
