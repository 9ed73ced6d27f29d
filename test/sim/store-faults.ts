/** What goes wrong where things are kept: nats-server and the disks. */
import type { Prng } from './prng.ts';
import { type Fault, later, soon, type World } from './world.ts';

export const STORE_FAULTS: Readonly<Record<string, Fault>> = {
  'nats-crash': (world, prng) => {
    world.network.nats.kill();
    world.timeline.after(prng.longTailed(200, 20_000), 'nats-server starts', world.restartNats);
  },
  'nats-crash-at-step': (world, prng) => {
    world.timeline.afterSteps(prng.whole(1, 300), () => {
      world.network.nats.kill();
      world.timeline.after(prng.longTailed(200, 20_000), 'nats-server starts', world.restartNats);
    });
  },
  'nats-pause': (world, prng) => {
    const victim = world.network.nats;
    victim.pause();
    soon(world, prng, () => victim.resume());
  },
  'slow-journal-disk': (world, prng) => {
    world.store.mostDiskMs = prng.pick([50, 1_000, 6_000]);
    later(world, prng, () => {
      world.store.mostDiskMs = 0;
    });
  },
  'slow-blob-disk': (world, prng) => {
    world.blobDisk.mostDiskMs = prng.pick([50, 1_000, 6_000]);
    later(world, prng, () => {
      world.blobDisk.mostDiskMs = 0;
    });
  },
  'store-full': (world, prng) => {
    world.store.isFull = true;
    soon(world, prng, () => {
      world.store.isFull = false;
    });
  },
  'snapshot-damaged': damageSnapshot,
};

/** The newest one, and only while there is another way to the farm. */
function damageSnapshot({ store, validSnapshots, leader }: World, prng: Prng): void {
  const valid = validSnapshots();
  const newest = valid.at(-1);
  const isNeeded = valid.length > 1 ? store.damaged.has(valid[0] ?? 0) : store.firstSequence > 1;
  const chunks = newest === undefined ? undefined : store.snapshots.get(newest);
  if (newest === undefined || chunks === undefined || isNeeded) return;
  const chunk = prng.pick(chunks);
  const at = prng.whole(0, chunk.length - 1);
  chunk[at] = (chunk[at] ?? 0) ^ (1 << prng.whole(0, 7));
  store.damaged.add(newest);
  // Nobody would notice before a start.
  if (prng.chance(0.8)) leader()?.process.kill();
}
