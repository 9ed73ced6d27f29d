/**
 * What this machine has to give. The slow part (tools, encoders, GPUs) is asked once or seldom and in
 * child processes; a sample for a beat is a few system calls.
 */
import { statfs } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { mem } from 'systeminformation';
import type { Capacity, Gpu } from '../../proto/gen/furrow/v1/agent_service.ts';
import { VERSION } from '../../kit/version.ts';
import { probeFfmpeg, type FfmpegTools } from './ffmpeg-tools.ts';
import { probeGpus } from './nvidia-gpus.ts';

/** What the owner of the machine allows; zero or absent means all there is. */
export interface CapacityLimits {
  readonly cpuMillis: number;
  readonly ramBytes: number;
  readonly maxUnits: number;
}

export interface CapacityProbeOptions {
  readonly limits: CapacityLimits;
  /** Where attempts have their directories. */
  readonly scratchDirectory: string;
  /** Memory that our own units use now, in bytes. */
  readonly residentBytes: () => number;
  readonly isOurs: (pid: number) => boolean;
}

/** Free memory and disk move all the time; what is advertised moves in such steps. */
const RAM_STEP_BYTES = 64 * 1024 * 1024;
const SCRATCH_STEP_BYTES = 256 * 1024 * 1024;

export class CapacityProbe {
  readonly #options: CapacityProbeOptions;
  readonly #ffmpeg: FfmpegTools;
  #hasGpus: boolean;
  #current: Capacity;

  private constructor(options: CapacityProbeOptions, ffmpeg: FfmpegTools, capacity: Capacity) {
    this.#options = options;
    this.#ffmpeg = ffmpeg;
    this.#current = capacity;
    this.#hasGpus = capacity.gpus.length > 0;
  }

  static async start(options: CapacityProbeOptions): Promise<CapacityProbe> {
    const [ffmpeg, gpus] = await Promise.all([probeFfmpeg(), probeGpus(options.isOurs)]);
    const capacity = await sample(options, ffmpeg, gpus ?? []);
    return new CapacityProbe(options, ffmpeg, capacity);
  }

  /** As of the last `refresh`; the same object as long as nothing worth telling changed. */
  get current(): Capacity {
    return this.#current;
  }

  /** Answers whether anything worth telling changed. */
  async refresh(): Promise<boolean> {
    const asked = this.#hasGpus ? await probeGpus(this.#options.isOurs) : [];
    // A driver that does not answer has no memory to give; it may come back.
    const gpus = asked ?? this.#current.gpus.map(withoutFreeMemory);
    const next = await sample(this.#options, this.#ffmpeg, gpus);
    if (JSON.stringify(next) === JSON.stringify(this.#current)) return false;
    this.#current = next;
    return true;
  }
}

function withoutFreeMemory(gpu: Gpu): Gpu {
  return { ...gpu, vramForeignBytes: gpu.vramTotalBytes, vramFreeBytes: 0 };
}

async function sample(
  options: CapacityProbeOptions,
  ffmpeg: FfmpegTools,
  gpus: readonly Gpu[],
): Promise<Capacity> {
  const { limits } = options;
  const [ram, disk] = await Promise.all([sampleRam(options), statfs(options.scratchDirectory)]);
  return {
    cpuMillis: capped(availableParallelism() * 1000, limits.cpuMillis),
    ramTotalBytes: capped(ram.totalBytes, limits.ramBytes),
    ramAvailableBytes: capped(floorTo(ram.availableBytes, RAM_STEP_BYTES), limits.ramBytes),
    scratchFreeBytes: floorTo(disk.bavail * disk.bsize, SCRATCH_STEP_BYTES),
    gpus,
    attributes: [
      'tool:command',
      ...(ffmpeg.version === null ? [] : ['tool:ffmpeg']),
      ...ffmpeg.encoders.map((encoder) => `encoder:${encoder}`),
    ],
    toolchain: {
      furrow: VERSION,
      node: process.versions.node,
      ...(ffmpeg.version === null ? {} : { ffmpeg: ffmpeg.version }),
    },
    encoderSessions: 0,
    maxUnits: limits.maxUnits,
  };
}

/** Free for units, or used by them already. A control group's limit counts like less memory. */
async function sampleRam(
  options: CapacityProbeOptions,
): Promise<{ totalBytes: number; availableBytes: number }> {
  const ours = options.residentBytes();
  const limit = process.constrainedMemory();
  if (limit > 0 && limit < totalmem()) {
    const available = Math.min(limit, process.availableMemory() + ours);
    return { totalBytes: limit, availableBytes: available };
  }
  const { total, available } = await mem();
  return { totalBytes: total, availableBytes: Math.min(total, available + ours) };
}

function capped(value: number, limit: number): number {
  return limit > 0 ? Math.min(value, limit) : value;
}

function floorTo(value: number, step: number): number {
  return Math.floor(value / step) * step;
}
