/**
 * One run of a program on a machine. What is to happen to it happens through `after`: not at all once
 * it is dead, and later, in order, while it stands still (SIGSTOP, a sleeping laptop).
 */
import type { Clock } from '../../kit/clock.ts';
import type { Timeline } from './timeline.ts';

/** How wrong a machine's clocks are. */
export interface ClockFault {
  /** 1 is right; 1.01 runs one per cent fast. */
  readonly rate: number;
  /** Changes when somebody sets the machine's clock. */
  wallOffsetMs: number;
}

const WALL_START_MS = Date.UTC(2030, 0, 1);

interface Held {
  readonly what: string;
  readonly isTimer: boolean;
  readonly run: () => void;
  cancelled: boolean;
}

type Filter = (entry: Held) => boolean;
const TIMERS: Filter = ({ isTimer }) => isTimer;
const MESSAGES: Filter = ({ isTimer }) => !isTimer;
const ALL: Filter = () => true;
const NONE: Filter = () => false;

export class SimProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly #timeline: Timeline;
  #state: 'running' | 'paused' | 'dead' = 'running';
  readonly #held: Held[] = [];
  readonly #atExit: (() => void)[] = [];
  #pausedSinceMs = 0;
  #pausedMs = 0;

  constructor(timeline: Timeline, name: string, fault: ClockFault) {
    this.name = name;
    this.#timeline = timeline;
    const startMs = timeline.nowMs;
    this.clock = {
      monotonicMs: () => (timeline.nowMs - startMs) * fault.rate,
      wallMs: () => Math.floor(WALL_START_MS + timeline.nowMs * fault.rate + fault.wallOffsetMs),
      after: (delayMs, callback) => this.after(delayMs / fault.rate, 'timer', callback),
    };
  }

  get isAlive(): boolean {
    return this.#state !== 'dead';
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  /** Calls back after `delayMs` of true time, if it still lives then. */
  after(delayMs: number, what: string, run: () => void): () => void {
    const entry: Held = {
      what: `${this.name} ${what}`,
      isTimer: what === 'timer',
      run,
      cancelled: false,
    };
    const cancel = this.#timeline.after(delayMs, entry.what, () => {
      if (this.#state === 'running') run();
      else if (this.#state === 'paused') this.#held.push(entry);
    });
    return () => {
      entry.cancelled = true;
      cancel();
    };
  }

  /** Called when it ends, however it ends. */
  atExit(run: () => void): void {
    this.#atExit.push(run);
  }

  /** True time that it was not standing still. */
  get awakeMs(): number {
    return this.#timeline.nowMs - this.#pausedMs;
  }

  pause(): void {
    if (this.#state !== 'running') return;
    this.#state = 'paused';
    this.#pausedSinceMs = this.#timeline.nowMs;
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    this.#pausedMs += this.#timeline.nowMs - this.#pausedSinceMs;
    const held = this.#held.splice(0);
    // Half of them read messages before they look at the time, as a program that was stopped waiting does.
    const [early, late] =
      Math.floor(this.#timeline.nowMs) % 2 === 1 ? [MESSAGES, TIMERS] : [ALL, NONE];
    for (const entry of [...held.filter(early), ...held.filter(late)]) {
      // Each as an event of its own, in the order in which they came.
      this.#timeline.after(0, `${entry.what} (held)`, () => {
        if (entry.cancelled) return;
        if (this.#state === 'running') entry.run();
        else if (this.#state === 'paused') this.#held.push(entry);
      });
    }
  }

  kill(): void {
    if (this.#state === 'dead') return;
    this.#state = 'dead';
    this.#held.length = 0;
    for (const run of this.#atExit.splice(0)) run();
  }
}
