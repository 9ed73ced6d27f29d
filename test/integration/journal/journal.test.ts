import assert from 'node:assert';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { apply } from '../../../coordinator/domain/apply.ts';
import type { Fact } from '../../../coordinator/domain/facts.ts';
import { emptyFarm } from '../../../coordinator/domain/farm.ts';
import type { Tail } from '../../../coordinator/journal/chain.ts';
import { sealCommit } from '../../../coordinator/journal/commit-codec.ts';
import { readDurability } from '../../../coordinator/journal/durability.ts';
import {
  openJournal,
  type JetStreamJournal,
} from '../../../coordinator/journal/jetstream-journal.ts';
import type { CommitRecord } from '../../../coordinator/ports.ts';
import { systemClock } from '../../../kit/clock.ts';
import type { NatsConnection } from '../../../kit/nats-connection.ts';
import { JOURNAL_STREAM, JOURNAL_SUBJECT } from '../../../proto/subjects.ts';
import { startTestNats, type TestNats } from '../../support/nats-server.ts';
import { startProxy, type Proxy } from '../../support/proxy.ts';

/** What the journals logged: the only sign from outside that an append is in doubt. */
let logged: string[];
const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(line) });

let server: TestNats;
let directory: string;
let proxies: Proxy[];
let journals: JetStreamJournal[];

beforeEach(async () => {
  logged = [];
  proxies = [];
  journals = [];
  directory = await mkdtemp(join(tmpdir(), 'furrow-journal-'));
  server = await startTestNats();
});
afterEach(async () => {
  await Promise.all(journals.map((journal) => journal.close()));
  await server.close();
  await Promise.all(proxies.map((proxy) => proxy.close()));
  await rm(directory, { recursive: true, force: true });
});

interface Opening {
  readonly nats?: NatsConnection;
  readonly identity?: string;
  readonly accept?: boolean;
  readonly maxBytes?: number;
}

async function open(opening: Opening = {}): Promise<JetStreamJournal> {
  const journal = await openJournal({
    nats: opening.nats ?? (await server.connect('journal')),
    clock: systemClock,
    log,
    stream: { replicas: 1, maxBytes: opening.maxBytes ?? -1 },
    // Each its own, as coordinators on several machines have it.
    identityPath: join(directory, opening.identity ?? `identity-${journals.length}.json`),
    acceptRestoredStore: opening.accept ?? false,
  });
  journals.push(journal);
  return journal;
}

/** Opened, read to its end, and compared with what was seen of it before. */
async function read(
  opening: Opening = {},
  onCommit: (commit: CommitRecord) => void = () => {},
  from?: Tail,
): Promise<JetStreamJournal> {
  const journal = await open(opening);
  const farm = emptyFarm();
  const take = (commit: CommitRecord): void => {
    farm.farmId = commit.farmId;
    for (const fact of commit.facts) if (fact.type === 'EpochStarted') apply(farm, fact);
    onCommit(commit);
  };
  if (from === undefined) await journal.replay(take);
  else {
    farm.farmId = from.farmId ?? '';
    await journal.replay(take, from);
  }
  await journal.vouch(farm);
  return journal;
}

async function lead(opening: Opening = {}): Promise<JetStreamJournal> {
  const journal = await read(opening);
  expect(await journal.startEpoch()).toMatchObject({ state: 'leading' });
  return journal;
}

async function readAll(opening: Opening = {}): Promise<CommitRecord[]> {
  const commits: CommitRecord[] = [];
  await read(opening, (commit) => commits.push(commit));
  return commits;
}

async function connectThroughProxy(): Promise<{ nats: NatsConnection; proxy: Proxy }> {
  const proxy = await startProxy(server.port);
  proxies.push(proxy);
  return { proxy, nats: await server.connect('behind a proxy', proxy.port) };
}

