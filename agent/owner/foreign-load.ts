/**
 * How much of the processors is used by what is not the agent's: what the machine used between two looks,
 * less what this process and its units did.
 */
import { cpus } from 'node:os';
import { readProcess, readProcesses } from '../process/process-table.ts';

/** Times since some start, in milliseconds of one processor. */
export interface CpuTimes {
  readonly busyMs: number;
  readonly idleMs: number;
  /** Of the agent and all its units; undefined where that cannot be told. */
  readonly oursMs: number | undefined;
}

/** /proc counts in hundredths of a second, on every architecture. */
const TICK_MS = 10;

export class ForeignLoad {
  readonly #times: () => CpuTimes;
  #before: CpuTimes | undefined;

  constructor(times: () => CpuTimes) {
    this.#times = times;
  }

  /** Of all processors since the last call, in percent; undefined at the first, and where it cannot be told. */
  read(): number | undefined {
    const before = this.#before;
    const now = this.#times();
    this.#before = now;
    if (before?.oursMs === undefined || now.oursMs === undefined) return undefined;
    const busyMs = now.busyMs - before.busyMs;
    const totalMs = busyMs + now.idleMs - before.idleMs;
    if (totalMs <= 0) return undefined;
    const foreignMs = busyMs - Math.max(0, now.oursMs - before.oursMs);
    return Math.min(100, Math.max(0, (foreignMs / totalMs) * 100));
  }
}

/** `isOurs`: whether a process group is a unit's. */
export function cpuTimesNow(isOurs: (group: number) => boolean): CpuTimes {
  let busyMs = 0;
  let idleMs = 0;
  for (const { times } of cpus()) {
    busyMs += times.user + times.nice + times.sys + times.irq;
    idleMs += times.idle;
  }
  return { busyMs, idleMs, oursMs: ourTimeMs(isOurs) };
}

/** A unit that has ended is in the time of this process: it waited for it. */
function ourTimeMs(isOurs: (group: number) => boolean): number | undefined {
  const own = readProcess(process.pid);
  if (own === null) return undefined;
  const units = readProcesses().filter(({ group }) => group !== own.group && isOurs(group));
  return [own, ...units].reduce((sum, { cpuTicks }) => sum + cpuTicks * TICK_MS, 0);
}
