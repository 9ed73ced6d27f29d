/**
 * How much memory this process takes, and how much it may take. Beyond its limit allocations fail: most
 * of those are an exception that the work survives, the others end the process, and the agent starts
 * another with less room. Only Linux tells, and only Linux limits.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

export interface OwnMemory {
  readonly residentBytes: number;
  readonly peakBytes: number;
  /** Private memory, touched or not: what the limit counts. */
  readonly dataBytes: number;
}

/** Null where nobody tells. */
export function readOwnMemory(): OwnMemory | null {
  const status = textOf('/proc/self/status');
  const figure = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? NaN) * 1024;
  const memory = {
    residentBytes: figure('VmRSS'),
    peakBytes: figure('VmHWM'),
    dataBytes: figure('VmData'),
  };
  return Object.values(memory).every(Number.isFinite) ? memory : null;
}

/** The peak is what is there now, from here on. */
export function forgetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // Elsewhere, or not allowed: the peak is that of the whole run, then.
  }
}

/** No more than this of resident memory, in bytes; Infinity lifts the limit. False where it cannot be set. */
export function limitOwnMemory(bytes: number): boolean {
  const memory = readOwnMemory();
  if (memory === null) return false;
  const more = Math.max(0, bytes - memory.residentBytes);
  const limit = bytes === Infinity ? 'unlimited' : String(Math.floor(memory.dataBytes + more));
  const argv = ['--pid', String(process.pid), `--data=${limit}:`];
  return spawnSync('prlimit', argv, { stdio: 'ignore' }).status === 0;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
