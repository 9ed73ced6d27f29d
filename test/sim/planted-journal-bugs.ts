/** Planted in what must be stored before it is said, and in what is kept. */
import { hashOfBytes } from '../../coordinator/journal/chunked-objects.ts';
import type * as archiverModule from '../../coordinator/archiver.ts';
import type * as pinsModule from '../../coordinator/blobs/pins.ts';
import type * as barrierModule from '../../coordinator/domain/barrier.ts';
import type * as referencesModule from '../../coordinator/domain/blob-references.ts';
import type * as decideResultModule from '../../coordinator/domain/decide-result.ts';
import type * as snapshotModule from '../../coordinator/domain/farm-snapshot.ts';
import type { Farm } from '../../coordinator/domain/farm.ts';
import type * as followUpModule from '../../coordinator/domain/follow-up.ts';
import type * as unitTableModule from '../../coordinator/domain/unit-table.ts';
import type * as officeModule from '../../coordinator/office.ts';
import type * as foldModule from '../../coordinator/commit-fold.ts';
import type * as codecModule from '../../coordinator/journal/commit-codec.ts';
import type * as writerModule from '../../coordinator/journal/journal-writer.ts';
import type * as snapshotsModule from '../../coordinator/snapshots.ts';
import type * as storeModule from './journal-store.ts';
import { bug, type PlantedBug } from './planted-bug.ts';

export const JOURNAL_BUGS: readonly PlantedBug[] = [
  bug<typeof barrierModule>(
    'answers are said before their commit',
    '../../coordinator/domain/barrier.ts',
    () => ({ commitToAwait: () => 'none' }),
    /^said-before-commit/,
    12,
  ),
  bug<typeof officeModule>(
    'a leader that was overtaken says that there is no such job',
    '../../coordinator/office.ts',
    ({ Office }) => ({
      Office: class extends Office {
        override async reachEnd(): Promise<void> {
          if (this.duty.state === 'standby') await super.reachEnd();
        }
      },
    }),
    /^acknowledged-lost/,
    30,
  ),
  bug<typeof decideResultModule>(
    'STALE is said without the proof that we still lead',
    '../../coordinator/domain/decide-result.ts',
    (real) => ({
      decideResults: (farm, liveness, command, now) => ({
        ...real.decideResults(farm, liveness, command, now),
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
    /^(said-before-commit|fold-differs|two-leaders|token-twice|destroyed-without-proof|acknowledged-lost)/,
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
    /^(said-before-commit|fold-differs|two-leaders|acknowledged-lost)/,
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
    30,
  ),
  bug<typeof snapshotModule>(
    'a snapshot forgets the leases that lapsed',
    '../../coordinator/domain/farm-snapshot.ts',
    (real) => ({ captureFarm: (farm) => ({ ...real.captureFarm(farm), lapsed: [] }) }),
    /^fold-differs/,
    40,
  ),
  bug<typeof archiverModule>(
    'jobs leave the memory before their segment is stored',
    '../../coordinator/archiver.ts',
    ({ Archiver }) => ({
      Archiver: class extends Archiver {
        constructor(options: ConstructorParameters<typeof Archiver>[0]) {
          const { store } = options;
          const hasty: typeof store = {
            drop: (segment) => store.drop(segment),
            segments: () => store.segments(),
            save: async (segment, part, bytes) => {
              void store.save(segment, part, bytes).catch(() => {});
              return { hash: hashOfBytes(bytes), sizeBytes: bytes.byteLength };
            },
          };
          super({ ...options, store: hasty });
        }
      },
    }),
    /^archived-unstored/,
    12,
  ),
  bug<typeof foldModule>(
    'a standby passes over the snapshots that were taken',
    '../../coordinator/commit-fold.ts',
    ({ CommitFold }) => ({
      CommitFold: class extends CommitFold {
        override take(commit: Parameters<typeof CommitFold.prototype.take>[0]): void {
          const facts = commit.facts.filter(({ type }) => type !== 'SnapshotTaken');
          super.take({ ...commit, facts });
        }
      },
    }),
    /^fold-differs/,
    12,
  ),
  bug<typeof writerModule>(
    'whoever takes over leads in the epoch of the one before',
    '../../coordinator/journal/journal-writer.ts',
    ({ JournalWriter }) => ({
      JournalWriter: class extends JournalWriter {
        override startEpoch(
          epoch: number,
          newFarmId: () => string,
        ): ReturnType<typeof JournalWriter.prototype.startEpoch> {
          return super.startEpoch(Math.max(1, epoch - 1), newFarmId);
        }
      },
    }),
    /^(two-leaders|token-twice)/,
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
      referencedBlobs: (farm, terms) => real.referencedBlobs(withoutFailed(farm), terms),
      unreferenced: (farm, hashes, terms) => real.unreferenced(withoutFailed(farm), hashes, terms),
    }),
    /^blob-(swept|missing)/,
    20,
  ),
  bug<typeof referencesModule>(
    'what a list of files names is not kept',
    '../../coordinator/domain/blob-references.ts',
    () => ({ referencedLists: () => new Set() }),
    /^blob-(swept|missing)/,
    12,
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
          (this.outputs as Map<number, unknown>).delete(unit);
          this.requeue(unit, 0, false);
        }
      };
      return {};
    },
    /^run-twice|^farm-inconsistent: job \d+ is said to be/,
    12,
  ),
];

function withoutFailed(farm: Farm): Farm {
  const jobs = new Map([...farm.jobs].filter(([, job]) => job.end?.state !== 'failed'));
  return { ...farm, jobs };
}
