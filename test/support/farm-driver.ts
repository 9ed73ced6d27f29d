/**
 * Drives the pure domain as the command loop does, without journal, clock or promises: decide, track,
 * apply, follow up, place. The farm is checked after every fact, and every fact is kept for replay.
 */
import { TAKES_LISTS } from '../../coordinator/domain/file-lists.ts';
import { apply } from '../../coordinator/domain/apply.ts';
import { checkBookings, checkFarm } from '../../coordinator/domain/check-farm.ts';
import type {
  Answer,
  Command,
  ReportedOutcome,
  SubmitJob,
  Verdict,
} from '../../coordinator/domain/commands.ts';
import { decide } from '../../coordinator/domain/decide.ts';
import type { Decision, Now, StopOrder } from '../../coordinator/domain/decision.ts';
import { type Capacity, NO_DEMAND } from '../../coordinator/domain/demand.ts';
import type { Fact, LeasesGranted } from '../../coordinator/domain/facts.ts';
import { emptyFarm, type Farm, type Job, type Lease } from '../../coordinator/domain/farm.ts';
import { followUp, isVoid } from '../../coordinator/domain/follow-up.ts';
import {
  type Beat,
  faultOfBeat,
  observeBeat,
  observeClosedStream,
} from '../../coordinator/domain/beats.ts';
import { observeGrantAnswer } from '../../coordinator/domain/grant-pause.ts';
import {
  type HeldLease,
  type HeldState,
  type Liveness,
  newLiveness,
} from '../../coordinator/domain/liveness.ts';
import type { SeenMemory } from '../../coordinator/domain/model-memory.ts';
import { observeResults } from '../../coordinator/domain/observe-results.ts';
import { beginTakeoverGrace } from '../../coordinator/domain/takeover-grace.ts';
import { place } from '../../coordinator/domain/placement.ts';
import { PlacementScope } from '../../coordinator/domain/placement-scope.ts';
import { placeCopies } from '../../coordinator/domain/second-copies.ts';
import type { StepSpec } from '../../coordinator/domain/task.ts';
import { grantNumberAfter, type Token, tokenOf } from '../../coordinator/domain/token.ts';
import { track } from '../../coordinator/domain/track.ts';

export const LEASE_TTL_MS = 15_000;
const GIB = 2 ** 30;
const WALL_START_MS = 1_800_000_000_000;

export class FarmDriver {
  farm: Farm = emptyFarm();
  liveness: Liveness = newLiveness(LEASE_TTL_MS);
  readonly facts: Fact[] = [];
  stops: StopOrder[] = [];
  nowMs = 0;
  /** By how much the coordinator's wall clock was set since the beginning. */
  wallSetMs = 0;
  /** What units take, as agents report it: too long for others to wait behind them. */
  runMs = 60_000;
  /** What units are seen to take. */
  peak = { ramBytes: 0, vramBytes: 0 };
  /** What their models are seen to take. */
  modelMemory: SeenMemory | undefined;
  readonly #beats = new Map<string, Beat>();

  constructor() {
    this.record({ type: 'FarmCreated', farmId: 'farm', atMs: this.now.wallMs });
    this.#beginReign(1, false);
  }

  get now(): Now {
    return { monotonicMs: this.nowMs, wallMs: WALL_START_MS + this.wallSetMs + this.nowMs };
  }

  /** One fact with all that follows from it; throws when the farm does not hold together. */
  record(fact: Fact): void {
    let next: Fact | undefined = fact;
    while (next !== undefined) {
      track(this.liveness, this.farm, next, this.nowMs);
      apply(this.farm, next);
      this.facts.push(next);
      const faults = [...checkFarm(this.farm), ...checkBookings(this.farm, this.liveness)];
      if (faults.length > 0) throw new Error(`after ${next.type}: ${faults.join('; ')}`);
      next = 'job' in next ? followUp(this.farm, next.job, this.now.wallMs, next) : undefined;
    }
  }

  /** Decides a command and records what comes of it. */
  decide(command: Command): Decision {
    if (command.type === 'GrantAnswered') observeGrantAnswer(this.liveness, command, this.nowMs);
    if (command.type === 'ReportResults') observeResults(this.liveness, this.farm, command);
    if (command.type === 'StreamClosed') {
      observeClosedStream(this.liveness, command.agentId, command.session);
    }
    const decision = decide(this.farm, this.liveness, command, this.now);
    for (const fact of decision.facts) if (!isVoid(this.farm, fact)) this.record(fact);
    this.stops.push(...decision.stops);
    return decision;
  }

