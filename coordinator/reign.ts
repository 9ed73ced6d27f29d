/** What only the leader runs: the command loop and all that it sets in motion. */
import type { Clock } from '../kit/clock.ts';
import type { Logger } from '../kit/log.ts';
import { ArchivedBlobs } from './archived-blobs.ts';
import { Archiver } from './archiver.ts';
import { CommandLoop } from './command-loop.ts';
import type { GrantOrder } from './domain/assignment.ts';
import type { StopOrder } from './domain/decision.ts';
import { referencedBlobs } from './domain/blob-references.ts';
import type { Farm } from './domain/farm.ts';
import type { FileLists } from './file-lists.ts';
import { ListedBlobs } from './listed-blobs.ts';
import type { Liveness } from './domain/liveness.ts';
import { beginTakeoverGrace } from './domain/takeover-grace.ts';
import type { Retention } from './domain/retention.ts';
import type { StallStep } from './domain/stall-watch.ts';
import type { JobArchive } from './job-archive.ts';
import type { JetStreamJournal } from './journal/jetstream-journal.ts';
import type { ArchiveStore, BlobStore, Committed, Effects, Journal } from './ports.ts';
import { Snapshots, type SnapshotsOptions } from './snapshots.ts';
import { Sweeper } from './sweeper.ts';

/** The NATS side of a reign. */
export interface WorkPlane {
  /** Results are taken from now on. */
  start(): void;
  stop(): void;
  grant(order: GrantOrder): void;
}

export interface ReignOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly journal: Journal & Pick<JetStreamJournal, 'tail' | 'purgeUpTo'>;
  readonly snapshots: SnapshotsOptions['store'];
  readonly store: Pick<BlobStore, 'beginReign' | 'lookForMissing' | 'sweep' | 'release'>;
  readonly lists: Pick<FileLists, 'hashesIn'>;
  readonly archiveStore: Pick<ArchiveStore, 'save' | 'drop' | 'segments'>;
  readonly archive: Pick<JobArchive, 'readIndex'>;
  readonly retention: Retention;
  /** Outputs are kept so long after their job's end; 0 for ever. */
  readonly outputRetentionMs: number;
  readonly farm: Farm;
  readonly liveness: Liveness;
  readonly takeoverGraceMs: number;
  /** A snapshot every so many commits. */
  readonly snapshotCommits: number;
  /** Commits behind the newest snapshot. */
  readonly commitsSince: number;
  /** `findMissing` answers what is not stored, and sees to it that what is stays until its commit. */
  readonly openWorkPlane: (
    loop: CommandLoop,
    findMissing: (hashes: readonly string[]) => Promise<string[]>,
  ) => WorkPlane;
  readonly stop: (order: StopOrder) => void;
  readonly retract: (order: StopOrder) => void;
  readonly stalled: (step: StallStep) => void;
  /** Shows a commit to those who look on. */
  readonly publish: (commit: Committed) => void;
  readonly superseded: (message: string) => void;
}

export interface Reign {
  readonly loop: CommandLoop;
  stop(): void;
}

/** The epoch is ours and the listeners are ready: agents that come back are adopted from now on. */
export function beginReign(options: ReignOptions): Reign {
  const { clock, log, journal, store, farm, liveness, outputRetentionMs } = options;
  store.beginReign({
    epoch: farm.epoch,
    referenced: () => referencedBlobs(farm, { nowMs: clock.wallMs(), outputRetentionMs }),
  });
  const effects: Effects = {
    grant: (order) => workPlane.grant(order),
    stop: options.stop,
    retract: options.retract,
    stalled: options.stalled,
    committed: (commit) => {
      options.publish(commit);
      sweeper.committed(commit);
      snapshots.committed();
      archiver.committed(commit);
    },
    superseded: options.superseded,
  };
  const loop = new CommandLoop({ farm, liveness, journal, clock, effects });
  const everyCommits = options.snapshotCommits;
  const snapshots = new Snapshots(
    { farm, loop, journal, store: options.snapshots, log, everyCommits },
    options.commitsSince,
  );
  const { archive, archiveStore, retention } = options;
  const archived = new ArchivedBlobs({ archive, outputRetentionMs });
  const listed = new ListedBlobs(options.lists);
  const sweeper = new Sweeper({ loop, store, archived, listed, clock, log, outputRetentionMs });
  const archiver = new Archiver({ loop, store: archiveStore, clock, log, retention });
  const workPlane = options.openWorkPlane(loop, (hashes) => {
    sweeper.note(hashes);
    return store.lookForMissing(hashes);
  });
  beginTakeoverGrace(liveness, farm, clock.monotonicMs(), options.takeoverGraceMs);
  workPlane.start();
  sweeper.start();
  archiver.start();
  return {
    loop,
    stop: () => {
      loop.stop();
      workPlane.stop();
      sweeper.stop();
      archiver.stop();
    },
  };
}
