/**
 * A whole farm in one thread, from one seed: coordinators over time, agents, clients, faults, and a
 * witness that looks on after every event. First the faults run; then all is mended, and every job
 * must come to its end.
 */
import { pino } from 'pino';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import type { Capacity } from '../../proto/gen/furrow/v1/agent_service.ts';
import { Faults, USUAL_DISK_MS, type World } from './faults.ts';
import { JournalStore } from './journal-store.ts';
import { NATS, Network } from './network.ts';
import { Prng } from './prng.ts';
import { SimAgent, type UnitWeather } from './sim-agent.ts';
import { BlobDisk } from './sim-blobs.ts';
import { SimCoordinator } from './sim-coordinator.ts';
import { FARM_ID } from './sim-journal.ts';
import { SimProcess, type ClockFault } from './sim-process.ts';
import { Timeline } from './timeline.ts';
import { CLIENT, Workload } from './workload.ts';
import { Violation, Witness } from './witness.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** Events until the faults end. */
  readonly steps: number;
  /** Ends when the faults do: shows what breaks under them, at a third of the work. */
  readonly isCutShort?: boolean;
  /** How many agents; by default the seed tells. */
  readonly agents?: number;
  /** Prints every event. */
  readonly print?: boolean;
}

export interface SimulationReport {
  readonly seed: number;
  readonly steps: number;
  /** Undefined when every promise was kept. */
  readonly violation: Violation | undefined;
  /** Equal for two runs that went alike in every event. */
  readonly digest: string;
  readonly simulatedMs: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly facts: ReadonlyMap<string, number>;
  readonly ends: ReadonlyMap<string, number>;
  readonly messages: Network['counts'];
  readonly startsFromSnapshot: number;
  readonly blobsDeleted: number;
}

const LEASE_TTL_MS = 15_000;
const MOST_CLOCK_DRIFT = 0.01;
/** So many farms have hundreds of agents; a step there is worth less, for most are heartbeats. */
const MANY_AGENTS = 0.03;
/** After everything is mended, no such time passes without a result, until all jobs have ended. */
const QUIET_LIMIT_MS = 10 * 60_000;
const GIB = 2 ** 30;
/** The farm's image is compared at every so many-th commit; at each it would be most of the work. */
const COMPARE_EVERY = 8;

