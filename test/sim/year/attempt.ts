/** One attempt on a machine: how it will end, and the time it has left, which stands still with the machine. */
import type { ReportedOutcome } from '../../../coordinator/domain/commands.ts';
import type { EndKind } from '../../../coordinator/domain/facts.ts';
import type { Demand, File, StepSpec } from '../../../coordinator/domain/task.ts';
import type { Token } from '../../../coordinator/domain/token.ts';
import type { Prng } from '../prng.ts';
import type { Timeline } from '../timeline.ts';
import type { UnitTruth } from './unit-truth.ts';

/** The lease, as the agent was told. */
export interface Held {
  readonly token: Token;
  readonly job: number;
  readonly spec: StepSpec;
  readonly unit: number;
  readonly demand: Demand;
  readonly gpuIds: readonly string[];
  readonly truth: UnitTruth;
}

/** What a machine does to units. */
export interface Conditions {
  readonly speed: number;
  readonly isDiskFull: boolean;
  /** One of the unit's GPUs does not answer. */
  readonly isGpuLost: boolean;
  /** Chance that a unit on its GPU comes out bad. */
  readonly badOutput: number;
}

/**
 * - `peaks`: after so long it takes more VRAM than it was given; if there is room it goes on.
 * - `hangs`: it makes no more progress from then on.
 * - `crashes`: the machine goes down with it.
 */
export type Fate =
  | { readonly state: 'ends'; readonly afterMs: number; readonly outcome: ReportedOutcome }
  | { readonly state: 'peaks'; readonly afterMs: number; readonly next: Fate }
  | { readonly state: 'hangs'; readonly afterMs: number }
  | { readonly state: 'crashes'; readonly afterMs: number };

const TRANSIENT_FAILURE = 0.004;
const HANG = 0.000_5;
const SOON_MS = 20_000;

export function fateOf(held: Held, on: Conditions, prng: Prng): Fate {
  const { truth, demand, gpuIds } = held;
  const runMs = truth.runMs / on.speed;
  const early = runMs * prng.between(0.1, 0.5);
  if (on.isDiskFull) return fails('infrastructure', 'no space left on device', SOON_MS);
  if (on.isGpuLost)
    return fails('infrastructure', 'Unable to determine the device handle', SOON_MS);
  if (truth.poison === 'crashes') return { state: 'crashes', afterMs: early };
  if (truth.poison === 'fails') return fails('failed', 'exit code 1', early);
  if (truth.ramBytes > demand.ramBytes) return fails('out-of-memory', 'killed', early);
  if (prng.chance(HANG)) return { state: 'hangs', afterMs: early };
  if (prng.chance(TRANSIENT_FAILURE)) return fails('failed', 'exit code 139', early);
  const isBad = gpuIds.length > 0 && prng.chance(on.badOutput);
  const end: Fate = isBad
    ? fails('bad-output', 'frame 17 is not what it should be', runMs)
    : { state: 'ends', afterMs: runMs, outcome: { state: 'succeeded', outputs: filesOf(held) } };
  if (truth.vramBytes <= demand.vramBytes) return end;
  return { state: 'peaks', afterMs: early, next: { ...end, afterMs: runMs - early } };
}

export function failure(kind: EndKind, message: string): ReportedOutcome {
  return { state: 'failed', kind, message: `simulated: ${message}` };
}

function fails(kind: EndKind, message: string, afterMs: number): Fate & { state: 'ends' } {
  return { state: 'ends', afterMs, outcome: failure(kind, message) };
}

function filesOf({ spec, truth }: Held): File[] {
  return spec.outputs.flatMap(({ pattern }) =>
    Array.from({ length: truth.outputs }, (_, index) => ({
      name: pattern.replace('*', String(index).padStart(3, '0')),
      sha256: 'f'.repeat(64),
      sizeBytes: 1_000_000,
    })),
  );
}

export class Attempt {
  readonly held: Held;
  readonly startedMs: number;
  readonly #timeline: Timeline;
  #state:
    | { readonly state: 'running'; readonly endsMs: number; readonly cancel: () => void }
    | { readonly state: 'paused'; readonly leftMs: number }
    | { readonly state: 'still' } = { state: 'still' };
  #then: () => void = () => {};
  #hungMs: number | undefined;

  constructor(held: Held, timeline: Timeline) {
    this.held = held;
    this.#timeline = timeline;
    this.startedMs = timeline.nowMs;
  }

  /** Calls back when it has run for so long from now on. */
  after(runMs: number, then: () => void): void {
    this.#then = then;
    this.#run(runMs);
  }

  /** The machine stands still. */
  pause(): void {
    if (this.#state.state !== 'running') return;
    const { endsMs, cancel } = this.#state;
    cancel();
    this.#state = { state: 'paused', leftMs: Math.max(0, endsMs - this.#timeline.nowMs) };
  }

  resume(): void {
    if (this.#state.state === 'paused') this.#run(this.#state.leftMs);
  }

  end(): void {
    if (this.#state.state === 'running') this.#state.cancel();
    this.#state = { state: 'still' };
  }

  hang(): void {
    this.#hungMs = this.#timeline.nowMs;
  }

  /** Grows while it makes progress. */
  get progress(): number {
    const untilMs = this.#hungMs ?? this.#timeline.nowMs;
    return 1 + Math.floor((untilMs - this.startedMs) / 1_000);
  }

  #run(leftMs: number): void {
    const cancel = this.#timeline.after(leftMs, 'unit', () => {
      this.#state = { state: 'still' };
      this.#then();
    });
    this.#state = { state: 'running', endsMs: this.#timeline.nowMs + leftMs, cancel };
  }
}
