/**
 * What is done to the farm: which fault, to whom and for how long is drawn from the seed; who leads at
 * the moment is asked of the farm. Each is written down when it begins and when it is over.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../sim/prng.ts';
import { processesUnder } from '../support/processes.ts';
import type { FaultSeen } from './evidence.ts';
import type { Aftermath, Disturbance, Place, Rule, Service } from './network.ts';
import type { Party } from './party.ts';
import { LEASE_TTL_MS, type Stage } from './stage.ts';

/** Between two faults; several may hold at once. */
const PAUSE_MS = { least: 300, most: 4_500 };
/** Half of them are over before anybody gives up, half outlast leases, keepalives and reigns. */
const SHORT_MS = { least: 300, most: 2_500 };
const LONG_MS = { least: 3_500, most: 12_000 };
const DOWN_MS = { least: 100, most: 4_000 };
const MOST_AT_ONCE = 3;
/** Leases expire, and their units are done elsewhere, while the agent that had them finishes them too. */
const OUTLAST_MS = { least: LEASE_TTL_MS + 4_000, most: LEASE_TTL_MS + 7_000 };
/** Several snapshots are taken meanwhile, and the journal is cut. */
const LEFT_BEHIND_MS = { least: 10_000, most: 15_000 };
/** Until some agent runs a unit. */
const BUSY_LIMIT_MS = 30_000;
const BUSY_POLL_MS = 100;

export class Faults {
  readonly seen: FaultSeen[] = [];
  readonly #stage: Stage;
  readonly #prng: Prng;
  readonly #leader: () => string | undefined;
  readonly #tell: (line: string) => void;
  readonly #under = new Set<Promise<void>>();
  /** Parties that a fault has in hand. */
  readonly #taken = new Set<string>();

  /** `leader`: name of the coordinator that leads, as far as it is known. */
  constructor(
    stage: Stage,
    prng: Prng,
    leader: () => string | undefined,
    tell: (line: string) => void,
  ) {
    this.#stage = stage;
    this.#prng = prng;
    this.#leader = leader;
    this.#tell = tell;
  }

