import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import type { LeasesGranted } from '../../../../coordinator/domain/facts.ts';
import { place } from '../../../../coordinator/domain/placement.ts';
import { PlacementScope } from '../../../../coordinator/domain/placement-scope.ts';
import type { SeatOrders } from '../../../../coordinator/domain/seat-orders.ts';
import type { Demand } from '../../../../coordinator/domain/task.ts';
import { countOf, failed, FarmDriver, LEASE_TTL_MS, step } from '../../../support/farm-driver.ts';

/** A farm whose passes go by a scope that is kept, as the command loop's do. */
class ScopedFarm {
  readonly driver = new FarmDriver();
  readonly scope = new PlacementScope();
  #noted = 0;

  /** What one pass would look at: agents that changed, and whether a class is looked for everywhere. */
  look(): { readonly changed: string[]; readonly everywhere: boolean } | undefined {
    this.#note();
    const { farm, liveness, now } = this.driver;
    const look = this.scope.look(farm, liveness, now);
    if (look === undefined) return undefined;
    const classes = [...farm.ready.classes().keys()];
    const everywhere =
      look.changed === look.everyone || classes.some((key) => !look.isExhausted(key));
    return { changed: agentsOf(look.changed), everywhere };
  }

  place(): readonly LeasesGranted[] {
    this.#note();
    const { driver, scope } = this;
    const look = scope.look(driver.farm, driver.liveness, driver.now);
    if (look === undefined) return [];
    const { grants, ...end } = place(driver.farm, driver.liveness, driver.now, look);
    for (const grant of grants) {
      const agent = driver.liveness.agents.get(grant.agentId);
      if (agent !== undefined) agent.lastGrantNumber = grant.grantNumber;
      this.record(grant);
    }
    scope.done(driver.farm, end);
    return grants;
  }

  record(grant: LeasesGranted): void {
    this.driver.record(grant);
    this.#note();
  }

