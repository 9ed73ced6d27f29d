/**
 * A simulated year from one seed: two hundred machines of people who use them, what befalls them, and the work
 * of a studio. Agents are modelled by what they say; the coordinator is the real one (command loop, domain,
 * journal writer, snapshots, archive). Its steps are long, so that a year takes a minute: a tick is three
 * minutes, an agent beats every twenty-one, a lease lives twenty-four.
 */
import { pino } from 'pino';
import { Prng } from '../prng.ts';
import { Timeline } from '../timeline.ts';
import { Box, type Site } from './box.ts';
import { someBoxes } from './box-kinds.ts';
import { BoxLife, DAY_MS } from './box-life.ts';
import type { JobTruth } from './unit-truth.ts';
import { YearCoordinator } from './year-coordinator.ts';
import { someBatch, someJob, submitTimesMs } from './year-jobs.ts';
import { YearSamples } from './year-samples.ts';
import { YearArchive, YearStore } from './year-store.ts';
import { type Counts, YearWitness } from './year-witness.ts';

export interface YearOptions {
  readonly seed: number;
  readonly days: number;
  readonly boxes: number;
}

export interface YearReport {
  /** What must not be, in words; empty when every promise was kept. */
  readonly complaints: readonly string[];
  /** Equal for two runs that went alike in every event. */
  readonly digest: string;
  readonly steps: number;
  readonly counts: Counts;
  readonly openJobs: number;
  /** What befell machines and farm, by name. */
  readonly events: ReadonlyMap<string, number>;
  readonly ends: ReadonlyMap<string, number>;
  readonly waitsMs: ReadonlyMap<string, readonly number[]>;
  readonly worstShare: number;
  readonly gpuIdleShare: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Machines beat in turns: each well before its leases end. */
const BEAT_TURNS = 7;
const BEAT_TURN_MS = 3 * MINUTE_MS;
const LOOK_MS = HOUR_MS;
const WHOLE_CHECK_MS = 12 * HOUR_MS;
/** After the last day nothing new befalls anybody, and all jobs must end. */
const MOST_DAYS_AFTER = 14;
const MOST_COMPLAINTS = 100;

/** Runs one seed. What went wrong is in the report; rejects only where the simulation itself is at fault. */
export async function simulateYear(options: YearOptions): Promise<YearReport> {
  const year = new SimulatedYear(options);
  await year.run();
  return year.report();
}

class SimulatedYear {
  readonly #options: YearOptions;
  readonly #timeline = new Timeline();
  readonly #prng: Prng;
  readonly #store = new YearStore();
  readonly #archive = new YearArchive();
  readonly #log = pino({ level: 'silent' });
  readonly #boxes: readonly Box[];
  readonly #boxById: ReadonlyMap<string, Box>;
  readonly #lives: readonly BoxLife[];
  readonly #witness: YearWitness;
  readonly #samples: YearSamples;
  readonly #events = new Map<string, number>();
  readonly #complaints: string[] = [];
  #coordinator: YearCoordinator | undefined;
  #isCalm = false;
  #jobsMade = 0;
  #jobsUnanswered = 0;

  constructor(options: YearOptions) {
    this.#options = options;
    this.#prng = new Prng(options.seed);
    const timeline = this.#timeline;
    const complain = (what: string): void => this.#complain(what);
    this.#witness = new YearWitness({
      nowMs: () => timeline.nowMs,
      demandOf: (token) => this.#coordinator?.reign?.farm.leases.get(token)?.slot.demand,
      complain,
    });
    const site: Site = {
      timeline,
      coordinator: () => (this.#coordinator?.reign === undefined ? undefined : this.#coordinator),
      isNatsUp: () => this.#store.isUp,
      truthOf: (job, step, unit) => this.#witness.truthOf(job, step, unit),
      succeeded: (token) => this.#witness.onSucceeded(token),
      fail: (error) => complain(String(error)),
    };
    const traits = someBoxes(this.#prng, options.boxes);
    this.#boxes = traits.map((one, index) => {
      const id = `box-${String(index).padStart(3, '0')}`;
      return new Box(id, one, site, this.#prng.fork());
    });
    this.#boxById = new Map(this.#boxes.map((box) => [box.id, box]));
    const count = (what: string): void => this.#count(what);
    this.#lives = this.#boxes.map((box) => new BoxLife(box, timeline, this.#prng.fork(), count));
    this.#samples = new YearSamples(this.#boxes, complain);
  }

