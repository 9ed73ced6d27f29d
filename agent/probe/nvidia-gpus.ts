/**
 * The NVIDIA GPUs of this machine as they may be booked: what nvidia-smi tells, whose memory it is, and
 * which of them are well.
 *
 * - A GPU that was ever seen is listed for as long as the agent runs: when it is ill or gone, with the
 *   reason.
 * - Memory moves all the time; what is advertised moves in steps, and back only by more than one.
 */
import type { Gpu } from '../../proto/gen/furrow/v1/agent_service.ts';
import type { ProcessVram } from '../process/vram-use.ts';
import { GpuHealth } from './gpu-health.ts';
import { NvidiaFeed, type GpuSample, type NvidiaFeedOptions } from './nvidia-feed.ts';
import { readApps, type AppReading, type GpuReading } from './nvidia-rows.ts';
import { settled } from './settled.ts';
import { runTool } from './run-tool.ts';

/** What units of this agent have of its GPUs. */
export interface OwnUse {
  /** Whether the process is one of a unit. */
  readonly isOurs: (pid: number) => boolean;
  /** VRAM that running units have booked, in bytes, by GPU id; those without units are not in it. */
  readonly bookedVramBytes: () => ReadonlyMap<string, number>;
  /** Told what each process has on GPUs, whenever that is asked. */
  readonly noteVram: (uses: readonly ProcessVram[]) => void;
}

export interface NvidiaGpusOptions {
  readonly use: OwnUse;
  /** Something is new that should be told at once: memory, or whether a GPU may be used. */
  readonly changed: () => void;
  readonly feed?: Pick<NvidiaFeedOptions, 'intervalMs' | 'silenceLimitMs' | 'firstPauseMs'>;
  readonly recoveryMs?: number;
}

/** GPUs that may be booked, and others that can only be shown. */
export interface NvidiaListing {
  readonly gpus: readonly Gpu[];
  readonly others: readonly Gpu[];
}

interface Known {
  readonly id: string;
  /** The last that had figures. */
  reading: GpuReading;
  /** What was in use while no unit of ours was there; null when that was never seen. */
  idleUsedBytes: number | null;
  oursBytes: number;
  foreignBytes: number;
}

const FIRST_SAMPLE_MS = 12_000;
const APPS_TIMEOUT_MS = 5_000;
const APPS_QUERY = [
  '--query-compute-apps=pid,gpu_uuid,used_memory',
  '--format=csv,noheader,nounits',
];
const VRAM_STEP_BYTES = 64 * 1024 * 1024;

export class NvidiaGpus {
  readonly #options: NvidiaGpusOptions;
  readonly #feed: NvidiaFeed;
  readonly #health: GpuHealth;
  readonly #known = new Map<string, Known>();
  #apps: readonly AppReading[] = [];
  #isAsking = false;
  /** Who waits for the next sample, or for the word that none comes. */
  #waiting: (() => void)[] = [];

