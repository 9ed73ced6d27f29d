/** What a coordinator rests on before it listens: its identity, its stores, and the farm as the journal has it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { systemClock } from '../kit/clock.ts';
import type { Logger } from '../kit/log.ts';
import { connectNats } from '../kit/nats-connection.ts';
import { ensureToken } from '../kit/token-file.ts';
import { openBlobStore } from './blobs/open-blob-store.ts';
import type { CoordinatorConfig } from './config.ts';
import { JetStreamArchive } from './journal/archive-store.ts';
import { type JetStreamJournal, openJournal } from './journal/jetstream-journal.ts';
import { type LoadedFarm, loadFarm } from './journal/load-farm.ts';
import { natsTrouble } from './journal/nats-trouble.ts';
import { SnapshotStore } from './journal/snapshot-store.ts';
import type { BlobStore } from './ports.ts';
import { type Identity, serverIdentity } from './server-identity.ts';
import { type NatsAccess, openNatsAccess } from './work/nats-access.ts';
import { ensureLogStream } from './work/unit-logs.ts';

export interface Foundation {
  readonly nats: NatsConnection;
  readonly natsAccess: NatsAccess;
  /** The farm's own. */
  readonly token: string;
  readonly identity: Identity;
  readonly store: BlobStore;
  readonly journal: JetStreamJournal;
  readonly snapshots: SnapshotStore;
  readonly archiveStore: JetStreamArchive;
  readonly loaded: LoadedFarm;
}

/** Rejects with FurrowError; nothing is left open then. */
export async function layFoundation(config: CoordinatorConfig, log: Logger): Promise<Foundation> {
  const token = await ensureToken(config.home.tokenFile);
  await mkdir(config.home.coordinatorDir, { recursive: true, mode: 0o700 });
  const identity = await serverIdentity(config);
  const natsAccess = await openNatsAccess(config, token, log);
  const store = await openBlobStore(config, log);
  const nats = await connectNats({
    servers: config.nats,
    auth: natsAccess.auth,
    trust: natsAccess.trust,
    name: 'furrow coordinator',
    onStatus: (status) => log.info({ nats: status.state }, 'nats connection'),
  });
  try {
    const journal = await openJournal({
      nats,
      clock: systemClock,
      log,
      stream: { replicas: config.replicas, maxBytes: -1 },
      identityPath: join(config.home.coordinatorDir, 'identity.json'),
      acceptRestoredStore: config.acceptRestoredStore,
    });
    await ensureLogStream(await nats.jetstreamManager({ checkAPI: false }), config.replicas);
    const snapshots = await SnapshotStore.open(nats, config.replicas);
    const archiveStore = await JetStreamArchive.open(nats, config.replicas);
    const loaded = await loadFarm(journal, snapshots, log);
    await journal.vouch(loaded.farm);
    return { nats, natsAccess, token, identity, store, journal, snapshots, archiveStore, loaded };
  } catch (error) {
    await nats.close();
    throw natsTrouble(error);
  }
}
