/**
 * Which of several agents with room is the best for a unit: one that holds its inputs already, and one that has
 * been fast with its step. Both tip the scales between agents that are about equally full; neither makes a queue
 * at one agent while others are idle.
 */
import type { Farm, StepRun } from './farm.ts';
import type { AgentLiveness, Liveness } from './liveness.ts';
import { paceKeyOf } from './pace.ts';
import type { Offer } from './seat-orders.ts';
import type { Seat } from './seats.ts';

/** Inputs that are elsewhere count like so much of an agent's CPUs taken; so does one that takes twice as long. */
const AWAY = 0.25;
const SLOW = 0.25;
/** Smaller files are there before a unit would miss them. */
const LEAST_ITEM_BYTES = 2 ** 20;
/** Shorter units are over before a look at several agents pays. */
const LEAST_RUN_MS = 1_000;

export class Nearness {
  readonly #farm: Farm;
  readonly #step: StepRun;
  readonly #paceKey: string;
  readonly #offer: Offer;
  readonly #typicalRunMs: number | undefined;

  private constructor(
    farm: Farm,
    job: number,
    step: StepRun,
    offer: Offer,
    typicalRunMs: number | undefined,
  ) {
    this.#farm = farm;
    this.#step = step;
    this.#paceKey = paceKeyOf(job, step.spec.name);
    this.#offer = offer;
    this.#typicalRunMs = typicalRunMs;
  }

  /** Undefined when one agent is as good as another for units of the step. */
  static of(
    farm: Farm,
    liveness: Liveness,
    job: number,
    step: StepRun,
    offer: Offer,
  ): Nearness | undefined {
    const runMs = liveness.runTimes.stepMs(job, step);
    const typicalRunMs = runMs !== undefined && runMs >= LEAST_RUN_MS ? runMs : undefined;
    const [item] = step.items;
    const hasItems = item !== undefined && item.sizeBytes >= LEAST_ITEM_BYTES;
    if (!hasItems && typicalRunMs === undefined) return undefined;
    return new Nearness(farm, job, step, offer, typicalRunMs);
  }

  /** The agent that made the unit's item. */
  makerOf(unit: number): string | undefined {
    const number = this.#step.makers[unit];
    return number === undefined ? undefined : this.#farm.agentByNumber[number - 1]?.id;
  }

  /** Whether the agent may be preferred to the first one in the order: not where that is the smallest. */
  isAlike(first: Seat, other: Seat): boolean {
    if (this.#offer === 'gpus') return first.gpuSizeGib === other.gpuSizeGib;
    return this.#offer === 'spread' || first.ramSizeGib === other.ramSizeGib;
  }

  /** What speaks against the agent; least is best. */
  costOf(seat: Seat, unit: number): number {
    const { agent, load, gpuLoad } = seat;
    const full = this.#offer === 'gpus' ? gpuLoad + load : load;
    const item = this.#step.items[unit];
    const isAway = item !== undefined && this.makerOf(unit) !== agent.agentId;
    return full + (isAway ? AWAY : 0) + this.#slowness(agent);
  }

  #slowness({ paces }: AgentLiveness): number {
    const runMs = paces.get(this.#paceKey)?.runMs;
    const typicalMs = this.#typicalRunMs;
    if (runMs === undefined || typicalMs === undefined) return 0;
    return SLOW * Math.min(2, Math.max(-1, runMs / typicalMs - 1));
  }
}
