/** A standby's side of the journal on a real nats-server. */
import { apply } from '../../../coordinator/domain/apply.ts';
import { emptyFarm } from '../../../coordinator/domain/farm.ts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Follower } from '../../../coordinator/journal/follower.ts';
import {
  type JetStreamJournal,
  openJournal,
} from '../../../coordinator/journal/jetstream-journal.ts';
import { hearAppends } from '../../../coordinator/journal/journal-stream.ts';
import type { CommitRecord } from '../../../coordinator/ports.ts';
import { systemClock } from '../../../kit/clock.ts';
import { createLog } from '../../../kit/log.ts';
import { JOURNAL_STREAM } from '../../../proto/subjects.ts';
import { startTestNats, type TestNats } from '../../support/nats-server.ts';

const log = createLog({ role: 'test', level: 'silent' });
let server: TestNats;
let nats: NatsConnection;
let folder: string;
const followers: Follower[] = [];

beforeEach(async () => {
  server = await startTestNats();
  nats = await server.connect('test');
  folder = await mkdtemp(join(tmpdir(), 'furrow-follower-'));
});
afterEach(async () => {
  await Promise.all(followers.splice(0).map((follower) => follower.stop()));
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(name: string): Promise<JetStreamJournal> {
  const journal = await openJournal({
    nats,
    clock: systemClock,
    log,
    stream: { replicas: 1, maxBytes: -1 },
    identityPath: join(folder, name, 'identity.json'),
    acceptRestoredStore: false,
  });
  const farm = emptyFarm();
  await journal.replay((commit) => {
    for (const fact of commit.facts) apply(farm, fact);
  });
  await journal.vouch(farm);
  return journal;
}

async function lead(name: string): Promise<JetStreamJournal> {
  const journal = await open(name);
  expect(await journal.startEpoch()).toMatchObject({ state: 'leading' });
  return journal;
}

async function follow(
  name: string,
): Promise<{ journal: JetStreamJournal; follower: Follower; read: CommitRecord[] }> {
  const journal = await open(name);
  const read: CommitRecord[] = [];
  const onCommit = (commit: CommitRecord): void => void read.push(commit);
  const follower = new Follower({
    journal,
    hearAppends: (wake) => hearAppends(nats, wake),
    clock: systemClock,
    log,
    onCommit,
  });
  followers.push(follower);
  return { journal, follower, read };
}

async function append(journal: JetStreamJournal, commits: number): Promise<void> {
  for (let index = 0; index < commits; index += 1) {
    const outcome = await journal.append([], journal.tail.epoch, 1);
    expect(outcome.state).toBe('committed');
  }
}

test('reads each commit once and in order, also after nats-server was away', async () => {
  const leader = await lead('a');
  const { journal, follower, read } = await follow('b');
  void follower.start();
  await append(leader, 20);
  await server.kill();
  await server.start();
  await append(leader, 20);
  await vi.waitFor(() => expect(journal.tail).toEqual(leader.tail), 20_000);
  expect(read.map(({ number }) => number)).toEqual(Array.from({ length: 40 }, (_, i) => i + 2));
  await follower.reachEnd(5_000);
  expect(follower.lagCommits).toBe(0);
});

test('knows how far behind it is, and waits for what is there already', async () => {
  const leader = await lead('a');
  const { journal, follower } = await follow('b');
  await append(leader, 5);
  await expect(follower.reachEnd(100)).rejects.toMatchObject({ reason: 'BEHIND' });
  void follower.start();
  await follower.reachEnd(5_000);
  expect(journal.tail).toEqual(leader.tail);
});

test('says that the journal was cut above what it has read', async () => {
  const leader = await lead('a');
  const { journal, follower, read } = await follow('b');
  await append(leader, 10);
  await leader.purgeUpTo(leader.tail.sequence - 1);
  expect(await follower.start()).toBe('cut');
  expect(read).toEqual([]);
  expect(journal.tail.sequence).toBeLessThan(leader.tail.sequence - 1);
});

test('ends when the store is another one that has gone on', async () => {
  const leader = await lead('a');
  const { follower, journal } = await follow('b');
  void follower.start();
  await append(leader, 5);
  await follower.reachEnd(5_000);
  await follower.stop();
  expect(journal.tail).toEqual(leader.tail);

  // The same sequences, written by another's hand.
  const manager = await nats.jetstreamManager();
  await manager.streams.delete(JOURNAL_STREAM);
  const other = await lead('c');
  await append(other, 20);
  await expect(follower.start()).rejects.toMatchObject({ reason: 'JOURNAL_DAMAGED' });
});

test('a standby that took its turn leads right behind what it has read, and the leader is out', async () => {
  const leader = await lead('a');
  const { journal, follower, read } = await follow('b');
  void follower.start();
  await append(leader, 5);
  await follower.reachEnd(5_000);
  await follower.stop();
  // One more that the standby has not read: it is not elected, and goes on reading.
  await append(leader, 1);
  expect(await journal.startEpoch()).toMatchObject({ state: 'superseded' });
  await journal.replay((commit) => read.push(commit), journal.tail);
  expect(await journal.startEpoch()).toMatchObject({ state: 'leading', commit: { epoch: 2 } });
  expect(await leader.append([], 1, 1)).toMatchObject({ state: 'superseded' });
  expect(read.map(({ number }) => number)).toEqual([2, 3, 4, 5, 6, 7]);
});
