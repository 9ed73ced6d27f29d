/**
 * Memory of process groups and of what came of them: resident, and on GPUs. One look at the process table serves all that
 * run and all who ask; with nothing running there is none. Looks come every second, rarer where each
 * takes long: units are to have the machine. Who must know sooner says so at each look.
 */
import type { VramUse } from './vram-use.ts';
import { readProcess, readProcesses, type ProcessEntry } from './process-table.ts';

const SAMPLE_MS = 1_000;
/** Looking takes at most this share of a core, unless somebody must know sooner. */
const MAX_SHARE = 0.005;
/** The kernel tells processor time in these, on every platform that we know. */
const TICK_MS = 10;
/** Of a core: less is waiting, or asking whether there is something to do. */
const BUSY_SHARE = 0.1;
/** Over no less than this: of a tenth of a second the kernel's tick alone is a tenth. */
const BUSY_SPAN_MS = 500;
/** Memory is seen no more seldom, however slow the machine. */
const LONGEST_SAMPLE_MS = 5_000;
/** The first look comes early, so that a short process is seen at all. */
const FIRST_SAMPLE_MS = 100;

export interface MemoryLook {
  /** By watched group: its living processes, also those that left the group. */
  readonly members: ReadonlyMap<number, readonly ProcessEntry[]>;
  readonly atMs: number;
}

/** In bytes; 0 when it was never seen. */
export interface MemoryPeaks {
  readonly ramBytes: number;
  /** On any one GPU. */
  readonly vramBytes: number;
}

const UNSEEN: MemoryPeaks = { ramBytes: 0, vramBytes: 0 };

/** Told of every look; answers within how many milliseconds the next one must come. */
export type LookListener = (look: MemoryLook) => number;

export class MemorySampler {
  readonly #vram: Pick<VramUse, 'bytesOf'>;
  readonly #peaks = new Map<number, MemoryPeaks>();
  readonly #busy = new Map<number, BusyWatch>();
  #timer: { readonly handle: NodeJS.Timeout; readonly dueMs: number } | null = null;
  #last: { readonly look: MemoryLook; readonly pauseMs: number } | null = null;
  #listener: LookListener = () => Infinity;
  /** Until then something is young: what it takes shows soon. */
  #youngUntilMs = 0;

  constructor(vram: Pick<VramUse, 'bytesOf'>) {
    this.#vram = vram;
  }

  listen(listener: LookListener): void {
    this.#listener = listener;
  }

  /** `onBusy` is called after each look before which it used a fair part of a core for a while. */
  watch(group: number, onBusy?: () => void): void {
    this.#peaks.set(group, UNSEEN);
    if (onBusy !== undefined) this.#busy.set(group, { onBusy, cpuMs: 0, atMs: performance.now() });
    this.#youngUntilMs = performance.now() + LONGEST_SAMPLE_MS;
    this.#lookWithin(FIRST_SAMPLE_MS);
  }

