/** A NATS store that was put back from an older copy must not pass for the real one. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { apply } from '../../../coordinator/domain/apply.ts';
import type { Fact } from '../../../coordinator/domain/facts.ts';
import type { Farm } from '../../../coordinator/domain/farm.ts';
import { captureFarm } from '../../../coordinator/domain/farm-snapshot.ts';
import {
  type JetStreamJournal,
  openJournal,
} from '../../../coordinator/journal/jetstream-journal.ts';
import {
  confirmedLastSequence,
  ensureJournalStream,
  lastSequenceOf,
} from '../../../coordinator/journal/journal-stream.ts';
import { loadFarm } from '../../../coordinator/journal/load-farm.ts';
import { encodeSnapshot } from '../../../coordinator/journal/snapshot-codec.ts';
import { SnapshotStore } from '../../../coordinator/journal/snapshot-store.ts';
import { systemClock } from '../../../kit/clock.ts';
import { createLog } from '../../../kit/log.ts';
import { JOURNAL_STREAM } from '../../../proto/subjects.ts';
import { startTestCluster } from '../../support/nats-cluster.ts';
import {
  NATS_VERSIONS,
  type NatsVersion,
  startTestNats,
  type TestNats,
} from '../../support/nats-server.ts';

const log = createLog({ role: 'test', level: 'silent' });

let folder: string;
let server: TestNats;

/** A coordinator's journal and fold, leading. */
interface Leader {
  readonly journal: JetStreamJournal;
  readonly farm: Farm;
  commit(...facts: readonly Fact[]): Promise<void>;
  /** Takes a snapshot, and cuts the journal below the one before. */
  snapshot(): Promise<void>;
  /** As an orderly stop does: what was seen is in its file. */
  close(): Promise<void>;
}

/** Loads what the store holds and leads; `name` is whose file it has. */
async function lead(name: string, accept = false): Promise<Leader> {
  const nats = await server.connect(name);
  const journal = await openJournal({
    nats,
    clock: systemClock,
    log,
    stream: { replicas: 1, maxBytes: -1 },
    identityPath: join(folder, name, 'identity.json'),
    acceptRestoredStore: accept,
  });
  const store = await SnapshotStore.open(nats, 1);
  const { farm } = await loadFarm(journal, store, log);
  await journal.vouch(farm);
  const election = await journal.startEpoch();
  if (election.state !== 'leading') throw new Error(election.message);
  for (const fact of election.commit.facts) apply(farm, fact);
  const commit = async (...facts: readonly Fact[]): Promise<void> => {
    for (const fact of facts) apply(farm, fact);
    expect(await journal.append(facts, farm.epoch, 1)).toMatchObject({ state: 'committed' });
  };
  return {
    journal,
    farm,
    commit,
    snapshot: async () => {
      const { tail } = journal;
      const stored = await store.save(
        tail.sequence,
        encodeSnapshot({ farm: captureFarm(farm), tail }),
      );
      await commit({ type: 'SnapshotTaken', ...stored });
      const [previous] = farm.snapshots;
      if (previous === undefined || previous.sequence === tail.sequence) return;
      await journal.purgeUpTo(previous.sequence);
      await store.dropBelow(previous.sequence);
    },
    close: () => journal.close(),
  };
}

async function commits(leader: Leader, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) await leader.commit();
}

const storeOf = (): string => join(server.directory, 'store');

async function whileStopped(change: () => Promise<void>): Promise<void> {
  await server.stop();
  await change();
  await server.start();
}

/** The store as it was, kept aside under a name. */
const keep = (name: string): Promise<void> =>
  whileStopped(() => cp(storeOf(), join(folder, name), { recursive: true }));

