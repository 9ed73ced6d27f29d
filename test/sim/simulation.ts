/**
 * A whole farm in one thread, from one seed: coordinators over time, agents, clients, faults, and a
 * witness that looks on after every event. First the faults run; then all is mended, and every job
 * must come to its end.
 */
import { pino } from 'pino';
import type { Logger } from '../../kit/log.ts';
import { ClockSetter } from './clock-setter.ts';
import { CoordinatorMachine, describe } from './coordinator-machine.ts';
import type { CopyCounts } from './copy-check.ts';
import { Faults } from './faults.ts';
import { JournalStore } from './journal-store.ts';
import { NATS, Network } from './network.ts';
import { Prng } from './prng.ts';
import { SimAgent } from './sim-agent.ts';
import { BlobDisk } from './sim-blobs.ts';
import type { SimCoordinator } from './sim-coordinator.ts';
import { FARM_ID } from './sim-journal.ts';
import { LARGE, MOST_CLOCK_DRIFT, someCapacity, someClockFault } from './sim-machines.ts';
import { SimProcess } from './sim-process.ts';
import type { UnitWeather } from './sim-units.ts';
import { Timeline } from './timeline.ts';
import { CLIENT, Workload } from './workload.ts';
import { Violation } from './violation.ts';
import { Witness } from './witness.ts';
import { USUAL_DISK_MS, type World } from './world.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** Events until the faults end. */
  readonly steps: number;
  /** Ends when the faults do: shows what breaks under them, at a third of the work. */
  readonly isCutShort?: boolean;
  /** How many agents; by default the seed tells. */
  readonly agents?: number;
  /** How many coordinators; by default the seed tells. */
  readonly coordinators?: number;
  /** Whether wall clocks are set while the faults run; by default those of fresh seeds are. */
  readonly setsClocks?: boolean;
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
  readonly copies: Readonly<CopyCounts>;
  readonly clocksSet: number;
}

