/** What goes wrong at coordinators: crashes, pauses, cuts, and a key that lies about who leads. */
import { GARBLES } from './agent-faults.ts';
import { NATS } from './network.ts';
import type { Prng } from './prng.ts';
import type { SimCoordinator } from './sim-coordinator.ts';
import {
  cutBoth,
  type Fault,
  later,
  leaderMachine,
  mendBoth,
  soon,
  someCoordinator,
  type World,
} from './world.ts';

export const COORDINATOR_FAULTS: Readonly<Record<string, Fault>> = {
  'coordinator-crash': (world, prng) => {
    const release = leaderMachine(world)?.crash();
    if (release !== undefined) soon(world, prng, release);
  },
  /** At no moment that a clock could name: right behind some event, before the next. */
  'coordinator-crash-at-step': (world, prng) => {
    world.timeline.afterSteps(prng.whole(1, 300), () => {
      const release = leaderMachine(world)?.crash();
      if (release !== undefined) soon(world, prng, release);
    });
  },
  'coordinator-leaves': (world) => world.leader()?.leave(),
  'coordinator-pause': (world, prng) => {
    const victim = world.leader()?.process;
    if (victim === undefined) return;
    victim.pause();
    // Half of them longer than a lease.
    const pauseMs = prng.chance(0.5) ? prng.between(16_000, 60_000) : prng.longTailed(100, 16_000);
    world.timeline.after(pauseMs, 'mended', () => victim.resume());
  },
  /** The machine that all of them run on stands still: nobody takes over. */
  'coordinators-stall': (world, prng) => {
    const victims = world.coordinators.flatMap(({ run }) => run?.process ?? []);
    for (const victim of victims) victim.pause();
    const stallMs = prng.between(5_000, 25_000);
    world.timeline.after(stallMs, 'mended', () => {
      for (const victim of victims) victim.resume();
    });
  },
  /** The old leader sleeps, a standby takes over, the old one wakes, and what came meanwhile comes. */
  'coordinator-overtaken': (world, prng) => {
    const victim = world.leader();
    if (victim === undefined) return;
    victim.process.pause();
    expireKeyUnder(world, victim, prng.between(0, 6_000));
    const wakesMs = prng.between(4_000, 20_000);
    world.timeline.after(wakesMs, 'mended', () => victim.process.resume());
    offerOldResults(world, prng, wakesMs);
  },
  /** Nothing is wrong with the leader: its key expires early, another takes over, and results come to both. */
  'coordinator-rival': (world, prng) => {
    world.store.leaderKey.expire();
    offerOldResults(world, prng, 10_000);
  },
  /** The leader's appends are stored, its answers are lost, and meanwhile it is overtaken. */
  'coordinator-in-doubt': (world, prng) => {
    const victim = world.leader();
    if (victim === undefined) return;
    world.network.cut(NATS, victim.machine);
    expireKeyUnder(world, victim, prng.longTailed(10, 5_000));
    soon(world, prng, () => world.network.mend(NATS, victim.machine));
  },
  'coordinator-off-nats': (world, prng) => {
    const { machine } = someCoordinator(world, prng);
    cutBoth(world.network, machine, NATS);
    later(world, prng, () => mendBoth(world.network, machine, NATS));
  },
  'coordinator-off-agents': (world, prng) => {
    const { machine } = someCoordinator(world, prng);
    const agents = world.agents.filter(() => prng.chance(0.8)).map(({ agentId }) => agentId);
    for (const agentId of agents) cutBoth(world.network, machine, agentId);
    later(world, prng, () => {
      for (const agentId of agents) mendBoth(world.network, machine, agentId);
    });
  },
  'standby-crash': (world, prng) => {
    const leader = world.leader();
    const standby = prng.pickAny(world.coordinators.filter(({ run }) => run !== leader));
    if (standby !== undefined) later(world, prng, standby.crash());
  },
  'standby-pause': (world, prng) => {
    const leader = world.leader();
    const standby = prng.pickAny(world.coordinators.filter(({ run }) => run !== leader))?.run;
    standby?.process.pause();
    later(world, prng, () => standby?.process.resume());
  },
  /** Who left is still said to lead, and who leads is not seen to. */
  'key-stands-still': (world, prng) => {
    world.store.leaderKey.freeze();
    later(world, prng, () => world.store.leaderKey.thaw());
  },
};

/** Behind its back, if it leads then. */
function expireKeyUnder(world: World, leader: SimCoordinator, afterMs: number): void {
  world.timeline.after(afterMs, 'the key expires early', () => {
    if (world.leader() === leader) world.store.leaderKey.expire();
  });
}

/** What agents have said before arrives once more, as it was or garbled, at whoever listens. */
function offerOldResults(world: World, prng: Prng, withinMs: number): void {
  for (let count = 0; count < 12; count += 1) {
    const victim = prng.pick(world.agents);
    const garble = prng.chance(0.5) ? prng.pick(GARBLES) : undefined;
    world.timeline.after(prng.longTailed(50, withinMs), 'late result', () =>
      victim.offerAgain((result) => garble?.(result) ?? result),
    );
  }
}