  ask(command: Command): Answer {
    return this.decide(command).answer;
  }

  /** A placement pass. */
  place(): readonly LeasesGranted[] {
    const { grants } = place(this.farm, this.liveness, this.now);
    this.#grant(grants);
    return grants;
  }

  /** Second copies of what the last ticks have found slow. */
  placeCopies(): readonly LeasesGranted[] {
    const seats = new PlacementScope().seats(this.farm, this.liveness, this.now);
    const grants = placeCopies(this.farm, this.liveness, this.now, seats);
    this.#grant(grants);
    return grants;
  }

  /** A second copy of what runs under a lease, whether it is slow or not. */
  copyOf({ job, step, unit, gpuIds }: Lease, agentId: string): LeasesGranted {
    const agent = this.liveness.agents.get(agentId);
    const units = this.job(job).steps[step]?.units;
    if (agent === undefined || units === undefined) throw new Error(`no agent ${agentId}`);
    agent.lastGrantNumber = grantNumberAfter(agent.lastGrantNumber, this.farm.epoch);
    return {
      type: 'LeasesGranted',
      agentId,
      session: agent.session,
      grantNumber: agent.lastGrantNumber,
      job,
      step,
      firstToken: tokenOf(this.farm.epoch, this.farm.lastCounter + 1),
      units: [unit],
      attempts: [units.attemptsOf(unit) + 1],
      gpuIds,
      waiting: false,
      copy: true,
      atMs: this.now.wallMs,
    };
  }

  #grant(grants: readonly LeasesGranted[]): void {
    for (const grant of grants) {
      const agent = this.liveness.agents.get(grant.agentId);
      if (agent !== undefined) agent.lastGrantNumber = grant.grantNumber;
      this.record(grant);
    }
  }

  submit(steps: readonly StepSpec[], over: Partial<SubmitJob> = {}): Job {
    const clientId = over.clientId ?? `client-${this.farm.lastJob + 1}`;
    const answer = this.ask(submitJob(steps, { clientId, ...over }));
    if (answer.kind !== 'job') throw new Error(`refused: ${JSON.stringify(answer)}`);
    return this.job(answer.job);
  }

  job(number: number): Job {
    const job = this.farm.jobs.get(number);
    if (job === undefined) throw new Error(`no job ${number}`);
    return job;
  }

  enrol(agentId: string, capacity: Partial<Capacity> = {}): void {
    const name = `${agentId}-box`;
    const machineFingerprint = `machine of ${agentId}`;
    const versions = { version: '1.0.0', coordinatorVersion: '1.0.0' };
    this.ask({ type: 'EnrolAgent', agentId, name, machineFingerprint, ...versions });
    this.beat(agentId, { capacity: { ...CAPACITY, ...capacity } });
  }

  /** A beat, changed from the agent's last one, and the review of what it lists. */
  beat(agentId: string, change: Partial<Beat> = {}): Decision {
    const before = this.#beats.get(agentId);
    const beat: Beat = {
      ...(before ?? firstBeat(agentId)),
      beat: (before?.beat ?? 0) + 1,
      ...change,
    };
    this.#beats.set(agentId, beat);
    const fault = faultOfBeat(this.liveness, beat, this.nowMs);
    if (fault !== undefined) throw new Error(fault);
    observeBeat(this.liveness, beat, this.nowMs);
    return this.decide({ type: 'ReviewAgent', agentId });
  }

  /** A beat that lists all leases that the agent should have, in this state. */
  beatHolding(agentId: string, state: HeldState = 'running', progress = 1): Decision {
    const inventory = this.leasesOf(agentId).map(({ token }) => held(token, state, progress));
    const grantsHandled = this.liveness.agents.get(agentId)?.lastGrantNumber ?? 0;
    return this.beat(agentId, { inventory, grantsHandled });
  }

  leasesOf(agentId: string): Lease[] {
    const tokens = this.farm.agents.get(agentId)?.leases ?? [];
    return [...tokens].flatMap((token) => this.farm.leases.get(token) ?? []);
  }

  /** The agent reports how these leases went. */
  report(leases: readonly Lease[], outcome: ReportedOutcome = SUCCEEDED): Verdict[] {
    return this.reportAs(leases, () => outcome);
  }

  reportAs(leases: readonly Lease[], outcomeOf: (lease: Lease) => ReportedOutcome): Verdict[] {
    const [first] = leases;
    if (first === undefined) return [];
    const answer = this.ask({
      type: 'ReportResults',
      agentId: first.agentId,
      session: first.session,
      results: leases.map((lease) => ({
        token: lease.token,
        job: lease.job,
        // Of a job that is gone by now, as any agent may.
        step: this.farm.jobs.get(lease.job)?.steps[lease.step]?.spec.name ?? 'gone',
        unit: lease.unit,
        outcome: outcomeOf(lease),
        runMs: this.runMs,
        peak: this.peak,
        modelMemory: this.modelMemory,
        missingBlobs: [],
      })),
    });
    if (answer.kind !== 'verdicts') throw new Error(`no verdicts: ${JSON.stringify(answer)}`);
    return [...answer.verdicts];
  }

  /** Places and accepts until nothing is left to place. */
  runAll(): void {
    while (this.place().length > 0) {
      for (const agentId of this.farm.agents.keys()) {
        this.beatHolding(agentId);
        this.report(this.leasesOf(agentId));
      }
    }
  }

  pass(ms: number): Decision {
    this.nowMs += ms;
    return this.decide({ type: 'Tick' });
  }

  /**
   * The coordinator is started anew: the farm is folded from its facts, all else is forgotten.
   * `acceptsLoss`: with a store that a person accepted although it lacks commits.
   */
  restart(acceptsLoss = false): void {
    this.farm = this.replayed();
    this.liveness = newLiveness(LEASE_TTL_MS);
    this.#beginReign(this.farm.epoch + 1, acceptsLoss);
    beginTakeoverGrace(this.liveness, this.farm, this.nowMs, 20_000);
  }

  #beginReign(epoch: number, acceptsLoss: boolean): void {
    const sequence = this.facts.length + 1;
    const reignId = `reign-${epoch}`;
    this.record({
      type: 'EpochStarted',
      epoch,
      reignId,
      sequence,
      acceptsLoss,
      atMs: this.now.wallMs,
    });
  }

  replayed(): Farm {
    const farm = emptyFarm();
    for (const fact of this.facts) apply(farm, fact);
    return farm;
  }
}

