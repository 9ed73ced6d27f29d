/**
 * Bugs that others have shipped, each as a patch of one module: it takes the module's place, and the
 * rest of the real code runs on top of it.
 */
import { vi } from 'vitest';
import type * as pinsModule from '../../coordinator/blobs/pins.ts';
import type * as barrierModule from '../../coordinator/domain/barrier.ts';
import type * as referencesModule from '../../coordinator/domain/blob-references.ts';
import type * as decideGrantModule from '../../coordinator/domain/decide-grant.ts';
import type * as decideLeaseModule from '../../coordinator/domain/decide-lease.ts';
import type * as decideResultModule from '../../coordinator/domain/decide-result.ts';
import type * as demandModule from '../../coordinator/domain/demand.ts';
import type * as snapshotModule from '../../coordinator/domain/farm-snapshot.ts';
import type { Farm } from '../../coordinator/domain/farm.ts';
import type * as fenceModule from '../../coordinator/domain/fence.ts';
import type * as followUpModule from '../../coordinator/domain/follow-up.ts';
import type * as livenessModule from '../../coordinator/domain/liveness.ts';
import type * as placementModule from '../../coordinator/domain/placement.ts';
import { epochOf } from '../../coordinator/domain/token.ts';
import type * as unitTableModule from '../../coordinator/domain/unit-table.ts';
import type * as codecModule from '../../coordinator/journal/commit-codec.ts';
import type * as writerModule from '../../coordinator/journal/journal-writer.ts';
import type * as snapshotsModule from '../../coordinator/snapshots.ts';
import type * as storeModule from './journal-store.ts';

export interface PlantedBug {
  readonly name: string;
  readonly module: string;
  readonly plant: () => void;
  /** What the witness says of it. */
  readonly found: RegExp;
  readonly withinSeeds: number;
}

