/** What faults act on, and what several of them do. */
import type { BlobDisk } from './sim-blobs.ts';
import type { CoordinatorMachine } from './coordinator-machine.ts';
import type { JournalStore } from './journal-store.ts';
import type { Network } from './network.ts';
import type { Prng } from './prng.ts';
import type { SimAgent } from './sim-agent.ts';
import type { SimCoordinator } from './sim-coordinator.ts';
import type { UnitWeather } from './sim-units.ts';
import type { Timeline } from './timeline.ts';

export interface World {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly store: JournalStore;
  readonly agents: readonly SimAgent[];
  readonly units: UnitWeather;
  readonly coordinators: readonly CoordinatorMachine[];
  /** Whoever leads in the newest epoch, awake or not. */
  readonly leader: () => SimCoordinator | undefined;
  readonly restartNats: () => void;
  readonly blobDisk: BlobDisk;
  /** Sequences of the snapshots that may be started from, oldest first. */
  readonly validSnapshots: () => readonly number[];
}

export type Fault = (world: World, prng: Prng) => void;

export const USUAL_DISK_MS = 200;
/** So long a fault lasts at most; longer than two leases. */
const MOST_MS = 45_000;

export function later(world: World, prng: Prng, mend: () => void): void {
  const delayMs = prng.chance(0.5) ? prng.longTailed(100, MOST_MS) : prng.between(10_000, MOST_MS);
  world.timeline.after(delayMs, 'mended', mend);
}

/** For what stops the whole farm: a seed that only waits finds nothing. */
export function soon(world: World, prng: Prng, mend: () => void): void {
  world.timeline.after(prng.longTailed(100, MOST_MS / 3), 'mended', mend);
}

export function leaderMachine({ coordinators, leader }: World): CoordinatorMachine | undefined {
  const run = leader();
  return coordinators.find((machine) => run !== undefined && machine.run === run);
}

/** Mostly the leader's machine. */
export function someCoordinator(world: World, prng: Prng): { readonly machine: string } {
  const any = prng.pick(world.coordinators).name;
  return { machine: prng.chance(0.75) ? (world.leader()?.machine ?? any) : any };
}

export function cutBoth(network: Network, a: string, b: string): void {
  network.cut(a, b);
  network.cut(b, a);
}

export function mendBoth(network: Network, a: string, b: string): void {
  network.mend(a, b);
  network.mend(b, a);
}
