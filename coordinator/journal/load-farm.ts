/**
 * The farm at start: the newest snapshot that can be read and that the journal vouches for, and the
 * commits behind it. A damaged snapshot falls back to the one before, loudly.
 */
import { FurrowError } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import { apply } from '../domain/apply.ts';
import { emptyFarm, type Farm } from '../domain/farm.ts';
import { restoreFarm } from '../domain/farm-snapshot.ts';
import { EMPTY_TAIL, type Tail } from './chain.ts';
import type { JetStreamJournal } from './jetstream-journal.ts';
import { decodeSnapshot } from './snapshot-codec.ts';
import { damagedSnapshot, type SnapshotStore } from './snapshot-store.ts';

export interface LoadedFarm {
  readonly farm: Farm;
  /** Commits that were replayed behind the snapshot. */
  readonly commits: number;
  /** Sequence of the snapshot; 0 when the journal was replayed from its beginning. */
  readonly snapshotSequence: number;
}

/** What a start reads. */
type StoredJournal = Pick<JetStreamJournal, 'replay' | 'firstSequence'>;
type StoredSnapshots = Pick<SnapshotStore, 'sequences' | 'load'>;

/** FurrowError: as `replay`; data-loss SNAPSHOT_DAMAGED when no way to the farm is left. */
export async function loadFarm(
  journal: StoredJournal,
  store: StoredSnapshots,
  log: Logger,
): Promise<LoadedFarm> {
  const loaded = await loadNewest(journal, store, log);
  const { commits, snapshotSequence: snapshot } = loaded;
  log.info({ snapshot, commits }, 'journal read');
  return loaded;
}

async function loadNewest(
  journal: StoredJournal,
  store: StoredSnapshots,
  log: Logger,
): Promise<LoadedFarm> {
  let firstFault: FurrowError | undefined;
  for (const sequence of await store.sequences()) {
    try {
      return await loadFrom(journal, store, sequence);
    } catch (error) {
      if (!(error instanceof FurrowError) || error.reason !== 'SNAPSHOT_DAMAGED') throw error;
      log.error({ sequence, reason: error.message }, 'snapshot cannot be used, going further back');
      firstFault ??= error;
    }
  }
  const beginning = await journal.firstSequence();
  if (beginning > 1) {
    throw (
      firstFault ??
      new FurrowError(
        'data-loss',
        'SNAPSHOT_DAMAGED',
        `the journal begins at sequence ${beginning} and no snapshot is stored: put the NATS store back as it was`,
      )
    );
  }
  const farm = emptyFarm();
  const commits = await replayInto(farm, journal, EMPTY_TAIL);
  return { farm, commits, snapshotSequence: 0 };
}

async function loadFrom(
  journal: StoredJournal,
  store: StoredSnapshots,
  sequence: number,
): Promise<LoadedFarm> {
  const { bytes, hash } = await store.load(sequence);
  const { farm: snapshot, tail } = decodeSnapshot(bytes);
  if (tail.sequence !== sequence) throw damagedSnapshot(sequence, 'it holds another sequence');
  if ((await journal.firstSequence()) > sequence + 1) {
    throw damagedSnapshot(sequence, 'the journal behind it is gone');
  }
  const farm = restoreFarm(snapshot);
  const commits = await replayInto(farm, journal, tail);
  const isValid = farm.snapshots.some(
    (taken) => taken.sequence === sequence && taken.hash === hash,
  );
  if (!isValid) throw damagedSnapshot(sequence, 'the journal does not vouch for its bytes');
  return { farm, commits, snapshotSequence: sequence };
}

async function replayInto(farm: Farm, journal: StoredJournal, from: Tail): Promise<number> {
  const { commits } = await journal.replay((commit) => {
    for (const fact of commit.facts) apply(farm, fact);
  }, from);
  return commits;
}