const paused = (job: number): Fact => ({ type: 'JobPaused', job, atMs: 1 });
const append = (journal: JetStreamJournal, job: number): ReturnType<JetStreamJournal['append']> =>
  journal.append([paused(job)], journal.tail.epoch, 1_000 + job);
const jobsOf = (commits: readonly CommitRecord[]): number[] =>
  commits.flatMap(({ facts }) => facts.flatMap((fact) => ('job' in fact ? [fact.job] : [])));

describe('replay', () => {
  test('an empty journal begins with the farm and its first epoch', async () => {
    const journal = await read();
    expect(journal.tail).toMatchObject({ number: 0, farmId: undefined });
    const election = await journal.startEpoch();
    const [commit] = await readAll();
    expect(commit?.facts.map(({ type }) => type)).toEqual(['FarmCreated', 'EpochStarted']);
    assert(election.state === 'leading');
    expect(commit).toMatchObject(election.commit);
  });

  test('gives back what was appended, also after a restart of the server', async () => {
    const first = await lead();
    for (let job = 1; job <= 20; job++) {
      expect(await append(first, job)).toMatchObject({ state: 'committed', number: job + 1 });
    }
    await append(first, 21);
    await server.stop();
    await server.start();
    const second = await lead();
    expect(second.tail).toMatchObject({ epoch: 2, number: 23, farmId: first.tail.farmId });
    expect(jobsOf(await readAll())).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
  });

  test('an empty commit is a commit', async () => {
    const journal = await lead();
    expect(await journal.append([], 1, 1)).toMatchObject({ state: 'committed', sequence: 2 });
    expect((await readAll())[1]).toMatchObject({ facts: [], number: 2, sequence: 2 });
  });
});

describe('the fence', () => {
  test('of two candidates exactly one wins', async () => {
    const candidates = [await read(), await read()];
    const elections = await Promise.all(candidates.map((candidate) => candidate.startEpoch()));
    const states = elections.map(({ state }) => state).sort();
    expect(states).toEqual(['leading', 'superseded']);
    expect(await readAll()).toHaveLength(1);
  });

  test('an old leader that comes back is superseded and stays so', async () => {
    const old = await lead();
    await append(old, 1);
    const young = await lead();
    expect(await append(old, 2)).toMatchObject({ state: 'superseded' });
    expect(await append(old, 3)).toMatchObject({ state: 'superseded' });
    expect(await append(young, 4)).toMatchObject({ state: 'committed' });
    expect(jobsOf(await readAll())).toEqual([1, 4]);
  });

  test('an append of a paused leader that arrives late is not stored', async () => {
    const { nats, proxy } = await connectThroughProxy();
    const old = await lead({ nats });
    proxy.delay(300);
    const late = append(old, 1);
    const young = await lead();
    expect(await late).toMatchObject({ state: 'superseded' });
    expect(young.tail.epoch).toBe(2);
    expect(jobsOf(await readAll())).toEqual([]);
  });

  test('one append is in flight at a time', async () => {
    const journal = await lead();
    const first = append(journal, 1);
    await expect(append(journal, 2)).rejects.toThrow('one append is in flight');
    expect(await first).toMatchObject({ state: 'committed' });
  });
});

