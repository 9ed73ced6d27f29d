/**
 * Simulated time: events in a queue, taken one by one, each run to its end (promises included) before
 * the next. Events of one moment run in the order in which they were made.
 */
import { createHash } from 'node:crypto';

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly what: string;
  run: (() => void) | undefined;
}

const BREATH_STEPS = 64;
const LINES_AT_ONCE = 256;

export class Timeline {
  #nowMs = 0;
  #made = 0;
  #steps = 0;
  #ambushes: { readonly atStep: number; readonly run: () => void }[] = [];
  readonly #heap: Event[] = [];
  readonly #hash = createHash('sha256');
  readonly #lines: string[] = [];
  readonly #print: boolean;

  constructor(print = false) {
    this.#print = print;
  }

  /** True time in milliseconds; no machine can see it. */
  get nowMs(): number {
    return this.#nowMs;
  }

  get steps(): number {
    return this.#steps;
  }

  /** Calls back after `delayMs` of true time; the answer cancels it. */
  after(delayMs: number, what: string, run: () => void): () => void {
    const event: Event = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      order: (this.#made += 1),
      what,
      run,
    };
    push(this.#heap, event);
    return () => {
      event.run = undefined;
    };
  }

  /** Puts a line into the log that tells two runs apart. */
  note(line: string): void {
    const text = `${this.#nowMs.toFixed(3)} ${line}\n`;
    this.#lines.push(text);
    if (this.#lines.length === LINES_AT_ONCE) this.#flush();
    if (this.#print) process.stdout.write(text);
  }

  /** Calls back right behind an event that is `steps` events away, however soon the next one follows. */
  afterSteps(steps: number, run: () => void): void {
    this.#ambushes.push({ atStep: this.#steps + steps, run });
  }

  /** Runs the next event, and all that it causes at once. False when there is none. */
  async step(): Promise<boolean> {
    for (;;) {
      const event = pop(this.#heap);
      if (event === undefined) return false;
      const { run } = event;
      if (run === undefined) continue;
      this.#nowMs = event.atMs;
      this.#steps += 1;
      this.note(event.what);
      run();
      await this.#settled();
      await this.#spring();
      return true;
    }
  }

  async #spring(): Promise<void> {
    const due = this.#ambushes.filter(({ atStep }) => atStep <= this.#steps);
    if (due.length === 0) return;
    this.#ambushes = this.#ambushes.filter(({ atStep }) => atStep > this.#steps);
    for (const ambush of due) ambush.run();
    await this.#settled();
  }

  /**
   * Resolves when no promise has anything left to do: a tick comes after all microtasks. Now and then
   * after an immediate, so that the process hears of promises that rejected, and of the world.
   */
  #settled(): Promise<void> {
    const isBreath = this.#steps % BREATH_STEPS === 0;
    return new Promise((resolve) => {
      if (isBreath) setImmediate(resolve);
      else process.nextTick(resolve);
    });
  }

  #flush(): void {
    this.#hash.update(this.#lines.join(''));
    this.#lines.length = 0;
  }

  /** Hash of everything that was noted. Ends the log. */
  digest(): string {
    this.#flush();
    return this.#hash.digest('hex');
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): Event | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
