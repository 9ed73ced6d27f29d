/**
 * Keeps one child process running: starts it again when it ends by itself, after pauses that grow
 * while it keeps crashing, until it is stopped. What a child is does not matter here.
 */
import type { Clock } from '../../kit/clock.ts';
import { messageOf } from '../../kit/furrow-error.ts';

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that was started and is ready for use. */
export interface Child {
  readonly pid: number;
  readonly exited: Promise<ChildExit>;
  /** Asks it to end, and kills it after the grace. Settles when it is gone. */
  stop(graceMs: number): Promise<void>;
  /** Kills it at once. */
  kill(): void;
}

export type SupervisorEvent =
  | { readonly kind: 'ended'; readonly exit: ChildExit; readonly pauseMs: number }
  | { readonly kind: 'start-failed'; readonly message: string; readonly pauseMs: number }
  | { readonly kind: 'restarted'; readonly pid: number };

export interface SupervisorOptions {
  /** Starts the process and settles once it is ready. Must not leave one behind when it rejects. */
  readonly start: () => Promise<Child>;
  readonly clock: Clock;
  readonly onEvent: (event: SupervisorEvent) => void;
}

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;
/** Whoever ran for so long starts with a clean slate. */
const STEADY_AFTER_MS = 60_000;

/** Pause before a start, after so many crashes in a row (from 1). */
export function restartPauseMs(crashes: number): number {
  return Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (crashes - 1));
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  #child: Child | undefined;
  #stopping = false;
  /** Ends the pause that is under way. */
  #wake: () => void = () => undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** The process that runs now. */
  get child(): Child | undefined {
    return this.#child;
  }

  /** The first start, whose failure is the caller's: nothing is tried again before it succeeded. */
  async start(): Promise<void> {
    const child = await this.#options.start();
    this.#child = child;
    this.#loop = this.#keepRunning(child);
  }

  /** Settles when the process is gone for good. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#wake();
    await this.#child?.stop(graceMs);
    await this.#loop;
    // A start that was under way when we were asked to stop.
    await this.#child?.stop(graceMs);
  }

  /** Kills the process at once and starts it no more; does not wait. */
  kill(): void {
    this.#stopping = true;
    this.#wake();
    this.#child?.kill();
  }

  async #keepRunning(first: Child): Promise<void> {
    const { clock, onEvent } = this.#options;
    let child: Child | undefined = first;
    let startedAtMs = clock.monotonicMs();
    for (let crashes = 0; !this.#stopping;) {
      if (child) {
        const exit: ChildExit = await child.exited;
        this.#child = undefined;
        if (this.#stopping) return;
        crashes = clock.monotonicMs() - startedAtMs >= STEADY_AFTER_MS ? 1 : crashes + 1;
        onEvent({ kind: 'ended', exit, pauseMs: restartPauseMs(crashes) });
      }
      await this.#pause(restartPauseMs(crashes));
      if (this.#stopping) return;
      startedAtMs = clock.monotonicMs();
      try {
        child = await this.#options.start();
        this.#child = child;
        onEvent({ kind: 'restarted', pid: child.pid });
      } catch (error) {
        child = undefined;
        crashes += 1;
        const pauseMs = restartPauseMs(crashes);
        onEvent({ kind: 'start-failed', message: messageOf(error), pauseMs });
      }
    }
  }

  #pause(pauseMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(pauseMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
