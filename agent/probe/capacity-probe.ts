/**
 * What this machine has to give. What is slow is asked once or seldom and in child processes; a sample for
 * a beat is a few system calls. What is advertised moves in steps, and what nothing is placed by (load,
 * temperature) brings about no beat: it rides on those that go anyway, now and then.
 */
import type { Capacity, Gpu, Isolation } from '../../proto/gen/furrow/v1/agent_service.ts';
import type { Logger } from '../../kit/log.ts';
import type { DeclaredTools } from './declared-tools.ts';
import { encoderSessionsFor } from './encoder-sessions.ts';
import { sampleMachine, type MachineSample } from './machine-load.ts';
import { NvidiaGpus, type OwnUse } from './nvidia-gpus.ts';
import { probeOtherGpus } from './other-gpus.ts';
import type { ToolEnvironment } from './run-tool.ts';
import { settled } from './settled.ts';
import { ProvenToolchain } from './toolchain.ts';

/** What the owner of the machine allows; zero or absent means all there is. */
export interface CapacityLimits {
  readonly cpuMillis: number;
  readonly ramBytes: number;
  readonly maxUnits: number;
  /** Undefined for what the coordinator thinks right. */
  readonly maxWaiting?: number | undefined;
}

export interface CapacityProbeOptions {
  readonly limits: CapacityLimits;
  /** Attributes that the owner gives it, such as `tag:studio`. */
  readonly labels?: readonly string[] | undefined;
  /** What units' programs may do here. */
  readonly isolation?: Isolation | undefined;
  /** Where attempts have their directories. */
  readonly scratchDirectory: string;
  /** Memory that our own units use now, in bytes. */
  readonly residentBytes: () => number;
  readonly use: OwnUse & {
    /** Hardware encoder sessions that running units have booked. */
    readonly bookedEncoderSessions: () => number;
  };
  readonly tools: DeclaredTools;
  /** Something may be new that should not wait for the next `refresh`; also while it starts. */
  readonly changed: () => void;
  /** The agent ends. */
  readonly signal?: AbortSignal;
  readonly log: Logger;
}

/** Free memory and disk move all the time; what is advertised moves in such steps. */
const RAM_STEP_BYTES = 64 * 1024 * 1024;
const SCRATCH_STEP_BYTES = 256 * 1024 * 1024;
const LOAD_STEP_MILLIS = 500;
/** What only people look at is told no more often. */
const NEWS_PAUSE_MS = 15_000;
/** How long a failed unit waits to hear whether its GPU is the cause: two rounds of nvidia-smi and a bit. */
const FAULT_PATIENCE_MS = 6_000;

export class CapacityProbe {
  readonly #options: CapacityProbeOptions;
  readonly #toolchain: ProvenToolchain;
  readonly #nvidia: NvidiaGpus;
  readonly #otherGpus: readonly Gpu[];
  #current: Capacity;
  #toldAtMs = performance.now();
  /** GPUs that were unusable at the last look. */
  #ill: ReadonlySet<string> = new Set();

  private constructor(
    options: CapacityProbeOptions,
    toolchain: ProvenToolchain,
    nvidia: NvidiaGpus,
    otherGpus: readonly Gpu[],
    machine: MachineSample,
  ) {
    this.#options = options;
    this.#toolchain = toolchain;
    this.#nvidia = nvidia;
    this.#otherGpus = otherGpus;
    this.#current = this.#capacityOf(machine, undefined);
  }

  static async start(options: CapacityProbeOptions): Promise<CapacityProbe> {
    const { tools: declared, log, use, changed, signal, scratchDirectory, residentBytes } = options;
    // First, for the trials must not meet GPUs that are ill, and wake the driver only once.
    const nvidia = await NvidiaGpus.start({ use, changed });
    const environment = (): ToolEnvironment => withoutIll(nvidia.listing.gpus);
    const [toolchain, otherGpus, machine] = await Promise.all([
      ProvenToolchain.start({ declared, environment, log, changed, signal }),
      probeOtherGpus(),
      sampleMachine(scratchDirectory, residentBytes()),
    ]);
    return new CapacityProbe(options, toolchain, nvidia, otherGpus, machine);
  }

  stop(): void {
    this.#toolchain.stop();
    this.#nvidia.stop();
  }

  /** As of the last `refresh`; the same object as long as nothing worth telling changed. */
  get current(): Capacity {
    return this.#current;
  }

