/** The real domain, driven as the command loop drives it, without journal and network. */
import { apply } from '../../coordinator/domain/apply.ts';
import type { Capacity } from '../../coordinator/domain/demand.ts';
import type { Fact, LeasesGranted } from '../../coordinator/domain/facts.ts';
import { emptyFarm, type Farm, type Lease } from '../../coordinator/domain/farm.ts';
import { followUp } from '../../coordinator/domain/follow-up.ts';
import { observeBeat } from '../../coordinator/domain/beats.ts';
import { type Liveness, newLiveness } from '../../coordinator/domain/liveness.ts';
import { place } from '../../coordinator/domain/placement.ts';
import { PlacementScope } from '../../coordinator/domain/placement-scope.ts';
import type { Demand } from '../../coordinator/domain/task.ts';
import { track } from '../../coordinator/domain/track.ts';
import { paceKeyOf } from '../../coordinator/domain/pace.ts';
import { noopStep } from './bench-farm.ts';

const WALL_MS = 1_800_000_000_000;
/** Nobody beats here. */
const LEASE_TTL_MS = 10 ** 12;

export interface Pass {
  readonly grants: readonly LeasesGranted[];
  /** Of the CPU; without what follows from the grants. */
  readonly ms: number;
}

export class DomainFarm {
  readonly farm: Farm = emptyFarm();
  readonly #liveness: Liveness = newLiveness(LEASE_TTL_MS);
  readonly #scope = new PlacementScope();
  nowMs = 0;

  constructor() {
    this.#record({ type: 'FarmCreated', farmId: 'bench', atMs: WALL_MS });
    const reign = { epoch: 1, reignId: '00', sequence: 1, acceptsLoss: false };
    this.#record({ type: 'EpochStarted', ...reign, atMs: WALL_MS });
  }

  enrol(agentId: string, capacity: Capacity): void {
    this.#record({ type: 'AgentEnrolled', agentId, name: agentId, version: '1', atMs: WALL_MS });
    this.beat(agentId, capacity);
  }

  beat(agentId: string, capacity: Capacity): void {
    const beat = {
      agentId,
      session: 's',
      beat: 1,
      machineFingerprint: agentId,
      capacity,
      inventory: [],
      grantsHandled: 0,
      workPlaneUp: true,
      leaving: false,
    };
    observeBeat(this.#liveness, beat, this.nowMs);
    this.#scope.markAgent(agentId);
  }

  /** The job's number. */
  submit(units: number, demand: Demand, owner: string): number {
    const job = this.farm.lastJob + 1;
    this.#record({
      type: 'JobSubmitted',
      job,
      clientId: `bench-${job}`,
      requestHash: '',
      name: '',
      priority: 0,
      recipe: 'steps',
      owner,
      steps: [{ ...noopStep(units), demand }],
      atMs: WALL_MS + this.nowMs,
    });
    return job;
  }

  tick(): void {
    this.#scope.markTick(this.#liveness, this.nowMs);
  }

  pass(): Pass {
    const now = { monotonicMs: this.nowMs, wallMs: WALL_MS + this.nowMs };
    const startMs = cpuMs();
    const look = this.#scope.look(this.farm, this.#liveness, now);
    if (look === undefined) return { grants: [], ms: cpuMs() - startMs };
    const { grants, ...end } = place(this.farm, this.#liveness, now, look);
    const ms = cpuMs() - startMs;
    for (const grant of grants) {
      const agent = this.#liveness.agents.get(grant.agentId);
      if (agent !== undefined) agent.lastGrantNumber = grant.grantNumber;
      this.#record(grant);
    }
    this.#scope.done(this.farm, end);
    return { grants, ms };
  }

  /** The lease's unit is done; it ran for so long. */
  accept({ job, step, unit, attempt, token, agentId }: Lease, runMs: number): void {
    this.#liveness.runTimes.note(paceKeyOf(job, 'work'), runMs);
    const columns = { units: [unit], tokens: [token], attempts: [attempt], outputs: [] };
    const atMs = WALL_MS + this.nowMs;
    this.#record({ type: 'ResultsAccepted', job, step, ...columns, agentId, atMs });
  }

  #record(fact: Fact): void {
    let next: Fact | undefined = fact;
    while (next !== undefined) {
      track(this.#liveness, this.farm, next, this.nowMs);
      this.#scope.note(this.farm, next);
      apply(this.farm, next);
      next = 'job' in next ? followUp(this.farm, next.job, WALL_MS + this.nowMs, next) : undefined;
    }
  }
}

/** Of this process: others on the machine take none of it. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
