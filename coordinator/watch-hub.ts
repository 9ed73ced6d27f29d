/**
 * Who looks on. Each watcher of a job has a mailbox that holds little: the latest progress of each
 * unit, and the commits that touched the job. One that reads too slowly loses its place in memory, not
 * in history: it goes on from the journal. While nothing new can be told here, watches end with the reason:
 * whoever looks on sees that the farm is in trouble, and may find another coordinator that knows more.
 */
import type { FurrowError } from '../kit/furrow-error.ts';
import type { Fact } from './domain/facts.ts';
import { jobId } from './domain/farm.ts';
import type { JobView } from './domain/views.ts';
import type { Committed } from './ports.ts';

/** What one commit did to one job. */
export interface JobChange {
  readonly sequence: number;
  readonly view: JobView;
  readonly facts: readonly Fact[];
}

/** How far one attempt is. */
export interface LiveProgress {
  readonly unitId: string;
  readonly attempt: number;
  readonly agentId: string;
  /** 0 to 1. */
  readonly fraction: number;
  readonly counter: number;
  readonly note: string;
}

export type Mail =
  | { readonly kind: 'changes'; readonly changes: readonly JobChange[] }
  /** Changes were left out: read the journal from the last one seen on. */
  | { readonly kind: 'gap' }
  | { readonly kind: 'progress'; readonly units: readonly LiveProgress[] };

const MAX_CHANGES = 1_000;
const MAX_PROGRESS = 2_000;
const LOOK_FOR_TROUBLE_MS = 1_000;

export class WatchHub {
  readonly #mailboxes = new Map<number, Set<Mailbox>>();
  /** Latest progress of units that run now, by job. */
  readonly #latest = new Map<string, Map<string, LiveProgress>>();
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
      if (view.endedAtMs > 0) this.#latest.delete(view.id);
      const open = this.#mailboxes.get(view.number);
      if (open === undefined) continue;
      const facts = commit.facts.filter((fact) => 'job' in fact && fact.job === view.number);
      for (const mailbox of open) mailbox.change({ sequence: commit.sequence, view, facts });
    }
  }

  progress(job: number, units: readonly LiveProgress[]): void {
    const latest = this.#latest.get(jobId(job)) ?? new Map<string, LiveProgress>();
    this.#latest.set(jobId(job), latest);
    for (const unit of units) latest.set(unit.unitId, unit);
    while (latest.size > MAX_PROGRESS) latest.delete(latest.keys().next().value ?? '');
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

  /** The unit's latest progress, 0 to 1; 0 when none is known, or none that is this agent's. */
  fractionOf(job: number, unitId: string, agentId?: string): number {
    const latest = this.#latest.get(jobId(job))?.get(unitId);
    if (latest === undefined) return 0;
    return agentId === undefined || agentId === latest.agentId ? latest.fraction : 0;
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
    if (this.#changes.length === MAX_CHANGES) {
      this.#changes = [];
      this.#hasGap = true;
    }
    if (!this.#hasGap) this.#changes.push(change);
    this.#wake();
  }

  progress(units: readonly LiveProgress[]): void {
    for (const unit of units) {
      if (this.#progress.size < MAX_PROGRESS || this.#progress.has(unit.unitId)) {
        this.#progress.set(unit.unitId, unit);
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
