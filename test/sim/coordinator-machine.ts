/** A machine with a coordinator's program, which is started again by itself when it has ended. */
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import { Unanswered } from './nats-client.ts';
import { SimCoordinator, type SimCoordinatorOptions } from './sim-coordinator.ts';
import { SimProcess, type ClockFault } from './sim-process.ts';
import { Violation } from './violation.ts';

export interface CoordinatorMachineOptions extends Omit<SimCoordinatorOptions, 'pid' | 'process'> {
  readonly clockFault: ClockFault;
}

const RESTART_MS = 1_000;

export class CoordinatorMachine {
  readonly #options: CoordinatorMachineOptions;
  #run: SimCoordinator | undefined;
  #runs = 0;
  /** How many faults keep it from being started. */
  #heldDown = 0;

  constructor(options: CoordinatorMachineOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.machine;
  }

  /** Undefined while there is none that lives. */
  get run(): SimCoordinator | undefined {
    return this.#run?.process.isAlive === true ? this.#run : undefined;
  }

  start(): void {
    if (this.run !== undefined || this.#heldDown > 0) return;
    const { timeline, clockFault, machine, prng, fail } = this.#options;
    this.#runs += 1;
    const process = new SimProcess(timeline, `${machine}.${this.#runs}`, clockFault);
    const run = new SimCoordinator({
      ...this.#options,
      pid: this.#runs,
      process,
      prng: prng.fork(),
    });
    this.#run = run;
    process.atExit(() => timeline.after(RESTART_MS, 'supervisor', () => this.start()));
    run.run().catch((error: unknown) => {
      if (!process.isAlive) return;
      if (error instanceof Violation) return fail(error);
      if (!isPassing(error)) return fail(new Violation('cannot-start', describe(error)));
      timeline.note(`${process.name} ends: ${messageOf(error)}`);
      process.kill();
    });
  }

  /** Somebody sets the machine's clock; it stays so. */
  setClock(byMs: number): void {
    this.#options.clockFault.wallOffsetMs += byMs;
  }

  /** kill -9, and nobody starts it until the answer is called. */
  crash(): () => void {
    this.#heldDown += 1;
    this.run?.process.kill();
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#heldDown = Math.max(0, this.#heldDown - 1);
      this.start();
    };
  }

  /** Whatever holds it down is over. */
  release(): void {
    this.#heldDown = 0;
    this.start();
  }
}

/** A full store, or none that answers, is a reason to try again later; nothing else is. */
function isPassing(error: unknown): boolean {
  if (error instanceof Unanswered) return true;
  return error instanceof FurrowError && (error.retryable || error.reason === 'JOURNAL_REFUSED');
}

export function describe(error: unknown): string {
  if (error instanceof FurrowError) return `${error.reason}: ${messageOf(error)}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
