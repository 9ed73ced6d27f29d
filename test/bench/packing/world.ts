/**
 * Boxes and what runs on them, in simulated time: units slow one another down where they share cores or a GPU,
 * and where they take more memory than there is, the one that asks for it last is killed.
 */
import type { Capacity } from '../../../coordinator/domain/demand.ts';
import { type Box, boxes, type Game, games, type WorkJob, type WorkUnit } from './workload.ts';

/** Before a third of its run a unit takes so much of its peak. */
const EARLY_SHARE = 0.4;
const PEAK_AT = 1 / 3;
/** A unit that was killed so often is given up. */
const MOST_KILLS = 20;

export interface Placed {
  readonly unit: WorkUnit;
  readonly boxId: string;
  readonly gpuIds: readonly string[];
}

/** Who decides what runs where. */
export interface Policy {
  begin(boxes: readonly Box[]): void;
  submit(job: WorkJob): void;
  capacityChanged(box: Box, capacity: Capacity): void;
  /** The unit is over and gives back what it had; a killed one comes again, by `submit`. */
  ended(placed: Placed, runMs: number): void;
  place(nowMs: number): readonly Placed[];
}

export interface Outcome {
  readonly makespanMs: number;
  readonly ooms: number;
  /** Units that no box could hold, given up. */
  readonly failed: number;
  /** Share of GPU time without any unit, while units that want a GPU are there to do. */
  readonly gpuIdle: number;
  /** Share of core time that was booked by nobody until the end. */
  readonly coreIdle: number;
  /** From the coming of jobs to their ends, on average. */
  readonly jobMeanMs: number;
}

interface Running {
  readonly placed: Placed;
  readonly startedMs: number;
  readonly job: JobRun;
  leftMs: number;
  isAtPeak: boolean;
}

interface JobRun {
  readonly atMs: number;
  left: number;
}

interface Machine {
  readonly box: Box;
  capacity: Capacity;
  running: Running[];
  updatedMs: number;
  nextMs: number;
}

export class World {
  readonly #policy: Policy;
  readonly #machines = new Map<string, Machine>();
  readonly #jobOf = new Map<WorkUnit, JobRun>();
  readonly #kills = new Map<WorkUnit, number>();
  #nowMs = 0;
  #ooms = 0;
  #failed = 0;
  #open = 0;
  #openGpuUnits = 0;
  #gpuIdleMs = 0;
  #gpuMs = 0;
  #coreBusyMs = 0;
  #jobMs = 0;
  #jobs = 0;

  constructor(policy: Policy) {
    this.#policy = policy;
    const all = boxes();
    policy.begin(all);
    for (const box of all) {
      const { capacity } = box;
      const machine = { box, capacity, running: [], updatedMs: 0, nextMs: Infinity };
      this.#machines.set(box.id, machine);
    }
  }

  run(jobs: readonly WorkJob[]): Outcome {
    const arrivals = [...jobs];
    const changes = games()
      .flatMap((game) => [
        { atMs: game.fromMs, game, isOn: true },
        { atMs: game.toMs, game, isOn: false },
      ])
      .toSorted((a, b) => a.atMs - b.atMs);
    while (arrivals.length > 0 || this.#open > 0) {
      const machine = this.#soonest();
      const atMs = Math.min(
        arrivals[0]?.atMs ?? Infinity,
        changes[0]?.atMs ?? Infinity,
        machine?.nextMs ?? Infinity,
      );
      if (atMs === Infinity) break;
      this.#pass(atMs);
      if (machine !== undefined && machine.nextMs <= atMs) this.#settle(machine);
      for (let job = arrivals[0]; job !== undefined && job.atMs <= atMs; job = arrivals[0]) {
        arrivals.shift();
        this.#arrive(job);
      }
      for (let change = changes[0]; change !== undefined && change.atMs <= atMs;) {
        changes.shift();
        this.#play(change.game, change.isOn);
        change = changes[0];
      }
      for (const placed of this.#policy.place(this.#nowMs)) this.#start(placed);
    }
    return {
      makespanMs: this.#nowMs,
      ooms: this.#ooms,
      failed: this.#failed + this.#open,
      gpuIdle: this.#gpuIdleMs / this.#gpuMs,
      coreIdle: 1 - this.#coreBusyMs / (this.#cores * this.#nowMs),
      jobMeanMs: this.#jobMs / this.#jobs,
    };
  }

  get #cores(): number {
    return [...this.#machines.values()].reduce((sum, { capacity }) => sum + capacity.cpuMillis, 0);
  }

  #soonest(): Machine | undefined {
    let soonest: Machine | undefined;
    for (const machine of this.#machines.values()) {
      if (soonest === undefined || machine.nextMs < soonest.nextMs) soonest = machine;
    }
    return soonest;
  }

  /** Time goes on: what is idle is counted. */
  #pass(toMs: number): void {
    const ms = toMs - this.#nowMs;
    for (const { capacity, running } of this.#machines.values()) {
      const cores = running.reduce((sum, { placed }) => sum + placed.unit.demand.cpuMillis, 0);
      this.#coreBusyMs += Math.min(cores, capacity.cpuMillis) * ms;
      if (this.#openGpuUnits === 0) continue;
      const busy = new Set(running.flatMap(({ placed }) => placed.gpuIds));
      this.#gpuMs += capacity.gpus.length * ms;
      this.#gpuIdleMs += (capacity.gpus.length - busy.size) * ms;
    }
    this.#nowMs = toMs;
  }

