/**
 * How much memory this machine, or the container that the agent runs in, has left before something must be
 * killed. What the kernel would drop by itself (cached files) counts as left. Null where it is unknown.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readCgroupMount } from './cgroup-mount.ts';

export interface MemoryState {
  readonly totalBytes: number;
  readonly leftBytes: number;
}

/** One control group with a limit: files with its limit, its use, and its statistics. */
interface LimitedGroup {
  readonly limit: string;
  readonly used: string;
  readonly stat: string;
  /** Of cached files in `stat`. */
  readonly cacheKey: string;
}

export class MemoryLeft {
  readonly #groups: readonly LimitedGroup[] = limitedGroups();

  read(): MemoryState | null {
    const machine = machineMemory();
    if (machine === null) return null;
    return this.#groups.reduce(tighter, machine);
  }
}

function machineMemory(): MemoryState | null {
  const meminfo = readText('/proc/meminfo');
  const totalKib = figure(meminfo, /^MemTotal:\s+(\d+) kB$/m);
  const leftKib = figure(meminfo, /^MemAvailable:\s+(\d+) kB$/m);
  if (totalKib === null || leftKib === null) return null;
  return { totalBytes: totalKib * 1024, leftBytes: leftKib * 1024 };
}

function tighter(known: MemoryState, group: LimitedGroup): MemoryState {
  // "max", and in the first version of control groups a very large number, mean none.
  const limitBytes = Number(readText(group.limit));
  if (!(limitBytes < known.totalBytes)) return known;
  const usedBytes = Number(readText(group.used));
  const cached = figure(readText(group.stat), new RegExp(`^${group.cacheKey} (\\d+)$`, 'm')) ?? 0;
  const leftBytes = Math.max(0, limitBytes - Math.max(0, usedBytes - cached));
  return { totalBytes: limitBytes, leftBytes: Math.min(known.leftBytes, leftBytes) };
}

/** Of our own group and those above it: each may set a limit, also later. */
function limitedGroups(): readonly LimitedGroup[] {
  const groups: LimitedGroup[] = [];
  for (const version of ['v2', 'v1-memory'] as const) {
    const mount = readCgroupMount(version);
    if (mount === null) continue;
    for (let folder = mount.folder; folder.startsWith(mount.root); folder = dirname(folder)) {
      const group = groupIn(folder, version);
      if (existsSync(group.limit)) groups.push(group);
      if (folder === '/') break;
    }
  }
  return groups;
}

function groupIn(folder: string, version: 'v2' | 'v1-memory'): LimitedGroup {
  const [limit, used, cacheKey] =
    version === 'v2'
      ? ['memory.max', 'memory.current', 'inactive_file']
      : ['memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'];
  return {
    limit: join(folder, limit),
    used: join(folder, used),
    stat: join(folder, 'memory.stat'),
    cacheKey,
  };
}

function figure(text: string, pattern: RegExp): number | null {
  const match = pattern.exec(text);
  return match === null ? null : Number(match[1]);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