const SUCCEEDED: ReportedOutcome = { state: 'succeeded', outputs: [] };

export function failed(
  kind: Extract<ReportedOutcome, { state: 'failed' }>['kind'],
): ReportedOutcome {
  return { state: 'failed', kind, message: `it was ${kind}` };
}

export function succeededWith(...names: string[]): ReportedOutcome {
  return { state: 'succeeded', outputs: names.map(fileNamed) };
}

export function fileNamed(name: string): { name: string; sha256: string; sizeBytes: number } {
  return { name, sha256: 'a'.repeat(64), sizeBytes: 1 };
}

export function held(token: Token, state: HeldState, progress = 1): HeldLease {
  return { token, state, progress };
}

export function step(name: string, over: Partial<StepSpec> = {}): StepSpec {
  return {
    name,
    dependsOn: [],
    parameters: undefined,
    task: { kind: { $case: 'noop', value: {} } },
    inputs: [],
    outputs: [],
    demand: { ...NO_DEMAND, cpuMillis: 1_000 },
    limits: undefined,
    ...over,
  };
}

export function countOf(value: number): StepSpec['parameters'] {
  return { kind: { $case: 'count', value } };
}

export function forEach(producer: string, pattern: string): StepSpec['parameters'] {
  return { kind: { $case: 'forEach', value: { step: producer, pattern } } };
}

export function submitJob(steps: readonly StepSpec[], over: Partial<SubmitJob> = {}): SubmitJob {
  return {
    type: 'SubmitJob',
    clientId: 'client',
    requestHash: 'hash',
    name: 'a job',
    priority: 0,
    recipe: '',
    steps,
    missingBlobs: [],
    ...over,
  };
}

export const CAPACITY: Capacity = {
  cpuMillis: 4_000,
  ramTotalBytes: 16 * GIB,
  ramAvailableBytes: 16 * GIB,
  scratchFreeBytes: 100 * GIB,
  encoderSessions: 2,
  attributes: ['tool:command', TAKES_LISTS],
  gpus: [{ id: 'gpu-0', name: 'GPU', vramTotalBytes: 8 * GIB, vramForeignBytes: 0 }],
  maxUnits: 0,
};

function firstBeat(agentId: string): Beat {
  return {
    agentId,
    session: `${agentId}-session-1`,
    beat: 0,
    machineFingerprint: `machine of ${agentId}`,
    capacity: undefined,
    inventory: [],
    grantsHandled: 0,
    workPlaneUp: true,
    leaving: false,
  };
}