  #arrive(job: WorkJob): void {
    this.#jobs += 1;
    const run = { atMs: job.atMs, left: job.units.length };
    for (const unit of job.units) this.#jobOf.set(unit, run);
    this.#open += job.units.length;
    this.#openGpuUnits += job.units.filter(({ demand }) => demand.gpus > 0).length;
    this.#policy.submit(job);
  }

  #start(placed: Placed): void {
    const machine = this.#machines.get(placed.boxId);
    const job = this.#jobOf.get(placed.unit);
    if (machine === undefined || job === undefined) throw new Error('placed what is not there');
    this.#advance(machine);
    const leftMs = placed.unit.workMs;
    machine.running.push({ placed, startedMs: this.#nowMs, job, leftMs, isAtPeak: false });
    this.#plan(machine);
  }

  #play({ boxId, vramBytes }: Game, isOn: boolean): void {
    const machine = this.#machines.get(boxId);
    if (machine === undefined) return;
    this.#advance(machine);
    const [first, ...others] = machine.box.capacity.gpus;
    if (first === undefined) return;
    const vramForeignBytes = first.vramForeignBytes + (isOn ? vramBytes : 0);
    machine.capacity = {
      ...machine.box.capacity,
      gpus: [{ ...first, vramForeignBytes }, ...others],
    };
    this.#policy.capacityChanged(machine.box, machine.capacity);
    this.#killWhatDoesNotFit(machine);
    this.#plan(machine);
  }

  /** What is done by now is over; what comes to its peak may be too much. */
  #settle(machine: Machine): void {
    this.#advance(machine);
    for (const running of machine.running) {
      if (running.leftMs <= 0.5) this.#end(machine, running, 'done');
      else if (!running.isAtPeak && isPeakDue(running)) {
        running.isAtPeak = true;
        // The one that asks for more is the one that is killed.
        machine.running = [...machine.running.filter((other) => other !== running), running];
        this.#killWhatDoesNotFit(machine);
      }
    }
    this.#plan(machine);
  }

  #end(machine: Machine, running: Running, how: 'done' | 'killed'): void {
    const { placed, job } = running;
    machine.running = machine.running.filter((other) => other !== running);
    this.#policy.ended(placed, this.#nowMs - running.startedMs);
    if (how === 'killed') return;
    this.#open -= 1;
    if (placed.unit.demand.gpus > 0) this.#openGpuUnits -= 1;
    job.left -= 1;
    if (job.left === 0) this.#jobMs += this.#nowMs - job.atMs;
  }

  #killWhatDoesNotFit(machine: Machine): void {
    for (;;) {
      const victim = victimOn(machine);
      if (victim === undefined) return;
      this.#ooms += 1;
      this.#end(machine, victim, 'killed');
      this.#tryAgain(victim);
    }
  }

  /** With what it took, as the one who watched it knows; after many kills it is given up. */
  #tryAgain({ placed: { unit }, job }: Running): void {
    const kills = (this.#kills.get(unit) ?? 0) + 1;
    const { demand, peakRamBytes, peakVramBytes } = unit;
    const again: WorkUnit = {
      ...unit,
      demand: {
        ...demand,
        ramBytes: Math.max(demand.ramBytes, peakRamBytes),
        vramBytes: Math.max(demand.vramBytes, peakVramBytes),
      },
    };
    if (kills >= MOST_KILLS) {
      this.#failed += 1;
      this.#open -= 1;
      if (demand.gpus > 0) this.#openGpuUnits -= 1;
      return;
    }
    this.#kills.set(again, kills);
    this.#jobOf.set(again, job);
    this.#policy.submit({ atMs: this.#nowMs, owner: '', units: [again] });
  }

  #advance(machine: Machine): void {
    const ms = this.#nowMs - machine.updatedMs;
    for (const running of machine.running) running.leftMs -= ms * speedOf(machine, running);
    machine.updatedMs = this.#nowMs;
  }

  #plan(machine: Machine): void {
    machine.nextMs = Infinity;
    for (const running of machine.running) {
      const { leftMs, isAtPeak, placed } = running;
      const peakMs = isAtPeak ? Infinity : leftMs - placed.unit.workMs * (1 - PEAK_AT);
      const dueMs = Math.min(leftMs, peakMs > 0 ? peakMs : leftMs) / speedOf(machine, running);
      machine.nextMs = Math.min(machine.nextMs, this.#nowMs + Math.max(1, Math.ceil(dueMs)));
    }
  }
}

function isPeakDue({ leftMs, placed }: Running): boolean {
  return leftMs <= placed.unit.workMs * (1 - PEAK_AT) + 0.5;
}

/** 1 for a unit that has its cores and its GPUs' time. */
function speedOf({ capacity, running }: Machine, { placed }: Running): number {
  const cores = running.reduce((sum, other) => sum + other.placed.unit.demand.cpuMillis, 0);
  let speed = Math.min(1, capacity.cpuMillis / Math.max(1, cores));
  for (const id of placed.gpuIds) {
    const use = running.reduce(
      (sum, other) => sum + (other.placed.gpuIds.includes(id) ? other.placed.unit.gpuUse : 0),
      0,
    );
    speed = Math.min(speed, 1 / Math.max(1, use));
  }
  return speed;
}

/** Who asked last where there is not enough. */
function victimOn({ capacity, running }: Machine): Running | undefined {
  const now = (peak: number, { isAtPeak }: Running): number =>
    isAtPeak ? peak : peak * EARLY_SHARE;
  const ram = running.reduce((sum, one) => sum + now(one.placed.unit.peakRamBytes, one), 0);
  if (ram > capacity.ramAvailableBytes) return running.at(-1);
  for (const { id, vramTotalBytes, vramForeignBytes } of capacity.gpus) {
    const on = running.filter(({ placed }) => placed.gpuIds.includes(id));
    const vram = on.reduce((sum, one) => sum + now(one.placed.unit.peakVramBytes, one), 0);
    if (vram > vramTotalBytes - vramForeignBytes) return on.at(-1);
  }
  return undefined;
}