  /** Answers its peaks. */
  forget(group: number): MemoryPeaks {
    const peaks = this.#peaks.get(group) ?? UNSEEN;
    this.#peaks.delete(group);
    this.#busy.delete(group);
    if (this.#peaks.size === 0) this.#cancel();
    return peaks;
  }

  /** So far, since it is watched. */
  peaksOf(group: number): MemoryPeaks {
    return this.#peaks.get(group) ?? UNSEEN;
  }

  /** Resident memory of one of the groups at the last look, in bytes. */
  residentOf(group: number): number {
    return residentOf(this.#last?.look.members.get(group) ?? []);
  }

  watches(group: number): boolean {
    return this.#peaks.has(group);
  }

  /** Whether the process is in a group that is watched, or came of one. */
  isWatched(pid: number): boolean {
    const group = readProcess(pid)?.group;
    if (group !== undefined && this.#peaks.has(group)) return true;
    for (const members of this.#last?.look.members.values() ?? []) {
      if (members.some((member) => member.pid === pid)) return true;
    }
    return false;
  }

  /** Resident memory of all groups that are watched, in bytes. */
  residentBytes(): number {
    if (this.#peaks.size === 0) return 0;
    const last = this.#last;
    const isFresh = last !== null && performance.now() - last.look.atMs < last.pauseMs;
    const { members } = isFresh ? last.look : this.#sample();
    let sum = 0;
    for (const [group, entries] of members) if (this.#peaks.has(group)) sum += residentOf(entries);
    return sum;
  }

  #lookWithin(pauseMs: number): void {
    const dueMs = performance.now() + pauseMs;
    if (this.#timer !== null && this.#timer.dueMs <= dueMs) return;
    this.#cancel();
    const handle = setTimeout(() => {
      this.#timer = null;
      this.#sample();
    }, pauseMs).unref();
    this.#timer = { handle, dueMs };
  }

  #cancel(): void {
    clearTimeout(this.#timer?.handle);
    this.#timer = null;
  }

  #tellBusy({ members, atMs }: MemoryLook): void {
    for (const [group, before] of this.#busy) {
      if (atMs - before.atMs < BUSY_SPAN_MS) continue;
      const ticks = (members.get(group) ?? []).reduce((sum, { cpuTicks }) => sum + cpuTicks, 0);
      const cpuMs = ticks * TICK_MS;
      this.#busy.set(group, { ...before, cpuMs, atMs });
      if (cpuMs - before.cpuMs >= (atMs - before.atMs) * BUSY_SHARE) before.onBusy();
    }
  }

  #sample(): MemoryLook {
    const startMs = performance.now();
    const members = membersOf(readProcesses(), this.#peaks);
    for (const [group, entries] of members) {
      const known = this.#peaks.get(group) ?? UNSEEN;
      const vramBytes = this.#vram.bytesOf(new Set(entries.map(({ pid }) => pid)));
      this.#peaks.set(group, {
        ramBytes: Math.max(known.ramBytes, residentOf(entries)),
        vramBytes: Math.max(known.vramBytes, vramBytes),
      });
    }
    const atMs = performance.now();
    const look = { members, atMs };
    this.#tellBusy(look);
    const longestMs = atMs < this.#youngUntilMs ? SAMPLE_MS : LONGEST_SAMPLE_MS;
    const ownMs = Math.min(longestMs, Math.max(SAMPLE_MS, (atMs - startMs) / MAX_SHARE));
    const pauseMs = Math.min(ownMs, this.#listener(look));
    this.#last = { look, pauseMs };
    if (this.#peaks.size > 0) this.#lookWithin(pauseMs);
    return look;
  }
}

/** Who wants to know that a group computes, and how that stood when it was last asked. */
interface BusyWatch {
  readonly onBusy: () => void;
  readonly cpuMs: number;
  readonly atMs: number;
}

/** Resident memory in bytes; pages that several share count for each. */
export function residentOf(entries: readonly ProcessEntry[]): number {
  return entries.reduce((sum, { residentBytes }) => sum + residentBytes, 0);
}

/** What belongs to which of these groups: by its group, else by the nearest parent that does. */
function membersOf(
  all: readonly ProcessEntry[],
  groups: ReadonlyMap<number, unknown>,
): ReadonlyMap<number, readonly ProcessEntry[]> {
  const byPid = new Map(all.map((entry) => [entry.pid, entry]));
  const owners = new Map<number, number | null>();
  const ownerOf = (entry: ProcessEntry): number | null => {
    const known = owners.get(entry.pid);
    if (known !== undefined) return known;
    // A number that is reused while we look could close a circle.
    owners.set(entry.pid, null);
    const parent = byPid.get(entry.parent);
    const inherited = parent === undefined ? null : ownerOf(parent);
    const owner = groups.has(entry.group) ? entry.group : inherited;
    owners.set(entry.pid, owner);
    return owner;
  };
  const members = new Map<number, ProcessEntry[]>();
  for (const entry of all) {
    const owner = ownerOf(entry);
    if (owner === null) continue;
    const entries = members.get(owner);
    if (entries === undefined) members.set(owner, [entry]);
    else entries.push(entry);
  }
  return members;
}
