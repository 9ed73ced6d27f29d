/** Whatever is asked in whatever order: the farm holds together, and its facts fold to the same farm. */
import * as fc from 'fast-check';
import { decodeSnapshot, encodeSnapshot } from '../../../../coordinator/journal/snapshot-codec.ts';
import { EMPTY_TAIL } from '../../../../coordinator/journal/chain.ts';
import { whyHeldBack } from '../../../../coordinator/domain/hold-back.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import { checkFarm } from '../../../../coordinator/domain/check-farm.ts';
import { apply } from '../../../../coordinator/domain/apply.ts';
import { expect, test } from 'vitest';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import type { EndKind } from '../../../../coordinator/domain/facts.ts';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import type { HeldState } from '../../../../coordinator/domain/liveness.ts';
import type { StepSpec } from '../../../../coordinator/domain/task.ts';
import {
  countOf,
  FarmDriver,
  failed,
  forEach,
  held,
  step,
  submitJob,
  succeededWith,
} from '../../../support/farm-driver.ts';

const AGENTS = ['a1', 'a2', 'a3'];
const OWNERS = [undefined, 'ann', 'bob'];

type Action =
  | { readonly do: 'submit'; readonly shape: number; readonly client: number }
  | { readonly do: 'steer'; readonly how: SteerType; readonly job: number }
  | { readonly do: 'place' | 'restart' | 'tick'; readonly ms: number }
  | {
      readonly do: 'beat';
      readonly agent: string;
      readonly keep: number;
      readonly state: HeldState;
    }
  | { readonly do: 'session'; readonly agent: string; readonly session: number }
  | { readonly do: 'report'; readonly agent: string; readonly how: Outcome; readonly late: boolean }
  | { readonly do: 'grant'; readonly agent: string; readonly how: 'unknown' | 'no-responders' }
  | { readonly do: 'archive' | 'remove'; readonly job: number }
  | { readonly do: 'tickets' | 'owner'; readonly limit: number }
  | { readonly do: 'drain'; readonly agent: string; readonly draining: boolean }
  | { readonly do: 'copy'; readonly agent: string };

type SteerType = 'CancelJob' | 'RetryJob' | 'PauseJob' | 'ResumeJob';
type Outcome = 'good' | Extract<EndKind, Parameters<typeof failed>[0]>;

const agent = fc.constantFrom(...AGENTS);
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ do: fc.constant('submit'), shape: fc.nat(2), client: fc.nat(8) }),
  fc.record({
    do: fc.constant('steer'),
    how: fc.constantFrom<SteerType>('CancelJob', 'RetryJob', 'PauseJob', 'ResumeJob'),
    job: fc.integer({ min: 1, max: 6 }),
  }),
  fc.record({
    do: fc.constantFrom('place', 'place', 'place', 'tick', 'restart'),
    ms: fc.constantFrom(0, 1_000, 16_000, 60_000),
  }),
  fc.record({
    do: fc.constant('beat'),
    agent,
    keep: fc.nat(4),
    state: fc.constantFrom<HeldState>('waiting', 'running', 'finished', 'ending'),
  }),
  fc.record({ do: fc.constant('session'), agent, session: fc.nat(3) }),
  fc.record({
    do: fc.constant('report'),
    agent,
    how: fc.constantFrom<Outcome>('good', 'good', 'failed', 'invalid-input', 'evicted'),
    late: fc.boolean(),
  }),
  fc.record({
    do: fc.constant('grant'),
    agent,
    how: fc.constantFrom('unknown', 'no-responders'),
  }),
  fc.record({ do: fc.constantFrom('archive', 'remove'), job: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ do: fc.constantFrom('tickets', 'owner'), limit: fc.integer({ min: 0, max: 4 }) }),
  fc.record({ do: fc.constant('drain'), agent, draining: fc.boolean() }),
  fc.record({ do: fc.constant('copy'), agent }),
  fc.record({ do: fc.constant('copy'), agent }),
);