describe('a doubtful append', () => {
  test('that was stored is found, and not stored again', async () => {
    const { nats, proxy } = await connectThroughProxy();
    const journal = await lead({ nats });
    proxy.dropReplies();
    const doubtful = append(journal, 1);
    await storedMessages(2);
    proxy.heal();
    expect(await doubtful).toMatchObject({ state: 'committed', number: 2, sequence: 2 });
    expect(await append(journal, 2)).toMatchObject({ state: 'committed', sequence: 3 });
    expect(jobsOf(await readAll())).toEqual([1, 2]);
  });

  test('that was not stored is sent again', async () => {
    const { nats, proxy } = await connectThroughProxy();
    const journal = await lead({ nats });
    proxy.cut();
    const doubtful = append(journal, 1);
    await expectDoubt();
    proxy.heal();
    expect(await doubtful).toMatchObject({ state: 'committed', sequence: 2 });
    expect(jobsOf(await readAll())).toEqual([1]);
  });

  test('during which another took over is superseded', async () => {
    const { nats, proxy } = await connectThroughProxy();
    const journal = await lead({ nats });
    proxy.cut();
    const doubtful = append(journal, 1);
    await lead();
    proxy.heal();
    expect(await doubtful).toMatchObject({ state: 'superseded' });
  });

  test('rejects when the journal is closed', async () => {
    const { nats, proxy } = await connectThroughProxy();
    const journal = await lead({ nats });
    proxy.cut();
    const doubtful = append(journal, 1);
    void journal.close();
    await expect(doubtful).rejects.toMatchObject({ reason: 'JOURNAL_CLOSED' });
  });

  test('waits for a server that stands still', async () => {
    const journal = await lead();
    await server.pause();
    const doubtful = append(journal, 1);
    await expectDoubt();
    server.resume();
    expect(await doubtful).toMatchObject({ state: 'committed', sequence: 2 });
    expect(jobsOf(await readAll())).toEqual([1]);
  });
});

describe('kill -9 of nats-server under load', () => {
  test('every acknowledged commit is there, in order, and none twice', async () => {
    const journal = await lead();
    const acknowledged: number[] = [];
    const load = { isOn: true };
    const appends = (async () => {
      for (let job = 1; load.isOn; job++) {
        const outcome = await append(journal, job);
        expect(outcome.state).toBe('committed');
        acknowledged.push(job);
      }
    })();
    for (let kills = 0; kills < 3; kills++) {
      const before = acknowledged.length;
      await expect
        .poll(() => acknowledged.length, { timeout: 20_000 })
        .toBeGreaterThan(before + 20);
      await server.kill();
      await server.start();
    }
    load.isOn = false;
    await appends;
    expect(jobsOf(await readAll())).toEqual(acknowledged);
  });
});

describe('a full store', () => {
  test('refuses, keeps nothing, and goes on when there is room', async () => {
    const journal = await lead({ maxBytes: 2_000 });
    const large: Fact = { type: 'JobCancelled', job: 1, reason: 'x'.repeat(4_000), atMs: 1 };
    const refused = await journal.append([large], 1, 1);
    expect(refused).toMatchObject({ state: 'refused' });
    expect(await append(journal, 2)).toMatchObject({ state: 'committed', sequence: 2 });
    const manager = await (await server.connect('operator')).jetstreamManager();
    const { config } = await manager.streams.info(JOURNAL_STREAM);
    await manager.streams.update(JOURNAL_STREAM, { ...config, max_bytes: 1_000_000 });
    expect(await journal.append([large], 1, 1)).toMatchObject({ state: 'committed', sequence: 3 });
    expect(jobsOf(await readAll())).toEqual([2, 1]);
  });
});

describe('a store that is not the one we know', () => {
  test('an older copy is refused, and goes on when that is accepted', async () => {
    const identity = 'identity.json';
    const journal = await lead({ identity });
    await append(journal, 1);
    await journal.close();
    const { epoch } = journal.tail;
    await server.close();
    server = await startTestNats();
    await expect(open({ identity })).rejects.toMatchObject({ reason: 'STORE_RESTORED' });
    // Another history of the same length is no better.
    const other = await lead();
    await append(other, 7);
    await expect(read({ identity })).rejects.toMatchObject({ reason: 'STORE_RESTORED' });
    // Nor when the replay begins, at a snapshot, behind what was seen.
    const from = read({ identity }, undefined, other.tail);
    await expect(from).rejects.toMatchObject({ reason: 'STORE_RESTORED' });
    const accepting = await lead({ identity, accept: true });
    expect(accepting.tail.epoch).toBeGreaterThan(epoch);
  });

  test('a store emptied under a running leader stops it', async () => {
    const journal = await lead();
    await append(journal, 1);
    const manager = await (await server.connect('operator')).jetstreamManager();
    await manager.streams.delete(JOURNAL_STREAM);
    await lead();
    await expect(append(journal, 2)).rejects.toMatchObject({ reason: 'STORE_REPLACED' });
  });
});

