/** What goes wrong at agents' machines, and what their owners do. */
import type { Result } from '../../proto/gen/furrow/work/v1/work.ts';
import { cutBoth, type Fault, later, mendBoth, someCoordinator, USUAL_DISK_MS } from './world.ts';
import { NATS } from './network.ts';

export const AGENT_FAULTS: Readonly<Record<string, Fault>> = {
  'agent-crash': (world, prng) => {
    const victim = prng.pick(world.agents);
    victim.kill();
    later(world, prng, () => victim.start());
  },
  'agent-power-cut': (world, prng) => {
    const victim = prng.pick(world.agents);
    const { machine } = someCoordinator(world, prng);
    cutBoth(world.network, victim.agentId, machine);
    victim.cutPower();
    later(world, prng, () => {
      mendBoth(world.network, victim.agentId, machine);
      victim.start();
    });
  },
  'agent-pause': (world, prng) => {
    const victim = prng.pick(world.agents).process;
    victim?.pause();
    later(world, prng, () => victim?.resume());
  },
  'agent-leave': (world, prng) => {
    const victim = prng.pick(world.agents);
    victim.leave();
    later(world, prng, () => {
      victim.kill();
      victim.start();
    });
  },
  'agent-stream-break': (world, prng) => prng.pick(world.agents).breakStream(),
  'agent-cut-off': (world, prng) => {
    const { agentId } = prng.pick(world.agents);
    const { machine } = someCoordinator(world, prng);
    cutBoth(world.network, agentId, machine);
    if (prng.chance(0.5)) cutBoth(world.network, agentId, NATS);
    later(world, prng, () => {
      mendBoth(world.network, agentId, machine);
      mendBoth(world.network, agentId, NATS);
    });
  },
  'one-way-cut': (world, prng) => {
    const { agentId } = prng.pick(world.agents);
    const { machine } = someCoordinator(world, prng);
    const ends: [string, string] = prng.pick([
      [agentId, machine],
      [machine, agentId],
      [agentId, NATS],
      [NATS, agentId],
      [machine, NATS],
      [NATS, machine],
    ]);
    world.network.cut(...ends);
    later(world, prng, () => world.network.mend(...ends));
  },
  'agent-crash-at-step': (world, prng) => {
    const victim = prng.pick(world.agents);
    world.timeline.afterSteps(prng.whole(1, 300), () => {
      victim.kill();
      later(world, prng, () => victim.start());
    });
  },
  /** A laptop is closed, and opened again much later. */
  'agent-sleep': (world, prng) => {
    const victim = prng.pick(world.agents).process;
    victim?.pause();
    const sleepMs = prng.between(60_000, 10 * 60_000);
    world.timeline.after(sleepMs, 'wakes', () => victim?.resume());
  },
  'slow-agent-disks': (world, prng) => {
    world.units.mostDiskMs = prng.pick([2_000, 20_000]);
    later(world, prng, () => {
      world.units.mostDiskMs = USUAL_DISK_MS;
    });
  },
  /** Its owner renders, or its fan has failed: what it begins takes far longer than elsewhere. */
  'slow-agent': (world, prng) => {
    const { slowness } = world.units;
    const { agentId } = prng.pick(world.agents);
    slowness.set(agentId, prng.pick([3, 10, 30]));
    later(world, prng, () => slowness.delete(agentId));
  },
  'owners-play': (world, prng) => {
    world.units.refusal = prng.pick([0.1, 0.5, 1]);
    later(world, prng, () => {
      world.units.refusal = 0;
    });
  },
  'late-result': (world, prng) => prng.pick(world.agents).offerAgain((result) => result),
  'wrong-result': (world, prng) => {
    const garble = prng.pick(GARBLES);
    prng.pick(world.agents).offerAgain(garble);
  },
};

/** What no agent would say: none of it may be accepted, and none may do harm. */
export const GARBLES: readonly ((result: Result) => Result)[] = [
  (result) => ({ ...result, unit: result.unit + 1 }),
  (result) => ({ ...result, jobId: 'j999999' }),
  (result) => ({ ...result, step: 'no-such-step' }),
  ({ token, ...result }) => ({
    ...result,
    token: token && { ...token, counter: token.counter + 1_000_000 },
  }),
  ({ token, ...result }) => ({
    ...result,
    token: token && { ...token, epoch: token.epoch + 1_000 },
  }),
];