const SHAPES: readonly (readonly StepSpec[])[] = [
  [
    step('work', {
      parameters: countOf(5),
      demand: { ...NO_DEMAND, cpuMillis: 1_000, tickets: { nuke: 1 } },
    }),
  ],
  [
    step('split', { parameters: countOf(2) }),
    step('encode', {
      parameters: forEach('split', 'p*'),
      limits: { maxAttempts: 1, runTimeoutMs: 0, stallTimeoutMs: 0 },
    }),
    step('otherwise', { parameters: forEach('split', 'p*'), insteadOf: 'encode' }),
    step('concat', { dependsOn: ['encode'] }),
  ],
  [step('first'), step('second', { dependsOn: ['first'], parameters: countOf(3) })],
];

/** Leases that were there once; a late agent may still report them. */
function perform(driver: FarmDriver, known: FarmDriver['farm']['leases'], it: Action): void {
  switch (it.do) {
    case 'submit':
      driver.ask(
        submitJob(SHAPES[it.shape] ?? [], {
          clientId: `client-${it.client}`,
          owner: OWNERS[it.client % OWNERS.length],
          maxUnits: it.client % 4,
        }),
      );
      return;
    case 'steer':
      driver.ask({ type: it.how, job: it.job, reason: '' });
      return;
    case 'place':
      driver.nowMs += it.ms;
      driver.place();
      for (const [token, lease] of driver.farm.leases) known.set(token, lease);
      return;
    case 'tick':
      driver.pass(it.ms);
      return;
    case 'restart':
      driver.restart();
      return;
    case 'beat': {
      const leases = [...known.values()].filter((lease) => lease.agentId === it.agent);
      const inventory = leases.slice(-it.keep).map(({ token }) => held(token, it.state));
      const grantsHandled = driver.liveness.agents.get(it.agent)?.lastGrantNumber ?? 0;
      driver.beat(it.agent, { inventory: it.keep === 0 ? [] : inventory, grantsHandled });
      return;
    }
    case 'session': {
      const session = `${it.agent}-session-${it.session}`;
      const retired = driver.liveness.agents.get(it.agent)?.retiredSessions ?? [];
      if (!retired.includes(session)) driver.beat(it.agent, { session, inventory: [] });
      return;
    }
    case 'report': {
      const from = it.late ? [...known.values()] : driver.leasesOf(it.agent);
      const outcome = it.how === 'good' ? succeededWith('p1', 'p2') : failed(it.how);
      driver.report(from.filter((lease) => lease.agentId === it.agent).slice(-3), outcome);
      return;
    }
    case 'grant': {
      const agent = driver.liveness.agents.get(it.agent);
      if (agent === undefined) return;
      const { session, lastGrantNumber: grantNumber } = agent;
      const answer = { state: it.how } as const;
      driver.ask({ type: 'GrantAnswered', agentId: it.agent, session, grantNumber, answer });
      return;
    }
    case 'archive': {
      const ended = [...driver.farm.jobs.values()].filter(({ end }) => end !== undefined);
      const jobs = ended.slice(0, it.job).map(({ number, end }) => {
        return { number, endedAtMs: end?.atMs ?? 0 };
      });
      const name = `1-${driver.facts.length}`;
      const part = { hash: 'ab', sizeBytes: 1 };
      if (jobs.length > 0)
        driver.ask({ type: 'ArchiveJobs', name, jobs, index: part, images: part });
      return;
    }
    case 'remove':
      driver.ask({ type: 'RemoveJob', job: it.job });
      return;
    case 'tickets':
      driver.ask({ type: 'SetTickets', name: 'nuke', limit: it.limit });
      return;
    case 'owner': {
      const share = { weight: it.limit + 1, maxUnits: it.limit };
      driver.ask({ type: 'SetOwner', name: 'ann', ...share });
      return;
    }
    case 'drain':
      driver.ask({ type: 'DrainAgent', agent: it.agent, draining: it.draining });
      return;
    case 'copy': {
      // Of whatever has no copy yet and runs elsewhere, whether it is slow or not.
      const lease = [...driver.farm.leases.values()].find(({ job, step, unit, agentId }) => {
        const units = driver.job(job).steps[step]?.units;
        return agentId !== it.agent && units?.copies.has(unit) === false;
      });
      const isFull = (driver.farm.agents.get(it.agent)?.booking.cpuMillis ?? 0) >= 4_000;
      if (lease === undefined || isFull || !driver.liveness.agents.has(it.agent)) return;
      const { farm, liveness, nowMs } = driver;
      const job = driver.job(lease.job);
      // Copies keep to limits and tickets as all units do.
      if (whyHeldBack(farm, liveness, job, lease.slot.demand, nowMs) !== undefined) return;
      driver.record(driver.copyOf(lease, it.agent));
      for (const [token, each] of driver.farm.leases) known.set(token, each);
    }
  }
}

