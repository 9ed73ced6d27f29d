/** Snapshots on a real nats-server: taken while the farm works, started from, fallen back from. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, ErrorCode, NatsError, type NatsConnection } from 'nats';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CommandLoop } from '../../../coordinator/command-loop.ts';
import { apply } from '../../../coordinator/domain/apply.ts';
import { farmImage } from '../../../coordinator/domain/farm-image.ts';
import type { Farm } from '../../../coordinator/domain/farm.ts';
import { newLiveness } from '../../../coordinator/domain/liveness.ts';
import { ChunkedObjects } from '../../../coordinator/journal/chunked-objects.ts';
import {
  type JetStreamJournal,
  openJournal,
} from '../../../coordinator/journal/jetstream-journal.ts';
import { loadFarm } from '../../../coordinator/journal/load-farm.ts';
import { SnapshotStore } from '../../../coordinator/journal/snapshot-store.ts';
import { Snapshots } from '../../../coordinator/snapshots.ts';
import { systemClock } from '../../../kit/clock.ts';
import { createLog } from '../../../kit/log.ts';
import { JOURNAL_STREAM, SNAPSHOT_STREAM, snapshotSubject } from '../../../proto/subjects.ts';
import { startTestNats, type TestNats } from '../../support/nats-server.ts';

const log = createLog({ role: 'test', level: 'silent' });
let server: TestNats;
let nats: NatsConnection;
let folder: string;

beforeEach(async () => {
  server = await startTestNats();
  nats = await connect({ servers: server.url, token: server.token });
  folder = await mkdtemp(join(tmpdir(), 'furrow-snapshots-'));
});
afterEach(async () => {
  await nats.close();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

interface Reign {
  readonly farm: Farm;
  readonly journal: JetStreamJournal;
  readonly loop: CommandLoop;
  /** Where the start began: 0 for the journal's beginning. */
  readonly snapshotSequence: number;
  readonly commits: number;
}

/** A coordinator's core on the server, without its listeners. */
async function reign(everyCommits: number): Promise<Reign> {
  const journal = await openJournal({
    nats,
    clock: systemClock,
    log,
    stream: { replicas: 1, maxBytes: -1 },
    identityPath: join(folder, 'identity.json'),
    acceptRestoredStore: false,
  });
  const store = await SnapshotStore.open(nats, 1);
  const { farm, snapshotSequence, commits } = await loadFarm(journal, store, log);
  await journal.vouch(farm);
  const election = await journal.startEpoch();
  if (election.state !== 'leading') throw new Error(election.message);
  for (const fact of election.commit.facts) apply(farm, fact);
  const loop: CommandLoop = new CommandLoop({
    farm,
    liveness: newLiveness(15_000),
    journal,
    clock: systemClock,
    effects: {
      grant: () => {},
      retract: () => {},
      stop: () => {},
      committed: () => snapshots.committed(),
      stalled: () => {},
      superseded: (message) => {
        throw new Error(message);
      },
    },
  });
  const snapshots = new Snapshots({ farm, loop, journal, store, log, everyCommits }, commits);
  return { farm, journal, loop, snapshotSequence, commits };
}

async function submitJobs(loop: CommandLoop, from: number, count: number): Promise<void> {
  for (let index = from; index < from + count; index += 1) {
    await loop.submit({
      type: 'SubmitJob',
      clientId: `client-${index}`,
      requestHash: 'hash',
      name: `job ${index}`,
      priority: 0,
      recipe: 'steps',
      missingBlobs: [],
      steps: [
        {
          name: 'run',
          dependsOn: [],
          parameters: { kind: { $case: 'count', value: 3 } },
          task: { kind: { $case: 'noop', value: {} } },
          inputs: [],
          outputs: [],
          demand: undefined,
          limits: undefined,
        },
      ],
    });
  }
}

async function firstSequence(): Promise<number> {
  const manager = await nats.jetstreamManager();
  return (await manager.streams.info(JOURNAL_STREAM)).state.first_seq;
}

