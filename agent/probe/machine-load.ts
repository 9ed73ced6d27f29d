/** Processors, memory, disk and load of this machine as far as units may have them, at one moment. */
import { statfs } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { mem } from 'systeminformation';
import { readCgroupLimits } from './cgroup-limits.ts';

export interface MachineSample {
  readonly cpuMillis: number;
  readonly ramTotalBytes: number;
  /** Free for units, or used by them already. */
  readonly ramAvailableBytes: number;
  readonly scratchFreeBytes: number;
  readonly scratchTotalBytes: number;
  /** Of the last minute, in thousandths of a core. */
  readonly loadMillis: number;
}

/** `oursBytes`: memory that our own units use now. About a millisecond. */
export async function sampleMachine(
  scratchDirectory: string,
  oursBytes: number,
): Promise<MachineSample> {
  const [{ total, available }, disk] = await Promise.all([mem(), statfs(scratchDirectory)]);
  const limits = readCgroupLimits();
  const ramTotalBytes = Math.min(total, limits.memory?.limitBytes ?? Infinity);
  const freeBytes = Math.min(available, limits.memory?.availableBytes ?? Infinity);
  return {
    cpuMillis: Math.min(availableParallelism() * 1000, limits.cpuMillis ?? Infinity),
    ramTotalBytes,
    ramAvailableBytes: Math.min(ramTotalBytes, freeBytes + oursBytes),
    scratchFreeBytes: disk.bavail * disk.bsize,
    scratchTotalBytes: disk.blocks * disk.bsize,
    loadMillis: Math.round((loadavg()[0] ?? 0) * 1000),
  };
}