const LEASE_TTL_MS = 15_000;
/** So many farms have hundreds of agents; a step there is worth less, for most are heartbeats. */
const MANY_AGENTS = 0.03;
/** Fresh ones: below, farms share nothing, so that planted bugs are found by the seeds that found them before. */
const FIRST_FRESH_SEED = 1_000_000;
/** After everything is mended, no such time passes without a result, until all jobs have ended. */
const QUIET_LIMIT_MS = 10 * 60_000;

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
  readonly #clockSetter: ClockSetter;
  readonly #world: World;
  readonly #coordinators: readonly CoordinatorMachine[];
  #natsRuns = 1;
  #violation: Violation | undefined;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const prng = new Prng(options.seed);
    this.#prng = prng;
    const timeline = new Timeline(options.print);
    this.#timeline = timeline;
    const nats = new SimProcess(timeline, NATS, { rate: 1, wallOffsetMs: 0 });
    this.#network = new Network(timeline, prng.fork(), nats);
    this.#witness = new Witness(
      () => timeline.nowMs,
      this.#blobDisk.names,
      (segment, part) => Buffer.concat(this.#store.archive.get(`${segment}/${part}`) ?? []),
    );
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
      mostRunMs: prng.pick([500, 3_000, 20_000, 60_000]),
      slowness: new Map(),
    };
    this.#coordinators = this.#makeCoordinators();
    this.#makeAgents(units);
    this.#workload = new Workload({
      network: this.#network,
      prng: prng.fork(),
      process: new SimProcess(timeline, CLIENT, { rate: 1, wallOffsetMs: 0 }),
      addresses: this.#addresses,
      findCoordinator: (address) => this.#findCoordinator(address),
      agentIds: this.#agents.map((agent) => agent.agentId),
      hasShares: options.seed >= FIRST_FRESH_SEED,
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
      coordinators: this.#coordinators,
      leader: () => this.#leader,
      restartNats: () => this.#restartNats(),
    };
    this.#faults = new Faults(this.#world, prng.fork());
    this.#clockSetter = new ClockSetter(this.#world, options.seed);
    this.#makeSomeSlow(units);
  }

  /** The first thing that went wrong is what counts. */
  fail(error: unknown): void {
    if (this.#violation !== undefined) return;
    this.#violation =
      error instanceof Violation ? error : new Violation('crashed', describe(error));
  }

  async run(): Promise<void> {
    for (const coordinator of this.#coordinators) coordinator.start();
    for (const agent of this.#agents) agent.start();
    this.#workload.start();
    this.#faults.start();
    const { seed, setsClocks = seed >= FIRST_FRESH_SEED } = this.#options;
    if (setsClocks) this.#clockSetter.start();
    while (this.#timeline.steps < this.#options.steps) {
      if (!(await this.#step())) return;
    }
    if (this.#options.isCutShort === true) return;
    this.#timeline.note('all is mended');
    this.#faults.stop();
    this.#clockSetter.stop();
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
    for (const { run } of this.#coordinators) run?.check();
  }

  #isAtRest(): boolean {
    const programs = this.#coordinators.map(({ run }) => run);
    const { lastSequence } = this.#store;
    const areEven = programs.every(
      (run) => run?.isSettled === true && run.sequence === lastSequence,
    );
    if (!areEven || this.#leader === undefined || !this.#workload.isAcknowledged) return false;
    if ([...this.#witness.stored.jobs.values()].some((job) => job.end === undefined)) return false;
    return this.#agents.every((agent) => agent.isIdle);
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
      copies: this.#witness.copies.counts,
      clocksSet: this.#clockSetter.count,
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
          log: this.#log,
          farmId: FARM_ID,
          leaseTtlMs: LEASE_TTL_MS,
          addresses: this.#addresses,
          findCoordinator: (address) => this.#findCoordinator(address),
          fail: (error) => this.fail(error),
        }),
      );
    }
  }

  /** Old boxes among new ones, until all is mended: their units are those that get second copies. */
  #makeSomeSlow({ slowness }: UnitWeather): void {
    const prng = this.#prng;
    const share = prng.pick([0, 0, 0.2, 0.5]);
    for (const { agentId } of this.#agents) {
      if (prng.chance(share)) slowness.set(agentId, prng.pick([3, 10]));
    }
  }

  #makeCoordinators(): CoordinatorMachine[] {
    const prng = this.#prng;
    const count = this.#options.coordinators ?? prng.pick([1, 2, 2, 3]);
    return Array.from({ length: count }, (_, index) => {
      return new CoordinatorMachine({
        timeline: this.#timeline,
        network: this.#network,
        store: this.#store,
        witness: this.#witness,
        prng: prng.fork(),
        machine: `machine-${index}`,
        clockFault: someClockFault(prng),
        leaseTtlMs: LEASE_TTL_MS,
        fastestRate: 1 + MOST_CLOCK_DRIFT,
        blobDisk: this.#blobDisk,
        snapshotCommits: this.#snapshotCommits,
        log: this.#log,
        fail: (error) => this.fail(error),
      });
    });
  }

  get #addresses(): string[] {
    return this.#coordinators.map(({ name }) => name);
  }

  #findCoordinator(address: string): SimCoordinator | undefined {
    return this.#coordinators.find(({ name }) => name === address)?.run;
  }

  /** Whoever leads in the newest epoch, awake or not. */
  get #leader(): SimCoordinator | undefined {
    const leaders = this.#coordinators.flatMap(({ run }) => {
      return run?.reignEpoch === undefined ? [] : [run];
    });
    return leaders.toSorted((a, b) => (a.reignEpoch ?? 0) - (b.reignEpoch ?? 0)).at(-1);
  }

  #restartNats(): void {
    if (this.#network.nats.isAlive) return;
    this.#natsRuns += 1;
    const clockFault = { rate: 1, wallOffsetMs: 0 };
    this.#network.nats = new SimProcess(this.#timeline, `nats.${this.#natsRuns}`, clockFault);
    this.#network.forgetSubscriptions();
    this.#store.leaderKey.forget();
  }
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