  private constructor(options: NvidiaGpusOptions) {
    this.#options = options;
    this.#health = new GpuHealth(options.recoveryMs);
    this.#feed = new NvidiaFeed({
      ...options.feed,
      onSample: (sample) => void this.#sampled(sample),
      onTrouble: (why) => this.#lostSight(why),
    });
  }

  /** Settles when the GPUs are known, or there are none, or the driver takes too long to tell. */
  static async start(options: NvidiaGpusOptions): Promise<NvidiaGpus> {
    const gpus = new NvidiaGpus(options);
    const first = gpus.#nextNews(FIRST_SAMPLE_MS);
    gpus.#feed.start();
    await first;
    return gpus;
  }

  stop(): void {
    this.#feed.stop();
  }

  get listing(): NvidiaListing {
    const listed = [...this.#known.values()].map((known) => ({
      gpu: this.#wireOf(known),
      isBookable: known.reading.vramTotalBytes !== null && !known.reading.isMig,
    }));
    const gpusThat = (isBookable: boolean): Gpu[] =>
      listed.filter((one) => one.isBookable === isBookable).map(({ gpu }) => gpu);
    return { gpus: gpusThat(true), others: gpusThat(false) };
  }

  /** Hardware encoder sessions that are open on all of them; 0 when unknown. */
  get encoderSessions(): number {
    const sessions = [...this.#known.values()].map(({ reading }) => reading.encoderSessions ?? 0);
    return sessions.reduce((sum, count) => sum + count, 0);
  }

  /**
   * Percent in which the busiest of the other GPUs computed lately: on one that a unit uses, nobody can tell
   * whose use it is. Undefined when there is none, or nothing is told.
   */
  busiestBut(gpuIds: ReadonlySet<string>): number | undefined {
    const percents = [...this.#known.values()].flatMap(({ id, reading }) =>
      gpuIds.has(id) || this.#health.reasonOf(id) !== null
        ? []
        : (reading.utilisationPercent ?? []),
    );
    return percents.length === 0 ? undefined : Math.max(...percents);
  }

  /**
   * What is wrong with one of these GPUs, or comes to light within two samples: a unit whose GPU falls off
   * the bus fails before nvidia-smi says so, and one sample may be on its way. Null when they are well.
   */
  async faultOf(gpuIds: readonly string[], limitMs: number): Promise<string | null> {
    for (let looks = 0; looks < 2 && this.#faultNow(gpuIds) === null; looks += 1) {
      await this.#nextNews(limitMs / 2);
    }
    return this.#faultNow(gpuIds);
  }

  /** A process that cannot be ended holds them. */
  giveUp(gpuIds: readonly string[], reason: string): void {
    for (const id of gpuIds) this.#health.giveUp(id, reason);
    this.#options.changed();
  }

  #faultNow(gpuIds: readonly string[]): string | null {
    for (const id of gpuIds) {
      const reason = this.#health.reasonOf(id);
      if (reason !== null) return `${this.#known.get(id)?.reading.name ?? id}: ${reason}`;
    }
    return null;
  }

  #nextNews(limitMs: number): Promise<void> {
    return new Promise((fulfil) => {
      const timer = setTimeout(fulfil, limitMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        fulfil();
      });
    });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const fulfil of waiting) fulfil();
  }

  #lostSight(why: string): void {
    for (const id of this.#known.keys()) this.#health.observe(id, why, performance.now());
    this.#wake();
    this.#options.changed();
  }

  async #sampled(sample: GpuSample): Promise<void> {
    const nowMs = performance.now();
    const seen = new Set<string>();
    for (const reading of sample.readings) {
      const known = this.#note(reading);
      seen.add(known.id);
      const fault = sample.lost.get(reading.busId) ?? reading.fault;
      this.#health.observe(known.id, fault, nowMs);
    }
    for (const { id, reading } of this.#known.values()) {
      const lost = sample.lost.get(reading.busId);
      if (lost !== undefined) this.#health.observe(id, lost, nowMs);
      // Where nothing but losses is told, nothing is said of the others.
      else if (!seen.has(id) && sample.readings.length > 0) {
        this.#health.observe(id, 'it is gone: nvidia-smi lists it no longer', nowMs);
      }
    }
    await this.#askWhose();
    for (const known of this.#known.values()) this.#account(known);
    this.#wake();
    this.#options.changed();
  }

  /** An ill one may not know its own id: it is the one on the same bus. */
  #note(reading: GpuReading): Known {
    const onBus = [...this.#known.values()].find((known) => known.reading.busId === reading.busId);
    const id = reading.uuid ?? onBus?.id ?? `GPU-${reading.busId}`;
    const known = this.#known.get(id);
    if (known === undefined) {
      const fresh = { id, reading, idleUsedBytes: null, oursBytes: 0, foreignBytes: 0 };
      this.#known.set(id, fresh);
      return fresh;
    }
    // What it is does not change while it is ill; the last figures are better than none.
    if (reading.fault === null) known.reading = reading;
    return known;
  }

  /**
   * Who uses how much is asked only while units of ours are on a GPU: else all of it is foreign. It takes
   * a process of its own each time, for one that looped would print nothing while nobody computes.
   */
  async #askWhose(): Promise<void> {
    if (this.#options.use.bookedVramBytes().size === 0) {
      this.#apps = [];
      this.#options.use.noteVram([]);
      return;
    }
    if (this.#isAsking) return;
    this.#isAsking = true;
    const answer = await runTool('nvidia-smi', APPS_QUERY, APPS_TIMEOUT_MS);
    this.#isAsking = false;
    if (answer === null) return;
    this.#apps = readApps(answer);
    this.#options.use.noteVram(vramOf(this.#apps));
  }

  #account(known: Known): void {
    const { vramTotalBytes: total, vramFreeBytes: free } = known.reading;
    if (total === null || free === null) return;
    const usedBytes = total - free;
    const bookedBytes = this.#options.use.bookedVramBytes().get(known.id);
    if (bookedBytes === undefined) known.idleUsedBytes = usedBytes;
    known.oursBytes = Math.min(usedBytes, this.#oursOf(known, usedBytes, bookedBytes ?? 0));
    known.foreignBytes = settled(
      known.foreignBytes,
      usedBytes - known.oursBytes,
      VRAM_STEP_BYTES,
      'up',
    );
  }

  /**
   * Where the driver does not tell memory by process, ours is what came since a unit began, up to what
   * units booked: what is left for others is then never more than what is free.
   */
  #oursOf({ id, idleUsedBytes }: Known, usedBytes: number, bookedBytes: number): number {
    const ours = this.#apps.filter(
      (app) => app.gpuUuid === id && this.#options.use.isOurs(app.pid),
    );
    if (ours.some(({ vramBytes }) => vramBytes === null)) {
      return Math.max(0, Math.min(bookedBytes, usedBytes - (idleUsedBytes ?? usedBytes)));
    }
    return ours.reduce((sum, { vramBytes }) => sum + (vramBytes ?? 0), 0);
  }

  #wireOf({ id, reading, oursBytes, foreignBytes }: Known): Gpu {
    const totalBytes = reading.vramTotalBytes ?? 0;
    const freeBytes = reading.vramFreeBytes ?? 0;
    const reason = this.#health.reasonOf(id) ?? whyNever(reading);
    return {
      id,
      name: reading.name,
      driver: reading.driver,
      vramTotalBytes: totalBytes,
      vramForeignBytes: Math.min(totalBytes, foreignBytes),
      vramFreeBytes: floorTo(freeBytes, VRAM_STEP_BYTES),
      vramOursBytes: floorTo(oursBytes, VRAM_STEP_BYTES),
      unusableReason: reason ?? '',
      utilisationPercent: coarse(reading.utilisationPercent, 10),
      encoderSessions: reading.encoderSessions ?? undefined,
      temperatureCelsius: coarse(reading.temperatureCelsius, 5),
      powerWatts: coarse(reading.powerWatts, 20),
    };
  }
}

/** What each process has on each GPU; those of which the driver does not tell are left out. */
function vramOf(apps: readonly AppReading[]): ProcessVram[] {
  return apps.flatMap(({ pid, gpuUuid: gpuId, vramBytes: usedBytes }) =>
    usedBytes === null ? [] : [{ pid, gpuId, usedBytes }],
  );
}

function whyNever({ isMig, vramTotalBytes }: GpuReading): string | null {
  if (isMig) return 'it is cut into parts (MIG), and units are given whole GPUs: nvidia-smi -mig 0';
  return vramTotalBytes === null ? 'nvidia-smi does not tell how much memory it has' : null;
}

function coarse(value: number | null, step: number): number | undefined {
  return value === null ? undefined : Math.max(0, Math.round(value / step) * step);
}

function floorTo(value: number, step: number): number {
  return Math.floor(value / step) * step;
}