  /** Before it is applied in the loop; of a cancelled job's leases only the agents matter. */
  #note(): void {
    const { facts, farm } = this.driver;
    for (const fact of facts.slice(this.#noted)) this.scope.note(farm, fact);
    this.#noted = facts.length;
  }
}

function agentsOf(orders: SeatOrders): string[] {
  return orders.seats().map(({ agent }) => agent.agentId);
}

/** Two full agents and a queue. */
function full(): ScopedFarm {
  const farm = new ScopedFarm();
  farm.driver.enrol('a1');
  farm.driver.enrol('a2');
  farm.driver.submit([step('work', { parameters: countOf(100) })]);
  expect(farm.look()).toMatchObject({ everywhere: true });
  farm.place();
  return farm;
}

/** Nothing is placed, by a tick either, until so many milliseconds have passed. */
function expectPlacedAfter(farm: ScopedFarm, ms: number): void {
  const { driver, scope } = farm;
  expect(farm.place()).toEqual([]);
  driver.nowMs += ms - 1;
  scope.markTick(driver.liveness, driver.nowMs);
  expect(farm.place()).toEqual([]);
  driver.nowMs += 1;
  scope.markTick(driver.liveness, driver.nowMs);
  expect(farm.place()).toMatchObject([{ agentId: 'a1' }]);
}

describe('the scope of a placement pass', () => {
  test('nothing while nothing changed, and the agent whose unit ended when one did', () => {
    const farm = full();
    expect(farm.look()).toBeUndefined();
    farm.driver.beatHolding('a2');
    farm.driver.report(farm.driver.leasesOf('a2').slice(0, 1));
    expect(farm.look()).toEqual({ changed: ['a2'], everywhere: false });
    expect(farm.place()).toMatchObject([{ agentId: 'a2', units: [8] }]);
    expect(farm.look()).toBeUndefined();
  });

  test('everyone for a class of units that was not tried yet', () => {
    const farm = full();
    farm.driver.submit([step('same', { parameters: countOf(2) })]);
    expect(farm.look()).toBeUndefined();
    const { demand } = step('other');
    farm.driver.submit([step('other', { demand: { ...demand!, cpuMillis: 1 } })]);
    expect(farm.look()).toMatchObject({ everywhere: true });
  });

  test('a change is not forgotten while there is nothing to place, nor by a pass that was cut', () => {
    const farm = full();
    farm.driver.decide({ type: 'PauseJob', job: 1, reason: '' });
    farm.scope.markAgent('a1');
    expect(farm.look()).toBeUndefined();
    farm.driver.decide({ type: 'ResumeJob', job: 1, reason: '' });
    expect(farm.look()).toEqual({ changed: ['a1'], everywhere: false });
    const cut = { isWhole: false, isHeldBack: false };
    const nobody = { noRoom: new Set<string>(), released: new Set<string>() };
    farm.scope.done(farm.driver.farm, { ...cut, ...nobody, keptForGpus: new Set() });
    expect(farm.look()).toEqual({ changed: ['a1'], everywhere: false });
  });

  test('each in turn, for what nobody told', () => {
    const farm = full();
    const seen = new Set<string>();
    for (let tick = 0; tick < 4; tick += 1) {
      farm.scope.markTick(farm.driver.liveness, farm.driver.nowMs);
      const look = farm.look();
      expect(look).toMatchObject({ everywhere: false });
      for (const agentId of look?.changed ?? []) seen.add(agentId);
      farm.place();
    }
    expect([...seen].toSorted()).toEqual(['a1', 'a2']);
  });

  test('an agent whose pause is over, at the next tick', () => {
    const farm = full();
    const { driver } = farm;
    const [lease] = driver.leasesOf('a1');
    driver.beatHolding('a1');
    driver.report([lease!]);
    driver.liveness.agents.get('a1')!.grantsPausedUntilMs = driver.nowMs + 500;
    expectPlacedAfter(farm, 500);
  });

  test('an agent whose pause for a class of units is over, at the next tick', () => {
    const farm = new ScopedFarm();
    const { driver } = farm;
    driver.enrol('a1');
    driver.submit([step('work')]);
    farm.place();
    driver.beatHolding('a1', 'waiting');
    driver.beat('a1', { inventory: [] });
    expectPlacedAfter(farm, 500);
  });

  test('a quick agent that got all its slots anew gets more to wait there, without a tick', () => {
    const farm = new ScopedFarm();
    const { driver } = farm;
    driver.enrol('a1');
    driver.runMs = 10;
    driver.submit([step('work', { parameters: countOf(1_000) })]);
    expect(farm.place()).toMatchObject([{ waiting: false }]);
    expect(farm.place()).toEqual([]);
    driver.beatHolding('a1');
    driver.report(driver.leasesOf('a1'));
    expect(farm.place()).toMatchObject([{ waiting: false, units: [4, 5, 6, 7] }]);
    expect(farm.place()).toMatchObject([{ waiting: true }]);
    expect(farm.place()).toEqual([]);
  });

  test('what fell silent since it was looked at gets nothing', () => {
    const farm = new ScopedFarm();
    farm.driver.enrol('a1');
    farm.driver.submit([step('first')]);
    expect(farm.place()).toMatchObject([{ agentId: 'a1' }]);
    farm.driver.nowMs += LEASE_TTL_MS;
    farm.driver.submit([step('second')]);
    expect(farm.place()).toEqual([]);
  });

  test('a unit that was put off holds up nobody of its class, and starts at a tick once it may', () => {
    const farm = new ScopedFarm();
    const { driver } = farm;
    driver.enrol('a1');
    driver.submit([step('work')]);
    farm.place();
    driver.beatHolding('a1');
    driver.report(driver.leasesOf('a1'), failed('failed'));
    expect(farm.place()).toEqual([]);
    driver.submit([step('work')]);
    expect(farm.place()).toMatchObject([{ job: 2 }]);
    driver.nowMs += 10_000;
    driver.beatHolding('a1');
    farm.scope.markTick(driver.liveness, driver.nowMs);
    expect(farm.place()).toMatchObject([{ job: 1 }]);
  });
});

type Action =
  | {
      readonly do: 'submit';
      readonly demand: Partial<Demand>;
      readonly count: number;
      readonly owner: string;
      readonly maxUnits: number;
    }
  | { readonly do: 'tickets'; readonly limit: number }
  | { readonly do: 'owner'; readonly maxUnits: number }
  | { readonly do: 'end'; readonly agent: number }
  | { readonly do: 'cancel' | 'pause' | 'resume'; readonly job: number }
  | { readonly do: 'grow'; readonly agent: number; readonly cpuMillis: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    do: fc.constant('submit'),
    demand: fc.constantFrom<Partial<Demand>>(
      { cpuMillis: 0 },
      { cpuMillis: 1_000 },
      { cpuMillis: 3_000 },
      { cpuMillis: 500, tickets: { nuke: 1 } },
      { cpuMillis: 500, tickets: { nuke: 2 } },
      { cpuMillis: 100, gpus: 1, vramBytes: 3 * 2 ** 30 },
      { cpuMillis: 100, gpus: 1, wholeGpus: true },
      { cpuMillis: 500, ramBytes: 7 * 2 ** 30 },
    ),
    count: fc.integer({ min: 1, max: 12 }),
    owner: fc.constantFrom('', 'ann', 'bob'),
    maxUnits: fc.constantFrom(0, 0, 3),
  }),
  fc.record({ do: fc.constant('tickets'), limit: fc.integer({ min: 2, max: 5 }) }),
  fc.record({ do: fc.constant('owner'), maxUnits: fc.nat(6) }),
  fc.record({ do: fc.constant('end'), agent: fc.nat(4) }),
  fc.record({
    do: fc.constantFrom('cancel', 'pause', 'pause', 'resume', 'resume'),
    job: fc.integer({ min: 1, max: 6 }),
  }),
  fc.record({
    do: fc.constant('grow'),
    agent: fc.nat(4),
    cpuMillis: fc.constantFrom(500, 1_000, 2_000),
  }),
);

