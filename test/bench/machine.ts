/** What the machine can do by itself: the figures mean little without it. */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join } from 'node:path';

export interface Machine {
  readonly cores: number;
  readonly model: string;
  readonly node: string;
  /** Runnable processes over the last minute: above `cores`, others were at work. */
  readonly load: number;
  /** Appends of 512 bytes, each flushed, one after another. */
  readonly fdatasyncPerS: number;
}

const MEASURE_MS = 500;

/** `folder` is on the disk that the farm writes to. */
export function measureMachine(folder: string): Machine {
  return {
    cores: availableParallelism(),
    model: cpus()[0]?.model.trim() ?? 'unknown',
    node: process.versions.node,
    load: Number((loadavg()[0] ?? 0).toFixed(2)),
    fdatasyncPerS: Math.round(fdatasyncRate(join(folder, 'fdatasync'))),
  };
}

function fdatasyncRate(path: string): number {
  const file = openSync(path, 'w');
  try {
    const record = Buffer.alloc(512, 1);
    const startMs = performance.now();
    let count = 0;
    for (; performance.now() - startMs < MEASURE_MS; count += 1) {
      writeSync(file, record);
      fdatasyncSync(file);
    }
    return (count / (performance.now() - startMs)) * 1000;
  } finally {
    closeSync(file);
    rmSync(path);
  }
}