/** Runs one seed. Never throws: what went wrong is in the report. */
export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const simulation = new Simulation(options);
  const release = catchStrays((error) => simulation.fail(error));
  try {
    await simulation.run();
  } catch (error) {
    simulation.fail(error);
  } finally {
    release();
  }
  return simulation.report();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #prng: Prng;
  readonly #timeline: Timeline;
  readonly #network: Network;
  readonly #witness: Witness;
  readonly #store: JournalStore;
  readonly #blobDisk = new BlobDisk();
  readonly #log: Logger;
  readonly #snapshotCommits: number;
  readonly #agents: SimAgent[] = [];
  readonly #workload: Workload;
  readonly #faults: Faults;
  readonly #world: World;
  #coordinators: SimCoordinator[] = [];
  #coordinatorsMade = 0;
  #natsRuns = 1;
  #comparedAt = 0;
  #violation: Violation | undefined;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const prng = new Prng(options.seed);
    this.#prng = prng;
    const timeline = new Timeline(options.print);
    this.#timeline = timeline;
    const nats = new SimProcess(timeline, NATS, { rate: 1, wallOffsetMs: 0 });
    this.#network = new Network(timeline, prng.fork(), nats);
    this.#witness = new Witness(() => timeline.nowMs, this.#blobDisk.names);
    this.#store = new JournalStore((commit) => this.#witness.onStored(commit));
    // Into the event log, so that a printed seed shows what the code under test has to say.
    const line = (text: string): void => timeline.note(text.trimEnd());
    this.#log = pino({ level: 'info', base: null, timestamp: false }, { write: line });
    this.#snapshotCommits = prng.pick([10, 40, 150]);
    const units: UnitWeather = {
      failure: 0,
      hang: 0,
      diskFailure: 0,
      refusal: 0,
      uploadLoss: 0,
      badResult: 0,
      mostDiskMs: USUAL_DISK_MS,
      mostRunMs: prng.pick([500, 10_000, 60_000, 120_000]),
    };
    this.#makeAgents(units);
    this.#workload = new Workload({
      network: this.#network,
      prng: prng.fork(),
      process: new SimProcess(timeline, CLIENT, { rate: 1, wallOffsetMs: 0 }),
      findCoordinator: () => this.#findCoordinator(),
      agentIds: this.#agents.map((agent) => agent.agentId),
      fail: (error) => this.fail(error),
    });
    this.#world = {
      timeline,
      network: this.#network,
      store: this.#store,
      blobDisk: this.#blobDisk,
      validSnapshots: () => this.#witness.stored.snapshots.map(({ sequence }) => sequence),
      agents: this.#agents,
      units,
      coordinators: () => this.#coordinators,
      startCoordinator: () => this.#startCoordinator(),
      restartNats: () => this.#restartNats(),
    };
    this.#faults = new Faults(this.#world, prng.fork());
  }

  /** The first thing that went wrong is what counts. */
  fail(error: unknown): void {
    if (this.#violation !== undefined) return;
    this.#violation =
      error instanceof Violation ? error : new Violation('crashed', describe(error));
  }

  async run(): Promise<void> {
    this.#startCoordinator();
    for (const agent of this.#agents) agent.start();
    this.#workload.start();
    this.#faults.start();
    while (this.#timeline.steps < this.#options.steps) {
      if (!(await this.#step())) return;
    }
    if (this.#options.isCutShort === true) return;
    this.#timeline.note('all is mended');
    this.#faults.stop();
    this.#workload.close();
    let acceptedAtMs = this.#timeline.nowMs;
    let accepted = 0;
    while (!this.#isAtRest()) {
      if (this.#witness.accepted.size > accepted) {
        accepted = this.#witness.accepted.size;
        acceptedAtMs = this.#timeline.nowMs;
      }
      if (this.#timeline.nowMs > acceptedAtMs + QUIET_LIMIT_MS) {
        throw new Violation('never-ended', this.#whatIsLeft());
      }
      if (!(await this.#step())) return;
    }
    this.#witness.checkRest();
  }

  /** False when something went wrong. */
  async #step(): Promise<boolean> {
    await this.#timeline.step();
    this.#check();
    return this.#violation === undefined;
  }

  #check(): void {
    for (const coordinator of this.#coordinators) {
      if (!coordinator.isServing || !coordinator.takeChanged()) continue;
      const { farm, liveness } = coordinator;
      this.#witness.checkLeader(farm, liveness);
    }
    const leader = this.#coordinators.find(({ farm }) => farm.epoch === this.#witness.stored.epoch);
    const commits = this.#store.lastSequence;
    if (leader?.isSettled !== true || commits < this.#comparedAt + COMPARE_EVERY) return;
    this.#comparedAt = commits;
    this.#witness.checkFold(leader.farm);
  }

  #isAtRest(): boolean {
    const leader = this.#coordinators.at(-1);
    if (leader?.isSettled !== true || !this.#workload.isAcknowledged) return false;
    if ([...this.#witness.stored.jobs.values()].some((job) => job.end === undefined)) return false;
    if (!this.#agents.every((agent) => agent.isIdle)) return false;
    this.#witness.checkFold(leader.farm);
    return true;
  }

  #whatIsLeft(): string {
    const open = [...this.#witness.stored.jobs.values()].filter((job) => job.end === undefined);
    const jobs = open.map((job) => {
      const steps = job.steps.map(
        (step) => `${step.spec.name} ${JSON.stringify(step.units?.counts)}`,
      );
      return `j${job.number}${job.paused ? ' (paused)' : ''}: ${steps.join(', ')}`;
    });
    const busy = this.#agents.filter((agent) => !agent.isIdle).map((agent) => agent.agentId);
    return `no result for ${QUIET_LIMIT_MS / 60_000} min: ${jobs.join('; ')}; agents not empty: ${busy.join()}`;
  }

  report(): SimulationReport {
    return {
      seed: this.#options.seed,
      steps: this.#timeline.steps,
      violation: this.#violation,
      digest: this.#timeline.digest(),
      simulatedMs: this.#timeline.nowMs,
      faults: this.#faults.counts,
      facts: this.#witness.facts,
      ends: this.#witness.ends,
      messages: this.#network.counts,
      startsFromSnapshot: this.#witness.startsFromSnapshot,
      blobsDeleted: this.#witness.blobsDeleted,
    };
  }

  // --- machines -------------------------------------------------------------------------------

  #makeAgents(units: UnitWeather): void {
    const prng = this.#prng;
    const usual = prng.pick([2, 3, 5, 12, 30]);
    const many = prng.whole(100, 400);
    const count = this.#options.agents ?? (prng.chance(MANY_AGENTS) ? many : usual);
    for (let index = 0; index < count; index += 1) {
      this.#agents.push(
        new SimAgent({
          timeline: this.#timeline,
          network: this.#network,
          witness: this.#witness,
          prng: prng.fork(),
          agentId: `agent-${index}`,
          // The first one can run everything that the workload asks for.
          capacity: index === 0 ? LARGE : someCapacity(prng),
          clockFault: someClockFault(prng),
          units,
          farmId: FARM_ID,
          leaseTtlMs: LEASE_TTL_MS,
          findCoordinator: () => this.#findCoordinator(),
          fail: (error) => this.fail(error),
        }),
      );
    }
  }

  /** Mostly the newest; an address book can be old. */
  #findCoordinator(): SimCoordinator | undefined {
    const serving = this.#coordinators.filter((coordinator) => coordinator.isServing);
    if (this.#prng.chance(0.1)) return this.#prng.pickAny(serving);
    return serving.at(-1);
  }

  #startCoordinator(): void {
    this.#coordinatorsMade += 1;
    const name = `coordinator-${this.#coordinatorsMade}`;
    const process = new SimProcess(this.#timeline, name, someClockFault(this.#prng));
    const coordinator = new SimCoordinator({
      timeline: this.#timeline,
      network: this.#network,
      store: this.#store,
      witness: this.#witness,
      prng: this.#prng.fork(),
      // Two machines take turns, so that a cut outlives the program that it met.
      machine: `machine-${this.#coordinatorsMade % 2}`,
      process,
      leaseTtlMs: LEASE_TTL_MS,
      fastestRate: 1 + MOST_CLOCK_DRIFT,
      blobDisk: this.#blobDisk,
      snapshotCommits: this.#snapshotCommits,
      log: this.#log,
      fail: (error) => this.fail(error),
    });
    this.#coordinators.push(coordinator);
    process.atExit(() => {
      this.#coordinators = this.#coordinators.filter((other) => other !== coordinator);
      // Whoever watches over it starts it again; the tests of a fault may be quicker.
      this.#timeline.after(1_000, 'supervisor', () => {
        if (this.#coordinators.length === 0) this.#startCoordinator();
      });
    });
    coordinator.start().catch((error: unknown) => {
      if (!process.isAlive) return;
      // A full store is a reason to try again later; whatever else keeps it from starting is not.
      if (isFullStore(error)) process.kill();
      else if (error instanceof Violation) this.fail(error);
      else this.fail(new Violation('cannot-start', describe(error)));
    });
  }

  #restartNats(): void {
    if (this.#network.nats.isAlive) return;
    this.#natsRuns += 1;
    const clockFault = { rate: 1, wallOffsetMs: 0 };
    this.#network.nats = new SimProcess(this.#timeline, `nats.${this.#natsRuns}`, clockFault);
    this.#network.forgetSubscriptions();
    for (const coordinator of this.#coordinators) coordinator.subscribe();
  }
}

const LARGE: Capacity = {
  cpuMillis: 4_000,
  ramTotalBytes: 16 * GIB,
  ramAvailableBytes: 16 * GIB,
  scratchFreeBytes: 100 * GIB,
  gpus: [gpu('gpu-0', 12 * GIB)],
  attributes: [],
  toolchain: {},
  encoderSessions: 2,
  maxUnits: 0,
};

function someCapacity(prng: Prng): Capacity {
  const gpus = Array.from({ length: prng.whole(0, 2) }, (_, index) =>
    gpu(`gpu-${index}`, prng.pick([4, 8, 12]) * GIB),
  );
  const ramBytes = prng.pick([4, 8, 16]) * GIB;
  return {
    ...LARGE,
    cpuMillis: prng.pick([1_000, 2_000, 4_000, 8_000]),
    ramTotalBytes: ramBytes,
    ramAvailableBytes: ramBytes,
    gpus,
    maxUnits: prng.pick([0, 0, 1, 3]),
  };
}

function gpu(id: string, vramTotalBytes: number): Capacity['gpus'][number] {
  return { id, name: id, vramTotalBytes, vramForeignBytes: 0, vramFreeBytes: vramTotalBytes };
}

function someClockFault(prng: Prng): ClockFault {
  return {
    rate: 1 + prng.between(-MOST_CLOCK_DRIFT, MOST_CLOCK_DRIFT),
    wallOffsetMs: prng.between(-60_000, 60_000),
  };
}

function isFullStore(error: unknown): boolean {
  return error instanceof FurrowError && error.reason === 'JOURNAL_REFUSED';
}

function describe(error: unknown): string {
  if (error instanceof FurrowError) return `${error.reason}: ${messageOf(error)}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** What is thrown where nobody waits (a microtask, a forgotten promise) belongs to the run, too. */
function catchStrays(fail: (error: unknown) => void): () => void {
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.map((event) => process.listeners(event as 'uncaughtException'));
  for (const event of events) {
    process.removeAllListeners(event);
    process.on(event as 'uncaughtException', fail);
  }
  return () => {
    events.forEach((event, index) => {
      process.removeAllListeners(event);
      for (const listener of before[index] ?? [])
        process.on(event as 'uncaughtException', listener);
    });
  };
}
