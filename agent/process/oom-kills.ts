/** How often the kernel killed a process because memory ran out, on the whole machine or in any group. */
import { readFileSync } from 'node:fs';

/** Only ever grows; 0 where the kernel does not tell. */
export function readOomKills(): number {
  try {
    return parseOomKills(readFileSync('/proc/vmstat', 'utf8'));
  } catch {
    return 0;
  }
}

/** From the text of /proc/vmstat, or of a group's memory.events. */
export function parseOomKills(text: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}