describe('damage', () => {
  const header = { epoch: 1, writerId: Uint8Array.of(1), atMs: 1 };

  test.each([
    ['bytes that are no commit', () => Buffer.from('not a commit')],
    [
      'a commit that does not follow',
      (journal: JetStreamJournal) =>
        sealCommit(
          {
            ...header,
            farmId: journal.tail.farmId ?? '',
            number: 3,
            previousHash: 'ab'.repeat(32),
          },
          [],
        ).bytes,
    ],
  ])('%s: named with its sequence, and the farm does not start', async (_, bytes) => {
    const journal = await lead();
    await append(journal, 1);
    const nats = await server.connect('vandal');
    await nats.jetstream().publish(JOURNAL_SUBJECT, bytes(journal));
    await expect(readAll()).rejects.toMatchObject({
      reason: 'JOURNAL_DAMAGED',
      message: expect.stringContaining('at sequence 3'),
    });
    expect(await append(journal, 2)).toMatchObject({ state: 'superseded' });
  });

  test.each([0.3, 0.7, 0.99])('a byte altered on disk, at %d of the store', async (where) => {
    const identity = 'identity.json';
    const journal = await lead({ identity });
    for (let job = 1; job <= 20; job++) await append(journal, job);
    await journal.close();
    await server.stop();
    await alterByte(where);
    await server.start();
    const start = readAll({ identity });
    await expect(start).rejects.toMatchObject({ code: 'data-loss' });
  });

  test('a stream that Furrow did not make is not taken', async () => {
    const manager = await (await server.connect('operator')).jetstreamManager();
    await manager.streams.add({ name: JOURNAL_STREAM, subjects: ['other'], max_age: 1e9 });
    await expect(open()).rejects.toMatchObject({
      reason: 'JOURNAL_STREAM_UNFIT',
      message: expect.stringMatching(/subjects.*max_age/),
    });
  });
});

describe('durability', () => {
  test('is read from the server, and never assumed', async () => {
    const nats = await server.connect('coordinator');
    await lead({ nats });
    expect(await readDurability(nats, [server.monitorUrl])).toMatchObject({ durable: true });
    expect(await readDurability(nats, [])).toMatchObject({ durable: false });
    const outside = new URL(server.monitorUrl).origin;
    expect(await readDurability(nats, [outside])).toMatchObject({ durable: false });
    const other = await startTestNats();
    try {
      const answer = await readDurability(nats, [other.monitorUrl]);
      expect(answer).toEqual({ durable: false, how: expect.stringContaining('not proven') });
    } finally {
      await other.close();
    }
  });
});

async function storedMessages(count: number): Promise<void> {
  const manager = await (await server.connect('observer')).jetstreamManager();
  const lastSequence = async (): Promise<number> =>
    (await manager.streams.info(JOURNAL_STREAM)).state.last_seq;
  await expect.poll(lastSequence, { timeout: 10_000 }).toBe(count);
}

async function expectDoubt(): Promise<void> {
  const isInDoubt = (): boolean => logged.some((line) => line.includes('without a clear answer'));
  await expect.poll(isInDoubt, { timeout: 10_000 }).toBe(true);
}

/** Alters one byte in the file that holds the journal's messages. */
async function alterByte(where: number): Promise<void> {
  const store = join(server.directory, 'store');
  const files = await readdir(store, { recursive: true });
  const block = files.find((name) => name.includes(JOURNAL_STREAM) && name.endsWith('1.blk'));
  assert(block !== undefined);
  const bytes = await readFile(join(store, block));
  const at = Math.floor(bytes.length * where);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0xff, at);
  await writeFile(join(store, block), bytes);
}
