/** What a placement pass hands out, gathered into facts: one for each step, agent and set of GPUs. */
import { stepOf, unitsOf } from './find.ts';
import type { Now } from './decision.ts';
import type { LeasesGranted } from './facts.ts';
import { type Farm, slotKeyOf } from './farm.ts';
import type { AgentLiveness } from './liveness.ts';
import type { ReadyStep } from './ready-index.ts';
import { grantNumberAfter, MAX_COUNTER, tokenOf } from './token.ts';

/** A pass makes at most so many grants, so that its facts fit into one commit. */
const MAX_GRANTS_A_PASS = 10_000;
/** Each is a fact of its own, of up to 300 bytes or so. */
const MAX_FACTS_A_PASS = 500;

/** Where leases go. */
export interface Place {
  readonly ready: ReadyStep;
  readonly classKey: string;
  readonly agent: AgentLiveness;
  readonly gpuIds: readonly string[];
  readonly waiting: boolean;
  /** Binds the step to a version. */
  readonly pin?: string | undefined;
}

interface Group extends Place {
  readonly units: number[];
}

export class LeaseGroups {
  readonly #groups = new Map<string, Group>();
  readonly #grantedByStep = new Map<ReadyStep, number>();
  readonly #grantedByJob = new Map<number, number>();
  #granted = 0;

  get isFull(): boolean {
    return this.#granted >= MAX_GRANTS_A_PASS || this.#groups.size >= MAX_FACTS_A_PASS;
  }

  /** Units of the step that this pass has handed out. */
  grantedOf(ready: ReadyStep): number {
    return this.#grantedByStep.get(ready) ?? 0;
  }

  /** Units of the job that this pass has handed out. */
  grantedOfJob(job: number): number {
    return this.#grantedByJob.get(job) ?? 0;
  }

  add(place: Place, unit: number): void {
    const { ready, classKey, agent, gpuIds, waiting } = place;
    const slot = slotKeyOf(classKey, gpuIds);
    const key = `${ready.job} ${ready.step} ${waiting} ${agent.agentId} ${slot}`;
    const group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, { ...place, units: [unit] });
    else group.units.push(unit);
    this.#granted += 1;
    this.#grantedByStep.set(ready, this.grantedOf(ready) + 1);
    this.#grantedByJob.set(ready.job, this.grantedOfJob(ready.job) + 1);
  }

  facts(farm: Farm, now: Now): LeasesGranted[] {
    let counter = farm.lastCounter;
    const facts: LeasesGranted[] = [];
    for (const { ready, agent, gpuIds, waiting, pin, units } of this.#groups.values()) {
      const table = unitsOf(stepOf(farm, ready.job, ready.step));
      if (counter + units.length > MAX_COUNTER) break;
      facts.push({
        type: 'LeasesGranted',
        agentId: agent.agentId,
        session: agent.session,
        grantNumber: grantNumberAfter(agent.lastGrantNumber, farm.epoch),
        job: ready.job,
        step: ready.step,
        firstToken: tokenOf(farm.epoch, counter + 1),
        units,
        attempts: units.map((unit) => table.attemptsOf(unit) + 1),
        gpuIds,
        waiting,
        ...(pin === undefined ? {} : { pin }),
        copy: false,
        atMs: now.wallMs,
      });
      counter += units.length;
    }
    return facts;
  }
}
