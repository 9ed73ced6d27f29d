/** A pid is used again; a pid with its start time names one process. */
import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** When the process started, as an opaque text; undefined when there is none. */
export function processStart(pid: number): string | undefined {
  return process.platform === 'linux' ? linuxStart(pid) : psStart(pid);
}

/** Whether the very process runs that had this start time. */
export function isRunning(pid: number, start: string): boolean {
  return processStart(pid) === start;
}

/** The boot's id and the ticks since then: a restarted machine counts them anew. */
function linuxStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in brackets, may itself hold spaces and brackets.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, ticks] = [fields[0], fields[19]];
    // A zombie runs no more.
    if (state === 'Z' || state === 'X' || ticks === undefined) return undefined;
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    return `${boot}:${ticks}`;
  } catch {
    return undefined;
  }
}

function psStart(pid: number): string | undefined {
  try {
    const options = { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } } as const;
    const answer = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], options).trim();
    return answer === '' ? undefined : answer;
  } catch {
    return undefined;
  }
}

/**
 * Names the space in which this process's pid means what it says: this boot of this machine, and on
 * Linux the container.
 */
export function processSpace(): string {
  if (process.platform !== 'linux') return hostname();
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  return `${boot}:${readlinkSync('/proc/self/ns/pid')}`;
}
