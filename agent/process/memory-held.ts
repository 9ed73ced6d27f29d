/**
 * What processes hold that the kernel cannot drop: anonymous and shared memory, swapped out or not, each page
 * once however many of them share it. Costly (the kernel walks their page tables), so asked only when the
 * cheap sum, in which forks count their common pages each and mapped files count too, is over a limit.
 */
import { readFileSync } from 'node:fs';

/** Bytes; null when none of them may be read, or the kernel (before 5.4) does not tell. */
export function heldBytes(pids: Iterable<number>): number | null {
  let sum: number | null = null;
  for (const pid of pids) {
    const held = parseRollup(readRollup(pid));
    if (held !== null) sum = (sum ?? 0) + held;
  }
  return sum;
}

/** The text of /proc/<pid>/smaps_rollup, as bytes held. */
export function parseRollup(rollup: string): number | null {
  const figures = ['Pss_Anon', 'Pss_Shmem', 'SwapPss'].map((name) => {
    const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(rollup);
    return match === null ? null : Number(match[1]) * 1024;
  });
  const [anonymous = null, shared = null, swapped = null] = figures;
  return anonymous === null || shared === null ? null : anonymous + shared + (swapped ?? 0);
}

function readRollup(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  } catch {
    return '';
  }
}