/** `change` is given the real module and answers what takes the place of some of it. */
function bug<M extends object>(
  name: string,
  module: string,
  change: (real: M) => Partial<M>,
  found: RegExp,
  withinSeeds: number,
): PlantedBug {
  const plant = (): void => {
    vi.doMock(module, async (original) => {
      const real = await original<M>();
      return { ...real, ...change(real) };
    });
  };
  return { name, module, plant, found, withinSeeds };
}

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
  bug<typeof livenessModule>(
    'leases expire right after a takeover',
    '../../coordinator/domain/liveness.ts',
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
  bug<typeof livenessModule>(
    'what expired here and still runs there is not booked any more',
    '../../coordinator/domain/liveness.ts',
    () => ({
      ghostBooking: () => ({
        leases: 0,
        cpuMillis: 0,
        ramBytes: 0,
        scratchBytes: 0,
        encoderSessions: 0,
        vramBytes: new Map(),
      }),
    }),
    /^overbooked: agent-\d+ (runs|was given)/,
    12,
  ),
  bug<typeof livenessModule>(
    'leases expire while the coordinator itself stands still',
    '../../coordinator/domain/liveness.ts',
    () => ({ extendByStall: () => {} }),
    /^expired-while-renewed/,
    30,
  ),
  bug<typeof livenessModule>(
    'a session is fenced by its own reconnect',
    '../../coordinator/domain/liveness.ts',
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
];

export const JOURNAL_BUGS: readonly PlantedBug[] = [
  bug<typeof barrierModule>(
    'answers are said before their commit',
    '../../coordinator/domain/barrier.ts',
    () => ({ commitToAwait: () => 'none' }),
    /^said-before-commit/,
    12,
  ),
  bug<typeof decideResultModule>(
    'STALE is said without the proof that we still lead',
    '../../coordinator/domain/decide-result.ts',
    (real) => ({
      decideResults: (farm, command, now) => ({
        ...real.decideResults(farm, command, now),
        barrier: 'decided',
      }),
    }),
    /^destroyed-without-proof/,
    12,
  ),
  bug<typeof storeModule & typeof codecModule>(
    'Nats-Msg-Id in the place of writer and hash: a duplicate is answered as stored',
    './journal-store.ts',
    ({ JournalStore }) => ({
      JournalStore: class extends JournalStore {
        readonly #sequences = new Map<number, number>();
        override append(
          bytes: Uint8Array,
          expectedLast: number,
        ): ReturnType<typeof JournalStore.prototype.append> {
          // Ids are numbers of commits; the chain has one for each sequence.
          const known = this.#sequences.get(expectedLast + 1);
          if (known !== undefined) return { state: 'stored', sequence: known };
          const answer = super.append(bytes, expectedLast);
          if (answer.state === 'stored') this.#sequences.set(answer.sequence, answer.sequence);
          return answer;
        }
      },
    }),
    // Both candidates believe that they won.
    /^(said-before-commit|fold-differs|two-leaders|token-twice|destroyed-without-proof)/,
    12,
  ),
  bug<typeof storeModule>(
    'an append goes behind whatever is there',
    './journal-store.ts',
    ({ JournalStore }) => ({
      JournalStore: class extends JournalStore {
        override append(bytes: Uint8Array): ReturnType<typeof JournalStore.prototype.append> {
          return super.append(bytes, this.lastSequence);
        }
      },
    }),
    /^two-leaders/,
    12,
  ),
  bug<typeof writerModule>(
    'an append without an answer is taken for stored',
    '../../coordinator/journal/journal-writer.ts',
    ({ JournalWriter }) => ({
      JournalWriter: class extends JournalWriter {
        constructor(options: ConstructorParameters<typeof JournalWriter>[0]) {
          const { stream } = options;
          const publish: typeof stream.publish = async (bytes, expected) => {
            const answer = await stream.publish(bytes, expected);
            return answer.state === 'unknown'
              ? { state: 'stored', sequence: expected + 1 }
              : answer;
          };
          super({ ...options, stream: { ...stream, publish } });
        }
      },
    }),
    /^(said-before-commit|fold-differs)/,
    12,
  ),
  bug<typeof snapshotsModule>(
    'the journal is purged up to the newest snapshot',
    '../../coordinator/snapshots.ts',
    ({ Snapshots }) => ({
      Snapshots: class extends Snapshots {
        constructor(options: ConstructorParameters<typeof Snapshots>[0], commitsSince: number) {
          const { farm, journal } = options;
          const cut = {
            get tail() {
              return journal.tail;
            },
            purgeUpTo: () => journal.purgeUpTo(farm.snapshots.at(-1)?.sequence ?? 0),
          };
          super({ ...options, journal: cut }, commitsSince);
        }
      },
    }),
    /^cannot-start/,
    60,
  ),
  bug<typeof snapshotModule>(
    'a snapshot forgets the leases that lapsed',
    '../../coordinator/domain/farm-snapshot.ts',
    (real) => ({ captureFarm: (farm) => ({ ...real.captureFarm(farm), lapsed: [] }) }),
    /^fold-differs/,
    12,
  ),
  bug<typeof pinsModule>(
    'a blob is swept between question and use',
    '../../coordinator/blobs/pins.ts',
    ({ Pins }) => ({
      Pins: class extends Pins {
        override has(): boolean {
          return false;
        }
      },
    }),
    /^blob-(swept|missing)/,
    12,
  ),
  bug<typeof referencesModule>(
    'a failed job, which may be retried, gives up its blobs at once',
    '../../coordinator/domain/blob-references.ts',
    (real) => ({
      referencedBlobs: (farm, nowMs) => real.referencedBlobs(withoutFailed(farm), nowMs),
    }),
    /^blob-(swept|missing)/,
    30,
  ),
  bug<typeof followUpModule>(
    'a fan-out is created twice',
    '../../coordinator/domain/follow-up.ts',
    (real) => ({
      followUp: (farm, number, nowMs) => {
        const fact = real.followUp(farm, number, nowMs);
        const job = farm.jobs.get(number);
        if (fact !== undefined || job === undefined || job.end !== undefined) return fact;
        // A retry or another unit of the producer looks like its last one again.
        const step = job.steps.find(({ spec, units }) => {
          const isFanOut = spec.parameters?.kind?.$case === 'forEach';
          return isFanOut && units !== undefined && units.counts.accepted === 1 && units.size > 1;
        });
        if (step?.units === undefined || step.units.counts.leased > 0) return undefined;
        if (farm.lapsed.size > 0) return undefined;
        return { type: 'UnitsCreated', job: number, step: step.index, count: step.units.size };
      },
    }),
    /^created-twice/,
    12,
  ),
  bug<typeof unitTableModule>(
    'a retry runs accepted units again',
    '../../coordinator/domain/unit-table.ts',
    ({ UnitTable, UNIT_ACCEPTED }) => {
      type Units = InstanceType<typeof UnitTable>;
      const methods: { reopen: (this: Units) => void } = UnitTable.prototype;
      const { reopen } = methods;
      methods.reopen = function reopenAll(this: Units): void {
        reopen.call(this);
        for (let unit = 0; unit < this.size; unit += 1) {
          if (this.stateOf(unit) !== UNIT_ACCEPTED) continue;
          this.outputs.delete(unit);
          this.requeue(unit, 0, false);
        }
      };
      return {};
    },
    /^run-twice/,
    12,
  ),
];

function withoutFailed(farm: Farm): Farm {
  const jobs = new Map([...farm.jobs].filter(([, job]) => job.end?.state !== 'failed'));
  return { ...farm, jobs };
}

/** What the first violation within so many seeds says; undefined when there is none. */
export async function hunt({
  plant,
  module,
  withinSeeds,
}: PlantedBug): Promise<string | undefined> {
  plant();
  vi.resetModules();
  try {
    const { simulate } = await import('./simulation.ts');
    for (let seed = 1; seed <= withinSeeds; seed += 1) {
      const { violation } = await simulate({ seed, steps: STEPS, isCutShort: true });
      if (violation === undefined) continue;
      console.log(`found by seed ${seed}: ${violation.message}`);
      return violation.message;
    }
    return undefined;
  } finally {
    vi.doUnmock(module);
    vi.resetModules();
  }
}

/** Of each seed; seeds.test.ts finds nothing with the first twelve in the code as it is. */
export const STEPS = 5_000;