  /** Answers whether anything changed that units are placed by. */
  async refresh(): Promise<boolean> {
    const { scratchDirectory, residentBytes } = this.#options;
    const machine = await sampleMachine(scratchDirectory, residentBytes());
    this.#noteRecoveries();
    const next = this.#capacityOf(machine, this.#current);
    const isUrgent = placedBy(next) !== placedBy(this.#current);
    const isDue = performance.now() - this.#toldAtMs >= NEWS_PAUSE_MS;
    if (!isUrgent && !(isDue && JSON.stringify(next) !== JSON.stringify(this.#current))) {
      return false;
    }
    this.#current = next;
    this.#toldAtMs = performance.now();
    return isUrgent;
  }

  /** What failed in a trial for want of a GPU may work now. */
  #noteRecoveries(): void {
    const ill = new Set(this.unusableGpus.keys());
    const recovered = [...this.#ill].filter((id) => !ill.has(id));
    this.#ill = ill;
    if (recovered.length > 0) this.#toolchain.reprove(`${recovered.join(', ')} is well again`);
  }

  /** GPUs that no unit may use for now: id to one line that names it and says why. */
  get unusableGpus(): ReadonlyMap<string, string> {
    const unusable = new Map<string, string>();
    for (const { id, name, unusableReason } of this.#nvidia.listing.gpus) {
      if (unusableReason !== '') unusable.set(id, `${name} cannot be used: ${unusableReason}`);
    }
    return unusable;
  }

  /** Why a unit that failed on these GPUs may have failed; null when nothing is wrong with them. */
  async faultOfGpus(gpuIds: readonly string[]): Promise<string | null> {
    return this.#nvidia.faultOf(gpuIds, FAULT_PATIENCE_MS);
  }

  /** See `NvidiaGpus.busiestBut`. */
  foreignGpuPercent(gpusInUse: ReadonlySet<string>): number | undefined {
    return this.#nvidia.busiestBut(gpusInUse);
  }

  /** A process that cannot be ended holds these GPUs: no unit gets them until the agent starts anew. */
  giveUpGpus(gpuIds: readonly string[], why: string): void {
    this.#nvidia.giveUp(gpuIds, why);
  }

  /** See `ProvenToolchain.reprove`. */
  reprove(why: string): void {
    this.#toolchain.reprove(why);
  }

  #capacityOf(machine: MachineSample, before: Capacity | undefined): Capacity {
    const { limits, use } = this.#options;
    const { attributes, versions, faults } = this.#toolchain.current;
    const { gpus, others } = this.#nvidia.listing;
    const told = (
      figure: number,
      step: number,
      of: 'ramAvailableBytes' | 'scratchFreeBytes',
    ): number => settled(before?.[of] ?? 0, figure, step, 'down');
    const ramBytes = told(machine.ramAvailableBytes, RAM_STEP_BYTES, 'ramAvailableBytes');
    return {
      cpuMillis: capped(machine.cpuMillis, limits.cpuMillis),
      ramTotalBytes: capped(machine.ramTotalBytes, limits.ramBytes),
      ramAvailableBytes: capped(ramBytes, limits.ramBytes),
      scratchFreeBytes: told(machine.scratchFreeBytes, SCRATCH_STEP_BYTES, 'scratchFreeBytes'),
      scratchTotalBytes: machine.scratchTotalBytes,
      gpus: [...gpus],
      otherGpus: [...others, ...this.#otherGpus],
      attributes: [...attributes, ...(this.#options.labels ?? [])],
      isolation: this.#options.isolation,
      toolchain: versions,
      faults: [...faults],
      encoderSessions: encoderSessionsFor(
        attributes,
        gpus,
        this.#nvidia.encoderSessions,
        use.bookedEncoderSessions(),
      ),
      maxUnits: limits.maxUnits,
      maxWaiting: limits.maxWaiting,
      loadMillis: Math.round(machine.loadMillis / LOAD_STEP_MILLIS) * LOAD_STEP_MILLIS,
    };
  }
}

/** What CUDA shall see: all there is, as long as all of it is well. */
function withoutIll(gpus: readonly Gpu[]): ToolEnvironment {
  const usable = gpus.filter(({ unusableReason }) => unusableReason === '');
  if (usable.length === gpus.length) return {};
  return { CUDA_VISIBLE_DEVICES: usable.map(({ id }) => id).join(',') };
}

/** All of a capacity that decides what goes where. */
function placedBy(capacity: Capacity): string {
  return JSON.stringify({
    ...capacity,
    loadMillis: 0,
    otherGpus: [],
    gpus: capacity.gpus.map(({ id, vramTotalBytes, vramForeignBytes, unusableReason }) => {
      return { id, vramTotalBytes, vramForeignBytes, unusableReason };
    }),
  });
}

function capped(value: number, limit: number): number {
  return limit > 0 ? Math.min(value, limit) : value;
}
