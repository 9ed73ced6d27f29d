/**
 * The machine's processes as /proc lists them. Empty where there is no /proc: there, only process
 * groups can be signalled, and memory is unknown.
 */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';

export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** Since boot, in the kernel's ticks: with the pid it names one process and no later one. */
  readonly startTicks: number;
  readonly residentBytes: number;
  /** Used by it and by those of its children that it waited for, in the kernel's ticks. */
  readonly cpuTicks: number;
}

/**
 * All processes but zombies. Synchronous on purpose: a few hundred reads from memory take some
 * milliseconds, a tenth of what the thread pool would take for them.
 */
export function readProcesses(): readonly ProcessEntry[] {
  const entries: ProcessEntry[] = [];
  for (const name of listProc()) {
    if (!/^\d+$/.test(name)) continue;
    const entry = readProcess(Number(name));
    if (entry !== null) entries.push(entry);
  }
  return entries;
}

/** Null when it is gone, or a zombie. */
export function readProcess(pid: number): ProcessEntry | null {
  const stat = readOrNull(`/proc/${pid}/stat`);
  return stat === null ? null : parseStat(stat.toString('latin1'), pageBytes());
}

/** One line of /proc/<pid>/stat; null for a zombie. The name may hold spaces and brackets. */
export function parseStat(stat: string, pageSizeBytes: number): ProcessEntry | null {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  if (state === undefined || state === 'Z' || state === 'X') return null;
  return {
    pid: Number.parseInt(stat, 10),
    parent: Number(fields[1]),
    group: Number(fields[2]),
    startTicks: Number(fields[19]),
    residentBytes: Number(fields[21]) * pageSizeBytes,
    cpuTicks: fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0),
  };
}

/** The variable in the process's first environment; null when there is none or it may not be read. */
export function environmentOf(pid: number, name: string): string | null {
  const environ = readOrNull(`/proc/${pid}/environ`);
  if (environ === null) return null;
  const prefix = `${name}=`;
  const entry = environ
    .toString('latin1')
    .split('\0')
    .find((line) => line.startsWith(prefix));
  return entry?.slice(prefix.length) ?? null;
}

/** Changes with every boot; empty where there is none. */
export function bootId(): string {
  return readOrNull('/proc/sys/kernel/random/boot_id')?.toString('latin1').trim() ?? '';
}

function listProc(): readonly string[] {
  try {
    return readdirSync('/proc');
  } catch {
    return [];
  }
}

/** Where every file is read into first; grows to the largest that was met. */
let scratch = Buffer.allocUnsafe(4096);

/**
 * Files of /proc do not say how long they are, and `readFileSync` takes 64 KiB to find out: a look at
 * all processes would leave megabytes to be collected.
 */
function readOrNull(path: string): Buffer | null {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    let length = 0;
    for (;;) {
      const count = readSync(file, scratch, length, scratch.length - length, null);
      length += count;
      // Anything that left room was its end: so short a file comes in one piece.
      if (count === 0 || length < scratch.length) break;
      scratch = Buffer.concat([scratch, Buffer.allocUnsafe(scratch.length)]);
    }
    return Buffer.from(scratch.subarray(0, length));
  } catch {
    return null;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

const AT_PAGESZ = 6n;
let knownPageBytes = 0;

/** From the auxiliary vector: 4 KiB is not everywhere. */
function pageBytes(): number {
  if (knownPageBytes > 0) return knownPageBytes;
  const auxv = readOrNull('/proc/self/auxv') ?? Buffer.alloc(0);
  knownPageBytes = 4096;
  for (let at = 0; at + 16 <= auxv.length; at += 16) {
    if (auxv.readBigUInt64LE(at) === AT_PAGESZ) {
      knownPageBytes = Number(auxv.readBigUInt64LE(at + 8));
    }
  }
  return knownPageBytes;
}
