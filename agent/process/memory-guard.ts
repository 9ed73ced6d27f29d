/**
 * Ends units that take more memory than they may, before the machine suffers. Each unit may take its demand
 * and a margin: the kernel holds it to that where the agent can make control groups, and in any case it is
 * watched. When the machine itself has too little left, the unit with most beyond its demand goes.
 */
import type { Logger } from '../../kit/log.ts';
import { heldBytes } from './memory-held.ts';
import type { MemoryState } from './memory-left.ts';
import {
  floorOf,
  limitOf,
  type MemoryEnd,
  mostOvergrown,
  pauseBeforeLook,
  type UnitMemory,
} from './memory-limits.ts';
import { type MemoryLook, type MemorySampler, residentOf } from './memory-sampler.ts';
import type { ProcessEntry } from './process-table.ts';
import type { UnitCgroup, UnitCgroups } from './unit-cgroups.ts';

export interface MemoryGuardOptions {
  readonly sampler: MemorySampler;
  /** `off`: units are measured, and never ended. */
  readonly enforcement: 'off' | 'on';
  /** Null where the kernel is not asked to hold units to their memory. */
  readonly cgroups: UnitCgroups | null;
  readonly memoryLeft: () => MemoryState | null;
  readonly log: Logger;
}

/** The kernel needs a moment to take a killed unit's memory back. */
const SETTLE_MS = 500;

export class MemoryGuard {
  readonly #options: MemoryGuardOptions;
  readonly #units = new Set<GuardedUnit>();
  #endedAtMs = -Infinity;

  constructor(options: MemoryGuardOptions) {
    this.#options = options;
    options.sampler.listen((look) => this.#look(look));
  }

  /** Whether units are held to their memory; else only measured. */
  get isOn(): boolean {
    return this.#options.enforcement === 'on';
  }

  /** One attempt, whose processes are guarded together. `close` it when it is over. */
  guard(demandBytes: number): GuardedUnit {
    const unit = new GuardedUnit(demandBytes, this.#options.cgroups, () =>
      this.#units.delete(unit),
    );
    this.#units.add(unit);
    return unit;
  }

  #look({ members, atMs }: MemoryLook): number {
    const units = [...this.#units].filter(({ isRunning }) => isRunning);
    for (const unit of units) unit.note(members, atMs);
    if (!this.isOn || this.#units.size === 0) return Infinity;
    for (const unit of units) this.#endIfOverLimit(unit);
    const machine = this.#options.memoryLeft();
    if (machine !== null) this.#endOneIfShort(units, machine, atMs);
    return pauseBeforeLook(units, machine);
  }

  #endIfOverLimit(unit: GuardedUnit): void {
    const limitBytes = limitOf(unit.demandBytes);
    if (unit.usedBytes <= limitBytes) return;
    const usedBytes = unit.heldBytes() ?? unit.usedBytes;
    if (usedBytes > limitBytes) this.#end(unit, { cause: 'demand', usedBytes, limitBytes });
  }

  #endOneIfShort(units: readonly GuardedUnit[], machine: MemoryState, atMs: number): void {
    const { leftBytes, totalBytes } = machine;
    if (leftBytes >= floorOf(totalBytes) || atMs - this.#endedAtMs < SETTLE_MS) return;
    const unit = mostOvergrown(units.filter(({ end }) => end === null));
    if (unit === undefined) return;
    const usedBytes = unit.heldBytes() ?? unit.usedBytes;
    this.#end(unit, { cause: 'machine', usedBytes, leftBytes });
  }

  #end(unit: GuardedUnit, end: MemoryEnd): void {
    if (unit.end !== null) return;
    this.#endedAtMs = performance.now();
    this.#options.log.warn({ ...end, demandBytes: unit.demandBytes }, 'unit ended for its memory');
    unit.kill(end);
  }
}

/** The processes of one attempt. */
export class GuardedUnit implements UnitMemory {
  readonly demandBytes: number;
  readonly #cgroups: UnitCgroups | null;
  readonly #closed: () => void;
  /** By group: how to end it at once. */
  readonly #kills = new Map<number, () => void>();
  #cgroup: UnitCgroup | null = null;
  #members: readonly ProcessEntry[] = [];
  #seenAtMs = 0;
  #end: MemoryEnd | null = null;
  usedBytes = 0;
  /** The most of all looks, over all its processes at once. */
  peakBytes = 0;
  growthBytesAMs: number | null = null;

  constructor(demandBytes: number, cgroups: UnitCgroups | null, closed: () => void) {
    this.demandBytes = demandBytes;
    this.#cgroups = cgroups;
    this.#closed = closed;
  }

  /** Why it was ended; null when it was not. */
  get end(): MemoryEnd | null {
    return this.#end;
  }

  get isRunning(): boolean {
    return this.#kills.size > 0;
  }

  /**
   * A process of it started, in a group of its own. `isLent`: it was there before, and will be after the
   * unit, so that no control group of the unit's may hold it; it is watched.
   */
  add(pid: number, kill: () => void, isLent = false): void {
    this.#kills.set(pid, kill);
    if (this.#end !== null) kill();
    if (isLent) return;
    const limitBytes = limitOf(this.demandBytes);
    if (this.#cgroups === null || limitBytes === Infinity) return;
    this.#cgroup ??= this.#cgroups.create(limitBytes);
    this.#cgroup?.join(pid);
  }

  remove(pid: number): void {
    this.#kills.delete(pid);
  }

  /** How the kernel killed it for its own limit; null when it did not. */
  kernelEnd(): MemoryEnd | null {
    if (this.#cgroup === null || this.#cgroup.oomKills() === 0) return null;
    const limitBytes = limitOf(this.demandBytes);
    return { cause: 'demand', usedBytes: this.#cgroup.peakBytes() ?? limitBytes, limitBytes };
  }

  note(members: MemoryLook['members'], atMs: number): void {
    this.#members = [...this.#kills.keys()].flatMap((group) => members.get(group) ?? []);
    const usedBytes = residentOf(this.#members);
    const sinceMs = atMs - this.#seenAtMs;
    this.growthBytesAMs = this.#seenAtMs === 0 ? null : (usedBytes - this.usedBytes) / sinceMs;
    this.usedBytes = usedBytes;
    this.peakBytes = Math.max(this.peakBytes, usedBytes);
    this.#seenAtMs = atMs;
  }

  heldBytes(): number | null {
    return heldBytes(this.#members.map(({ pid }) => pid));
  }

  kill(end: MemoryEnd): void {
    this.#end = end;
    for (const kill of this.#kills.values()) kill();
  }

  close(): void {
    this.#cgroup?.remove();
    this.#closed();
  }
}