  /** One fault alone, then tortures for so long; settles when the last one is over. */
  async run(forMs: number): Promise<void> {
    // In every run, and with nothing else that could keep the leases: results that come too late.
    await this.#outlast(this.#prng.fork(), forMs);
    const until = performance.now() + forMs;
    while (performance.now() < until) {
      await sleep(this.#prng.between(PAUSE_MS.least, PAUSE_MS.most));
      if (this.#under.size >= MOST_AT_ONCE) await Promise.race(this.#under);
      const leftMs = until - performance.now();
      if (leftMs > 0) this.#begin(leftMs);
    }
    await Promise.all(this.#under);
  }

  #begin(leftMs: number): void {
    const dice = this.#prng.next();
    // Drawn whether needed or not, so that one fault more or less does not shift the rest.
    const prng = this.#prng.fork();
    const fault =
      dice < 0.02
        ? this.#cutPower(prng)
        : dice < 0.34
          ? this.#kill(prng)
          : dice < 0.6
            ? this.#sleep(prng, leftMs)
            : dice < 0.68
              ? this.#outlast(prng, leftMs)
              : dice < 0.74
                ? this.#leaveBehind(prng, leftMs)
                : this.#cut(prng, leftMs);
    this.#hold(fault);
  }

  #hold(fault: Promise<void>): void {
    const under = fault.then(() => void this.#under.delete(under));
    this.#under.add(under);
  }

  async #kill(prng: Prng): Promise<void> {
    const victim = this.#victim(prng);
    if (victim === undefined) return;
    await this.#while('kill', victim, async () => {
      await victim.kill();
      await sleep(prng.longTailed(DOWN_MS.least, DOWN_MS.most));
      victim.start();
    });
  }

  async #sleep(prng: Prng, leftMs: number): Promise<void> {
    const victim = this.#victim(prng);
    if (victim === undefined) return;
    const forMs = Math.min(leftMs, holdMs(prng));
    await this.#while('sleep', victim, async () => {
      victim.sleep();
      await sleep(forMs);
      victim.wake();
    });
  }

  /** An agent that nobody hears of for longer than its leases live, and whose units run on. */
  async #outlast(prng: Prng, leftMs: number): Promise<void> {
    const victim = await this.#busiest();
    const isFrozen = prng.chance(0.5);
    const forMs = Math.min(leftMs, prng.between(OUTLAST_MS.least, OUTLAST_MS.most));
    if (victim === undefined) return;
    await this.#while(isFrozen ? 'freeze' : 'isolate', victim, async () => {
      if (isFrozen) return this.#freeze(victim, forMs);
      const matches: Rule['matches'] = (from) => from === victim.name;
      const rule: Rule = { disturbance: 'black-hole', aftermath: 'late', matches };
      const heal = this.#stage.network.disturb(rule);
      await sleep(forMs);
      heal();
    });
  }

  /** A standby sleeps while the journal goes on and is cut; one that is alone starts from a snapshot. */
  async #leaveBehind(prng: Prng, leftMs: number): Promise<void> {
    const { coordinators } = this.#stage;
    const forMs = Math.min(leftMs, prng.between(LEFT_BEHIND_MS.least, LEFT_BEHIND_MS.most));
    const standby = coordinators.find(({ name }) => name !== this.#leader());
    const victim = standby ?? coordinators[0];
    if (victim === undefined || this.#taken.has(victim.name)) return;
    await this.#while(standby === undefined ? 'kill' : 'sleep', victim, async () => {
      if (standby === undefined) {
        await victim.kill();
        return victim.start();
      }
      victim.sleep();
      await sleep(forMs);
      victim.wake();
    });
  }

  /** The agent with the most processes of units, once there are any. */
  async #busiest(): Promise<Party | undefined> {
    const deadline = performance.now() + BUSY_LIMIT_MS;
    for (;;) {
      const [first] = this.#stage.agents
        .filter(({ name, pid }) => pid !== undefined && !this.#taken.has(name))
        .map((agent) => ({ agent, units: processesUnder(agent.pid ?? 0).length }))
        .toSorted((a, b) => b.units - a.units);
      if (first === undefined || performance.now() > deadline) return undefined;
      if (first.units > 0) return first.agent;
      await sleep(BUSY_POLL_MS);
    }
  }

  async #freeze(victim: Party, forMs: number): Promise<void> {
    victim.sleep({ alone: true });
    await sleep(forMs);
    victim.wake();
  }

  /** Everything at once, as when the power fails; the bucket is elsewhere. */
  async #cutPower(prng: Prng): Promise<void> {
    const { nats, coordinators, agents } = this.#stage;
    const all = [...nats, ...coordinators, ...agents];
    if (all.some(({ name }) => this.#taken.has(name))) return;
    for (const { name } of all) this.#taken.add(name);
    await this.#noting('power-cut', 'everything', async () => {
      await Promise.all(all.map((party) => party.kill()));
      await sleep(prng.between(200, 2_000));
      for (const party of shuffled(all, prng)) {
        party.start();
        await sleep(prng.between(0, 300));
      }
    });
    for (const { name } of all) this.#taken.delete(name);
  }

  async #cut(prng: Prng, leftMs: number): Promise<void> {
    const link = this.#link(prng);
    const disturbance = prng.pick<Disturbance>([
      'refused',
      'black-hole',
      'black-hole',
      'deaf',
      'mute',
      'slow',
    ]);
    const aftermath: Aftermath = prng.chance(0.5) ? 'late' : 'reset';
    const forMs = Math.min(leftMs, holdMs(prng));
    const rule: Rule = { disturbance, aftermath, matches: link.matches };
    const kind =
      disturbance === 'refused' || disturbance === 'slow'
        ? disturbance
        : `${disturbance}, then ${aftermath}`;
    await this.#noting(`cut (${kind})`, link.name, async () => {
      const heal = this.#stage.network.disturb(rule);
      await sleep(forMs);
      heal();
    });
  }

  /** Someone that no other fault has in hand. Leaders and servers are chosen as often as agents. */
  #victim(prng: Prng): Party | undefined {
    const { nats, coordinators, agents } = this.#stage;
    const leader = this.#leader();
    const groups = [
      coordinators.filter(({ name }) => name === leader),
      coordinators.filter(({ name }) => name !== leader),
      nats,
      agents,
      agents,
    ].filter((group) => group.length > 0);
    const victim = prng.pick(prng.pick(groups));
    return this.#taken.has(victim.name) ? undefined : victim;
  }

  #link(prng: Prng): { readonly name: string; readonly matches: Rule['matches'] } {
    const { nats, coordinators, agents } = this.#stage;
    const agent = prng.pick(agents).name;
    const coordinator = prng.pick(coordinators).name;
    const node = prng.pick(nats).name;
    const isNats = ({ service }: Place): boolean => service === 'nats' || service === 'route';
    const links: { readonly name: string; readonly matches: Rule['matches'] }[] = [
      between(agent, coordinator, 'grpc'),
      between(agent, coordinator, 'http'),
      { name: `${agent} to nats`, matches: (from, to) => from === agent && to.service === 'nats' },
      {
        name: `${agent} to everybody`,
        matches: (from) => from === agent,
      },
      {
        name: `${coordinator} to nats`,
        matches: (from, to) => from === coordinator && to.service === 'nats',
      },
      { name: `everybody to ${coordinator}`, matches: (_, to) => to.party === coordinator },
      {
        name: `clients to ${coordinator}`,
        matches: (from, to) => from.startsWith('client') && to.party === coordinator,
      },
      { name: `everybody to ${node}`, matches: (_, to) => to.party === node && isNats(to) },
    ];
    if (nats.length > 1) {
      links.push(
        {
          name: `${node} to the other servers, and they to it`,
          matches: (from, to) => to.service === 'route' && (from === node || to.party === node),
        },
        {
          name: `${node} to the other servers`,
          matches: (from, to) => to.service === 'route' && from === node,
        },
      );
    }
    if (coordinators.length > 1) {
      links.push({ name: 'everybody to the bucket', matches: (_, to) => to.service === 's3' });
    }
    return prng.pick(links);
  }

  async #while(
    kind: 'kill' | 'sleep' | 'freeze' | 'isolate',
    victim: Party,
    work: () => Promise<void>,
  ): Promise<void> {
    const role = victim.kind === 'coordinator' ? this.#roleOf(victim.name) : victim.kind;
    this.#taken.add(victim.name);
    await this.#noting(kind, `${victim.name} (${role})`, work);
    this.#taken.delete(victim.name);
  }

  async #noting(kind: string, victim: string, work: () => Promise<void>): Promise<void> {
    const fromMs = Date.now();
    this.#tell(`${kind}: ${victim}`);
    await work();
    const toMs = Date.now();
    this.seen.push({ kind, victim, fromMs, toMs });
    this.#tell(`  over after ${((toMs - fromMs) / 1000).toFixed(1)} s: ${kind}: ${victim}`);
  }

  #roleOf(name: string): string {
    return name === this.#leader() ? 'leader' : 'standby';
  }
}

function between(
  from: string,
  to: string,
  service: Service,
): {
  readonly name: string;
  readonly matches: Rule['matches'];
} {
  const what = service === 'http' ? 'blobs' : service;
  return {
    name: `${from} to ${to}, ${what}`,
    matches: (caller, place) => caller === from && place.party === to && place.service === service,
  };
}

function holdMs(prng: Prng): number {
  const { least, most } = prng.pick([SHORT_MS, LONG_MS]);
  return prng.between(least, most);
}

function shuffled<T>(all: readonly T[], prng: Prng): readonly T[] {
  return all
    .map((each) => [prng.next(), each] as const)
    .sort(([a], [b]) => a - b)
    .map(([, each]) => each);
}
