/** What only the leader runs: the command loop and all that it sets in motion. */
import type { NatsConnection } from 'nats';
import { systemClock } from '../kit/clock.ts';
import type { Logger } from '../kit/log.ts';
import { CommandLoop } from './command-loop.ts';
import type { CoordinatorConfig } from './config.ts';
import type { Farm } from './domain/farm.ts';
import { beginTakeoverGrace, type Liveness } from './domain/liveness.ts';
import { type AgentStreams, sendStop } from './grpc/agent-service.ts';
import type { JetStreamJournal } from './journal/jetstream-journal.ts';
import type { SnapshotStore } from './journal/snapshot-store.ts';
import type { BlobStore, Committed, Effects } from './ports.ts';
import { Snapshots } from './snapshots.ts';
import { Sweeper } from './sweeper.ts';
import { NatsWorkPlane } from './work/nats-work-plane.ts';

export interface ReignOptions {
  readonly config: CoordinatorConfig;
  readonly log: Logger;
  readonly nats: NatsConnection;
  readonly journal: JetStreamJournal;
  readonly snapshots: SnapshotStore;
  readonly store: BlobStore;
  readonly farm: Farm;
  readonly liveness: Liveness;
  readonly streams: AgentStreams;
  /** Commits behind the newest snapshot. */
  readonly commitsSince: number;
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
  const { config, log, nats, journal, store, farm, liveness, streams } = options;
  const effects: Effects = {
    grant: (order) => void workPlane.grant(order),
    stop: (order) => sendStop(streams, { farm, leaseTtlMs: config.leaseTtlMs }, order),
    committed: (commit) => {
      options.publish(commit);
      sweeper.committed(commit);
      snapshots.committed();
    },
    superseded: options.superseded,
  };
  const loop = new CommandLoop({ farm, liveness, journal, clock: systemClock, effects });
  const snapshots = new Snapshots(
    { farm, loop, journal, store: options.snapshots, log, everyCommits: config.snapshotCommits },
    options.commitsSince,
  );
  const sweeper = new Sweeper(loop, store, systemClock, log);
  const workPlane = new NatsWorkPlane({
    nats,
    log,
    farm,
    loop,
    findMissing: (hashes) => {
      sweeper.note(hashes);
      return store.lookForMissing(hashes);
    },
  });
  beginTakeoverGrace(liveness, farm, systemClock.monotonicMs(), config.takeoverGraceMs);
  workPlane.start();
  sweeper.start();
  return {
    loop,
    stop: () => {
      loop.stop();
      workPlane.stop();
      sweeper.stop();
    },
  };
}
