/** Planted in what decides about leases. */
import type * as applyModule from '../../coordinator/domain/apply.ts';
import type * as beatsModule from '../../coordinator/domain/beats.ts';
import { stepOf } from '../../coordinator/domain/find.ts';
import type * as decideModule from '../../coordinator/domain/decide.ts';
import type * as decideGrantModule from '../../coordinator/domain/decide-grant.ts';
import type * as decideLeaseModule from '../../coordinator/domain/decide-lease.ts';
import type * as demandModule from '../../coordinator/domain/demand.ts';
import { unbook } from '../../coordinator/domain/demand.ts';
import type * as fenceModule from '../../coordinator/domain/fence.ts';
import type * as leaseWatchModule from '../../coordinator/domain/lease-watch.ts';
import type * as scopeModule from '../../coordinator/domain/placement-scope.ts';
import type * as placementModule from '../../coordinator/domain/placement.ts';
import { endLease } from '../../coordinator/domain/retry.ts';
import type * as takeoverGraceModule from '../../coordinator/domain/takeover-grace.ts';
import { epochOf } from '../../coordinator/domain/token.ts';
import { bug, type PlantedBug } from './planted-bug.ts';

export const LEASE_BUGS: readonly PlantedBug[] = [
  bug<typeof fenceModule>(
    'a result is accepted without a look at its token',
    '../../coordinator/domain/fence.ts',
    () => ({ isTokenCurrent: () => true }),
    // Or what it does to the farm: the unit is closed, and its current lease is not.
    /^(stale-accepted|farm-inconsistent: .* in state 2 with a lease|said-before-commit: end of)/,
    12,
  ),
  bug<typeof demandModule>(
    'the end of a lease does not give back what it booked',
    '../../coordinator/domain/demand.ts',
    () => ({ unbook: () => {} }),
    /^farm-inconsistent: agent .* books/,
    12,
  ),
  bug<typeof takeoverGraceModule>(
    'leases expire right after a takeover',
    '../../coordinator/domain/takeover-grace.ts',
    () => ({ beginTakeoverGrace: () => {} }),
    /^expired-in-grace/,
    12,
  ),
  bug<typeof decideGrantModule>(
    'a grant without an answer is taken for free',
    '../../coordinator/domain/decide-grant.ts',
    (real) => ({
      decideGrantAnswer: (farm, command, now) => {
        const isUnknown = command.answer.state === 'unknown';
        const answer = isUnknown ? ({ state: 'no-responders' } as const) : command.answer;
        return real.decideGrantAnswer(farm, { ...command, answer }, now);
      },
    }),
    /^(freed-while-held|overbooked)/,
    12,
  ),
  bug<typeof decideLeaseModule>(
    'absence from an inventory frees a grant that the agent has not handled yet',
    '../../coordinator/domain/decide-lease.ts',
    (real) => ({
      decideReview: (farm, liveness, agentId, now) => {
        const agent = liveness.agents.get(agentId);
        if (agent === undefined) return real.decideReview(farm, liveness, agentId, now);
        const agents = new Map([[agentId, { ...agent, grantsHandled: Infinity }]]);
        return real.decideReview(farm, { ...liveness, agents }, agentId, now);
      },
    }),
    /^(freed-while-held|overbooked)/,
    12,
  ),
  bug<typeof decideLeaseModule>(
    'absence frees a waiting lease whose grant the agent has not handled yet',
    '../../coordinator/domain/decide-lease.ts',
    (real) => ({
      decideReview: (farm, liveness, agentId, now) => {
        const decision = real.decideReview(farm, liveness, agentId, now);
        const agent = liveness.agents.get(agentId);
        if (agent === undefined) return decision;
        const agents = new Map([[agentId, { ...agent, grantsHandled: Infinity }]]);
        const hasty = real.decideReview(farm, { ...liveness, agents }, agentId, now);
        const known = new Set(decision.facts.map((fact) => 'token' in fact && fact.token));
        const ends = hasty.facts.filter((fact) => {
          if (fact.type !== 'LeaseEnded' || known.has(fact.token)) return false;
          const slot = farm.leases.get(fact.token)?.slot;
          return slot !== undefined && slot.held > slot.booked;
        });
        return { ...decision, facts: [...decision.facts, ...ends] };
      },
    }),
    /^(freed-while-held|overbooked)/,
    12,
  ),
  bug<typeof decideModule>(
    'a lease that is asked back is taken for never started',
    '../../coordinator/domain/decide.ts',
    (real) => ({
      decide: (farm, liveness, command, now) => {
        const decision = real.decide(farm, liveness, command, now);
        const ends = decision.retracts.flatMap(({ tokens }) =>
          tokens.flatMap((token) => {
            const lease = farm.leases.get(token);
            if (lease === undefined) return [];
            const end = { kind: 'retracted', message: 'it was asked back' } as const;
            return [endLease(lease, stepOf(farm, lease.job, lease.step), end, now.wallMs)];
          }),
        );
        return { ...decision, facts: [...decision.facts, ...ends] };
      },
    }),
    /^freed-while-held/,
    12,
  ),
  bug<typeof applyModule>(
    'what waited does not take the place of what ended',
    '../../coordinator/domain/apply.ts',
    (real) => ({
      apply: (farm, fact) => {
        const slot = fact.type === 'LeaseEnded' ? farm.leases.get(fact.token)?.slot : undefined;
        const booked = slot?.booked;
        real.apply(farm, fact);
        if (fact.type !== 'LeaseEnded' || slot === undefined || slot.held === 0) return;
        if (slot.booked !== booked) return;
        slot.booked -= 1;
        const agent = farm.agents.get(fact.agentId);
        if (agent !== undefined) unbook(agent.booking, slot.demand, slot.gpuIds);
      },
    }),
    /^(farm-inconsistent: agent|overbooked)/,
    12,
  ),
  bug<typeof decideLeaseModule>(
    'a new leader stops what it did not grant itself',
    '../../coordinator/domain/decide-lease.ts',
    (real) => ({
      decideReview: (farm, liveness, agentId, now) => {
        const decision = real.decideReview(farm, liveness, agentId, now);
        const held = [...(liveness.agents.get(agentId)?.inventory.keys() ?? [])];
        const tokens = held.filter((token) => epochOf(token) < farm.epoch);
        if (tokens.length === 0) return decision;
        return { ...decision, stops: [...decision.stops, { agentId, tokens }] };
      },
    }),
    /^said-before-commit: stop of/,
    12,
  ),
  bug<typeof leaseWatchModule>(
    'what expired here and still runs there is not booked any more',
    '../../coordinator/domain/lease-watch.ts',
    () => ({
      ghostBooking: () => ({
        leases: 0,
        cpuMillis: 0,
        ramBytes: 0,
        scratchBytes: 0,
        encoderSessions: 0,
        vramBytes: new Map(),
        gpuShares: new Map(),
      }),
    }),
    /^overbooked: agent-\d+ (runs|was given)/,
    40,
  ),
  bug<typeof takeoverGraceModule>(
    'leases expire while the coordinator itself stands still',
    '../../coordinator/domain/takeover-grace.ts',
    () => ({ extendByStall: () => {} }),
    // What expired is granted elsewhere, and goes on where it is.
    /^(expired-while-renewed|overbooked)/,
    80,
  ),
  bug<typeof beatsModule>(
    'a session is fenced by its own reconnect',
    '../../coordinator/domain/beats.ts',
    () => ({
      observeClosedStream: (liveness, agentId, session) => {
        const agent = liveness.agents.get(agentId);
        if (agent === undefined) return;
        const retiredSessions = [...agent.retiredSessions, session];
        liveness.agents.set(agentId, { ...agent, retiredSessions, connected: false });
      },
    }),
    /^locked-out/,
    12,
  ),
  bug<typeof placementModule>(
    'a drained agent gets work',
    '../../coordinator/domain/placement.ts',
    (real) => ({
      place: (farm, liveness, now) => {
        const agents = new Map(
          [...farm.agents].map(([id, agent]) => [id, { ...agent, draining: false }]),
        );
        return real.place({ ...farm, agents }, liveness, now);
      },
    }),
    /^granted-against-orders/,
    12,
  ),
  bug<typeof scopeModule>(
    'placement is not told that an agent has changed',
    '../../coordinator/domain/placement-scope.ts',
    ({ PlacementScope }) => ({
      PlacementScope: class extends PlacementScope {
        override markAgent(): void {}
      },
    }),
    /^overlooked/,
    12,
  ),
];