test('the farm holds together, and replay gives the same farm byte for byte', () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 20, maxLength: 80 }), (actions) => {
      const driver = new FarmDriver();
      const known: FarmDriver['farm']['leases'] = new Map();
      for (const agentId of AGENTS) driver.enrol(agentId);
      driver.ask({ type: 'SetTickets', name: 'nuke', limit: 3 });
      driver.ask(submitJob(SHAPES[1] ?? [], { clientId: 'client-0' }));
      for (const it of actions) perform(driver, known, it);
      expect(farmImage(driver.replayed())).toBe(farmImage(driver.farm));
    }),
    { numRuns: 150 },
  );
});

test('a snapshot brings back the same farm, which then goes on in the same way', () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 20, maxLength: 80 }), fc.nat(80), (actions, at) => {
      const driver = new FarmDriver();
      const known: FarmDriver['farm']['leases'] = new Map();
      for (const agentId of AGENTS) driver.enrol(agentId);
      driver.ask({ type: 'SetTickets', name: 'nuke', limit: 3 });
      driver.ask(submitJob(SHAPES[1] ?? [], { clientId: 'client-0' }));
      for (const it of actions.slice(0, at)) perform(driver, known, it);
      const bytes = encodeSnapshot({ farm: captureFarm(driver.farm), tail: EMPTY_TAIL });
      const already = driver.facts.length;
      const restored = restoreFarm(decodeSnapshot(bytes).farm);
      expect(farmImage(restored)).toBe(farmImage(driver.farm));
      for (const it of actions.slice(at)) perform(driver, known, it);
      for (const fact of driver.facts.slice(already)) apply(restored, fact);
      expect(farmImage(restored)).toBe(farmImage(driver.farm));
      expect(checkFarm(restored)).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

test('no token is granted twice, and no unit is accepted twice', () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 20, maxLength: 80 }), (actions) => {
      const driver = new FarmDriver();
      const known: FarmDriver['farm']['leases'] = new Map();
      for (const agentId of AGENTS) driver.enrol(agentId);
      driver.ask({ type: 'SetTickets', name: 'nuke', limit: 3 });
      driver.ask(submitJob(SHAPES[0] ?? [], { clientId: 'client-0' }));
      for (const it of actions) perform(driver, known, it);
      const tokens = driver.facts.flatMap((fact) =>
        fact.type === 'LeasesGranted'
          ? fact.units.map((_, offset) => fact.firstToken + offset)
          : [],
      );
      const accepted = driver.facts.flatMap((fact) =>
        fact.type === 'ResultsAccepted'
          ? fact.units.map((unit) => `${fact.job}/${fact.step}/${unit}`)
          : [],
      );
      expect(new Set(tokens).size).toBe(tokens.length);
      expect(new Set(accepted).size).toBe(accepted.length);
    }),
    { numRuns: 150 },
  );
});