test('a scope that is kept leaves nothing out that a look at everybody would place', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const farm = new ScopedFarm();
      const { driver } = farm;
      for (let agent = 0; agent < 5; agent += 1) driver.enrol(`a${agent}`);
      driver.ask({ type: 'SetTickets', name: 'nuke', limit: 3 });
      for (const step of actions) {
        act(farm, step);
        // What may wait behind a grant is handed out by the pass after it.
        while (farm.place().length > 0);
        expect(place(driver.farm, driver.liveness, driver.now).grants).toEqual([]);
      }
    }),
    { numRuns: 150 },
  );
});

function act({ driver, scope }: ScopedFarm, action: Action): void {
  switch (action.do) {
    case 'submit': {
      const { count, owner, maxUnits } = action;
      const demand = { ...NO_DEMAND, ...action.demand };
      driver.submit([step('work', { demand, parameters: countOf(count) })], { owner, maxUnits });
      return;
    }
    case 'tickets':
      driver.ask({ type: 'SetTickets', name: 'nuke', limit: action.limit });
      return;
    case 'owner':
      driver.ask({
        type: 'SetOwner',
        name: 'ann',
        weight: undefined,
        maxUnits: action.maxUnits,
      });
      return;
    case 'end': {
      const leases = driver.leasesOf(`a${action.agent}`);
      driver.beatHolding(`a${action.agent}`);
      // As the loop does with the beat of one that held something: what it does not list is gone.
      scope.markAgent(`a${action.agent}`);
      driver.report(leases.slice(0, 2));
      return;
    }
    case 'cancel':
      for (const { agentId } of driver.farm.leases.values()) scope.markAgent(agentId);
      driver.ask({ type: 'CancelJob', job: action.job, reason: '' });
      return;
    case 'pause':
      driver.ask({ type: 'PauseJob', job: action.job, reason: '' });
      return;
    case 'resume':
      driver.ask({ type: 'ResumeJob', job: action.job, reason: '' });
      return;
    case 'grow': {
      const agentId = `a${action.agent}`;
      const { capacity } = driver.liveness.agents.get(agentId)!;
      driver.beatHolding(agentId);
      driver.beat(agentId, {
        capacity: { ...capacity!, cpuMillis: capacity!.cpuMillis + action.cpuMillis },
      });
      scope.markAgent(agentId);
    }
  }
}
