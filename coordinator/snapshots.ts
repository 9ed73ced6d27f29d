/**
 * Takes a snapshot now and then, so that a start reads little: captured where the farm is exactly what
 * is on disk, stored whole, made valid by a fact; then the journal is cut below the snapshot before.
 */
import { messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { CommandLoop } from './command-loop.ts';
import { captureFarm } from './domain/farm-snapshot.ts';
import type { Farm } from './domain/farm.ts';
import type { JetStreamJournal } from './journal/jetstream-journal.ts';
import { encodeSnapshot } from './journal/snapshot-codec.ts';
import type { SnapshotStore } from './journal/snapshot-store.ts';

export interface SnapshotsOptions {
  readonly farm: Farm;
  readonly loop: CommandLoop;
  readonly journal: Pick<JetStreamJournal, 'tail' | 'purgeUpTo'>;
  readonly store: Pick<SnapshotStore, 'save' | 'dropBelow'>;
  readonly log: Logger;
  /** A snapshot every so many commits. */
  readonly everyCommits: number;
}

export class Snapshots {
  readonly #options: SnapshotsOptions;
  #commitsSince: number;
  #isBusy = false;

  /** `commitsSince`: commits behind the newest snapshot. */
  constructor(options: SnapshotsOptions, commitsSince: number) {
    this.#options = options;
    this.#commitsSince = commitsSince;
  }

  committed(): void {
    this.#commitsSince += 1;
    if (this.#isBusy || this.#commitsSince < this.#options.everyCommits) return;
    this.#isBusy = true;
    this.#commitsSince = 0;
    const { loop, journal } = this.#options;
    loop.whenQuiet((farm) => {
      const { tail } = journal;
      const bytes = encodeSnapshot({ farm: captureFarm(farm), tail });
      void this.#store(tail.sequence, bytes).finally(() => (this.#isBusy = false));
    });
  }

  async #store(sequence: number, bytes: Uint8Array): Promise<void> {
    const { farm, loop, journal, store, log } = this.#options;
    try {
      const stored = await store.save(sequence, bytes);
      await loop.submit({ type: 'SnapshotStored', ...stored });
      const [previous] = farm.snapshots;
      if (previous !== undefined && previous.sequence < sequence) {
        await journal.purgeUpTo(previous.sequence);
        await store.dropBelow(previous.sequence);
      }
      log.info({ sequence, sizeBytes: stored.sizeBytes }, 'snapshot taken');
    } catch (error) {
      log.warn({ sequence, error: messageOf(error) }, 'no snapshot: the journal stays as it is');
    }
  }
}