  async run(): Promise<void> {
    this.#startCoordinator(undefined);
    for (const box of this.#boxes) box.boot();
    this.#beatInTurns(0);
    this.#every(LOOK_MS, 'look', () => this.#look());
    this.#every(WHOLE_CHECK_MS, 'whole look', () => this.#checkWhole());
    this.#planDay(0);
    const endsMs = this.#options.days * DAY_MS;
    while (this.#timeline.nowMs < endsMs) await this.#timeline.step();
    this.#isCalm = true;
    const lastMs = endsMs + MOST_DAYS_AFTER * DAY_MS;
    while (this.#witness.openJobs + this.#jobsUnanswered > 0) {
      if (this.#timeline.nowMs > lastMs) {
        this.#complain(`${this.#witness.openJobs} jobs have not ended`);
        return;
      }
      await this.#timeline.step();
    }
  }

  report(): YearReport {
    const { counts, openJobs, ends, waitsMs, worstShare } = this.#witness;
    return {
      complaints: this.#complaints,
      digest: this.#timeline.digest(),
      steps: this.#timeline.steps,
      counts,
      openJobs,
      events: this.#events,
      ends,
      waitsMs,
      worstShare,
      gpuIdleShare: this.#samples.gpuIdleShare,
    };
  }

  #complain(what: string): void {
    const day = Math.floor(this.#timeline.nowMs / DAY_MS);
    if (this.#complaints.length < MOST_COMPLAINTS) this.#complaints.push(`day ${day}: ${what}`);
  }

  #count(what: string): void {
    this.#events.set(what, (this.#events.get(what) ?? 0) + 1);
  }

  #every(periodMs: number, what: string, run: () => void): void {
    this.#timeline.after(periodMs, what, () => {
      run();
      this.#every(periodMs, what, run);
    });
  }

  #beatInTurns(turn: number): void {
    this.#timeline.after(BEAT_TURN_MS, 'beats', () => {
      for (let index = turn; index < this.#boxes.length; index += BEAT_TURNS) {
        this.#boxes[index]?.beat();
      }
      this.#beatInTurns((turn + 1) % BEAT_TURNS);
    });
  }

  // --- checks ---------------------------------------------------------------------------------

  #look(): void {
    const reign = this.#coordinator?.reign;
    if (reign === undefined || this.#coordinator === undefined || !this.#store.isUp) return;
    this.#samples.look(reign.farm, this.#timeline.nowMs, this.#coordinator.now.wallMs);
  }

  #checkWhole(): void {
    const reign = this.#coordinator?.reign;
    if (reign !== undefined) this.#samples.checkWhole(reign.farm, reign.liveness);
    this.#witness.checkOverdue();
  }

  // --- the farm -------------------------------------------------------------------------------

  #startCoordinator(before: string | undefined): void {
    const coordinator = new YearCoordinator({
      timeline: this.#timeline,
      store: this.#store,
      archive: this.#archive,
      prng: this.#prng.fork(),
      log: this.#log,
      grant: (order, demandOf) => {
        const box = this.#boxById.get(order.agentId);
        return box?.grant(order, demandOf) ?? { state: 'no-responders' };
      },
      stop: ({ agentId, tokens }) => this.#boxById.get(agentId)?.stop(tokens),
      stoodStill: () => this.#count('stood still'),
      stored: (facts) => this.#witness.onStored(facts),
      fail: (error) => this.#complain(String(error)),
    });
    this.#coordinator = coordinator;
    void coordinator.start(before).then(
      () => {
        for (const box of this.#boxes) box.connect();
      },
      (error: unknown) => this.#complain(`a coordinator does not start: ${String(error)}`),
    );
  }

  #restartCoordinator(): void {
    this.#count('coordinator killed');
    const before = this.#coordinator?.image();
    this.#coordinator?.kill();
    this.#coordinator = undefined;
    const awayMs = this.#prng.longTailed(0.2, 15) * MINUTE_MS;
    this.#timeline.after(awayMs, 'coordinator starts', () => this.#startCoordinator(before));
  }

  #stopNats(): void {
    if (!this.#store.isUp) return;
    this.#count('nats away');
    this.#store.isUp = false;
    this.#timeline.after(this.#prng.longTailed(0.5, 20) * MINUTE_MS, 'NATS is back', () => {
      this.#store.isUp = true;
      for (const box of this.#boxes) box.connect();
    });
  }

  // --- days -----------------------------------------------------------------------------------

  /** Day 0 is a Monday; each begins at noon. */
  #planDay(day: number): void {
    if (this.#isCalm) return;
    const prng = this.#prng;
    const weekday = day % 7;
    for (const life of this.#lives) life.planDay(weekday);
    this.#planWork(weekday);
    if (prng.chance(5 / 30)) this.#later(prng.between(0, DAY_MS), () => this.#restartCoordinator());
    if (prng.chance(3 / 30)) this.#later(prng.between(0, DAY_MS), () => this.#stopNats());
    this.#later(DAY_MS, () => this.#planDay(day + 1));
  }

  #later(delayMs: number, run: () => void): void {
    this.#timeline.after(delayMs, 'the day goes on', run);
  }

  /** As much for each machine, however many there are. */
  #planWork(weekday: number): void {
    const prng = this.#prng;
    const times = submitTimesMs(prng, weekday >= 5);
    const share = this.#boxes.length / 200;
    for (const atMs of times) {
      // From midnight to noon on.
      const delayMs = (atMs + DAY_MS / 2) % DAY_MS;
      if (prng.chance(share)) this.#later(delayMs, () => this.#submit(someJob(prng, this.#name())));
    }
    if (prng.chance((1 / 7) * share)) {
      this.#later(6 * HOUR_MS, () => this.#submit(someBatch(prng, this.#name())));
    }
  }

  #name(): string {
    this.#jobsMade += 1;
    return `client-${this.#jobsMade}`;
  }

  /** Until it is acknowledged, with the same client id each time. */
  #submit(truth: JobTruth): void {
    this.#witness.onSubmit(truth);
    this.#jobsUnanswered += 1;
    this.#trySubmit(truth);
  }

  #trySubmit(truth: JobTruth): void {
    let isOpen = true;
    const once = (isAcknowledged: boolean): void => {
      if (!isOpen) return;
      isOpen = false;
      if (isAcknowledged) this.#jobsUnanswered -= 1;
      else this.#timeline.after(5 * MINUTE_MS, 'submits again', () => this.#trySubmit(truth));
    };
    // One that is killed answers nobody.
    this.#timeline.after(MINUTE_MS, 'submit times out', () => once(false));
    const { clientId, steps } = truth;
    const answer = this.#coordinator?.ask({
      type: 'SubmitJob',
      clientId,
      requestHash: clientId,
      name: clientId,
      priority: 0,
      recipe: '',
      steps: steps.map(({ spec }) => spec),
      missingBlobs: [],
    });
    void answer?.then((told) => once(told?.kind === 'job'));
  }
}