const putBack = (name: string): Promise<void> =>
  whileStopped(async () => {
    await rm(storeOf(), { recursive: true });
    await cp(join(folder, name), storeOf(), { recursive: true });
  });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'furrow-restored-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe.each(NATS_VERSIONS)('on nats-server %s', (version: NatsVersion) => {
  beforeEach(async () => {
    server = await startTestNats({ version });
    // A backup is taken; then coordinator `a` goes on for two reigns and ten commits.
    const first = await lead('a');
    await commits(first, 5);
    await first.close();
    await keep('backup');
    for (let reigns = 0; reigns < 2; reigns += 1) {
      const later = await lead('a');
      await commits(later, 5);
      await later.close();
    }
    await keep('newest');
    await putBack('backup');
  });
  afterEach(() => server.close());

  test('the copy as it was: told by its end', async () => {
    await expect(lead('a')).rejects.toMatchObject({
      code: 'data-loss',
      reason: 'STORE_RESTORED',
      message: expect.stringMatching(/seen sequence 18 .* epoch 3, but it ends at 6\./),
    });
  });

  test('a copy that went on under another coordinator: told by its lineage', async () => {
    const other = await lead('b');
    await commits(other, 50);
    await other.close();
    await expect(lead('a')).rejects.toMatchObject({
      reason: 'STORE_RESTORED',
      message: expect.stringMatching(/of epoch 3, but epoch 2 wrote that: it was continued from/),
    });
  });

  test('a copy that went on for as many reigns: told by their ids', async () => {
    for (let reigns = 0; reigns < 2; reigns += 1) {
      const other = await lead('b');
      await commits(other, 20);
      await other.close();
    }
    // The same epoch at the same sequence, for one who has seen the first of the two.
    const seen = { epoch: 2, reignId: 'of another reign', sequence: 8 };
    const { journal, farm } = await lead('b');
    expect(await journal.miss(farm, seen, 'agent box-1')).toMatchObject({
      message: expect.stringContaining(
        'agent box-1 has seen sequence 8 of the journal, of epoch 2',
      ),
    });
    // What was told is found at the next start as well.
    await journal.close();
    await expect(lead('b')).rejects.toMatchObject({ reason: 'STORE_RESTORED' });
  });

  test('a copy that was cut above what was seen: told by the snapshot', async () => {
    const other = await lead('b');
    await commits(other, 50);
    await other.snapshot();
    await other.snapshot();
    const bounds = await other.journal.bounds();
    expect(bounds.first).toBeGreaterThan(18);
    await other.close();
    await expect(lead('a')).rejects.toMatchObject({ reason: 'STORE_RESTORED' });
    // Whoever led it since finds nothing wrong.
    await (await lead('b')).close();
  });

  test('the newer store put back is taken', async () => {
    await expect(lead('a')).rejects.toMatchObject({ reason: 'STORE_RESTORED' });
    await putBack('newest');
    const { farm, journal } = await lead('a');
    expect(farm).toMatchObject({ epoch: 4 });
    expect(journal.tail.sequence).toBe(19);
  });

  test('accepted by a person, it starts a reign that gives up the others', async () => {
    const other = await lead('b');
    await commits(other, 50);
    await other.close();
    const accepted = await lead('a', true);
    expect(accepted.farm.epoch).toBeGreaterThan(3);
    expect(accepted.farm.reigns.at(-1)).toMatchObject({ acceptsLoss: true });
    await accepted.close();
    // It need not be accepted again, and a flag that stays does nothing.
    const again = await lead('a', true);
    expect(again.farm.reigns.at(-1)).toMatchObject({ acceptsLoss: false });
    // Told of the lost reigns once more, by whoever has seen them: nothing is missing.
    await again.close();
    await cp(join(folder, 'a'), join(folder, 'c'), { recursive: true });
    await (await lead('c')).close();
  });

  test('what was seen is not forgotten by a start that was refused', async () => {
    const other = await lead('b');
    await commits(other, 50);
    await other.close();
    for (let starts = 0; starts < 3; starts += 1) {
      await expect(lead('a')).rejects.toMatchObject({ reason: 'STORE_RESTORED' });
    }
  });
});

test.each(NATS_VERSIONS)(
  'nats-server %s: a server without its cluster does not confirm an end of the journal',
  async (version) => {
    const cluster = await startTestCluster(version);
    try {
      const manager = await (await cluster.connect('test')).jetstreamManager();
      await ensureJournalStream(manager, { replicas: 3, maxBytes: -1 });
      expect(await confirmedLastSequence(manager)).toBe(0);
      const { cluster: place } = await manager.streams.info(JOURNAL_STREAM);
      const leader = place?.leader ?? '';
      const port = new URL(cluster.url.split(',')[cluster.names.indexOf(leader)] ?? '').port;
      const alone = await (
        await cluster.connect('alone', Number(port))
      ).jetstreamManager({ checkAPI: false, timeout: 2_000 });
      await Promise.all(
        cluster.names.filter((name) => name !== leader).map((name) => cluster.killNode(name)),
      );
      // For some seconds it does not know, and answers as if it led.
      expect(await lastSequenceOf(alone)).toBe(0);
      await expect(confirmedLastSequence(alone)).rejects.toThrow(/TIMEOUT|503/);
    } finally {
      await cluster.close();
    }
  },
);
