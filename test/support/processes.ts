/** The machine's processes, for tests that kill, stop and count them. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { readProcesses } from '../../agent/process/process-table.ts';
import { processStart } from '../../kit/process-identity.ts';

/** The very process: a pid alone may pass to another. */
export interface Watched {
  readonly pid: number;
  readonly command: string;
  runs(): boolean;
  /** Time on a processor so far, in the kernel's ticks. */
  cpuTicks(): number;
}

export function watchProcess(pid: number): Watched {
  const start = processStart(pid);
  return {
    pid,
    command: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim(),
    runs: () => start !== undefined && processStart(pid) === start,
    cpuTicks: () => {
      const stat = read(`/proc/${pid}/stat`);
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(fields[11]) + Number(fields[12]);
    },
  };
}

/** Children and their children, but not the process itself. */
export function processesUnder(pid: number): readonly Watched[] {
  const all = readProcesses();
  const family = new Set([pid]);
  for (let before = 0; before !== family.size;) {
    before = family.size;
    for (const entry of all) if (family.has(entry.parent)) family.add(entry.pid);
  }
  family.delete(pid);
  return [...family].map(watchProcess);
}

/** Settles when it stands still: the signal takes effect only where a thread of it gets a processor. */
export async function standStill(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  const states = (): string[] =>
    readdirSync(`/proc/${pid}/task`).map((task) => {
      const stat = read(`/proc/${pid}/task/${task}/stat`);
      return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
    });
  while (states().some((state) => state !== 'T')) await sleep(1);
}

/** Encoders at work on a piece of a film. */
export function encodersUnder(pid: number): readonly Watched[] {
  return processesUnder(pid).filter(({ command }) => /^\S*ffmpeg .*chunk-\d+/.test(command));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