/** A reign that took at least two snapshots, so that the journal was cut. */
async function reignWithTwoSnapshots(): Promise<Reign> {
  const first = await reign(10);
  await submitJobs(first.loop, 0, 30);
  await vi.waitFor(() => expect(first.farm.snapshots).toHaveLength(2), 10_000);
  await vi.waitFor(async () => expect(await firstSequence()).toBeGreaterThan(1), 10_000);
  return first;
}

async function end({ loop, journal }: Reign): Promise<string> {
  const image = await loop.read(farmImage);
  loop.stop();
  await journal.close();
  return image;
}

/** The part of the image that a new epoch does not change. */
const jobsOf = (image: string): unknown => (JSON.parse(image) as { jobs: unknown }).jobs;

test('a start reads the newest snapshot and what is behind it, and the farm is the same', async () => {
  const first = await reignWithTwoSnapshots();
  const newest = first.farm.snapshots.at(-1)?.sequence ?? 0;
  const image = await end(first);
  const second = await reign(1_000_000);
  expect(second.snapshotSequence).toBe(newest);
  expect(second.farm.jobs.size).toBe(30);
  expect(jobsOf(await end(second))).toEqual(jobsOf(image));
});

test('the journal is cut below the snapshot before the newest, never above', async () => {
  const first = await reignWithTwoSnapshots();
  await end(first);
  const [previous] = first.farm.snapshots;
  expect(await firstSequence()).toBeLessThanOrEqual((previous?.sequence ?? 0) + 1);
});

test('a damaged snapshot falls back to the one before', async () => {
  const first = await reignWithTwoSnapshots();
  const [previous, newest] = first.farm.snapshots;
  const image = await end(first);
  const manager = await nats.jetstreamManager();
  await manager.streams.purge(SNAPSHOT_STREAM, { filter: snapshotSubject(newest?.sequence ?? 0) });
  await nats.jetstream().publish(snapshotSubject(newest?.sequence ?? 0), new Uint8Array([1, 2, 3]));
  const second = await reign(1_000_000);
  expect(second.snapshotSequence).toBe(previous?.sequence);
  expect(jobsOf(await end(second))).toEqual(jobsOf(image));
});

test('a snapshot that NATS does not deliver at once is asked for again, not passed over', async () => {
  const first = await reignWithTwoSnapshots();
  await end(first);
  const timeout = new NatsError(ErrorCode.Timeout, ErrorCode.Timeout);
  const load = vi.spyOn(ChunkedObjects.prototype, 'load').mockRejectedValueOnce(timeout);
  const second = await reign(1_000_000);
  load.mockRestore();
  expect(second.snapshotSequence).toBe(first.farm.snapshots.at(-1)?.sequence);
  await end(second);
});

test('a store out of reach is unavailable, not damaged', async () => {
  const own = await connect({ servers: server.url, token: server.token });
  const store = await SnapshotStore.open(own, 1);
  await store.save(10, new Uint8Array([10]));
  await own.close();
  await expect(store.load(10)).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'JOURNAL_UNREACHABLE',
  });
});

test('a snapshot that the journal does not vouch for is not started from', async () => {
  const first = await reignWithTwoSnapshots();
  const [, newest] = first.farm.snapshots;
  await end(first);
  // Whole and readable, but of a sequence that no fact names.
  const store = await SnapshotStore.open(nats, 1);
  const { bytes } = await store.load(newest?.sequence ?? 0);
  await store.save((newest?.sequence ?? 0) + 1, bytes);
  const second = await reign(1_000_000);
  expect(second.snapshotSequence).toBe(newest?.sequence);
  await end(second);
});

test('without any snapshot and with a cut journal, the start is refused', async () => {
  await end(await reignWithTwoSnapshots());
  const manager = await nats.jetstreamManager();
  await manager.streams.purge(SNAPSHOT_STREAM);
  await expect(reign(1_000_000)).rejects.toMatchObject({ reason: 'SNAPSHOT_DAMAGED' });
});

test('a deposed leader that tidies up leaves alone what its successor has stored', async () => {
  const store = await SnapshotStore.open(nats, 1);
  for (const sequence of [10, 20, 30, 40]) await store.save(sequence, new Uint8Array([sequence]));
  await store.dropBelow(20);
  expect(await store.sequences()).toEqual([40, 30, 20]);
});
