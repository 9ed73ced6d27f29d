import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  isOverHere,
  LeaderKey,
  POLL_MS,
  thisCoordinator,
} from '../../../coordinator/journal/election.ts';
import { leaderBucket } from '../../../coordinator/journal/leader-bucket.ts';
import { systemClock } from '../../../kit/clock.ts';
import { createLog } from '../../../kit/log.ts';
import type { NatsConnection } from '../../../kit/nats-connection.ts';
import { processSpace, processStart } from '../../../kit/process-identity.ts';
import { LEADER_BUCKET } from '../../../proto/subjects.ts';
import { startTestNats, type TestNats } from '../../support/nats-server.ts';

const log = createLog({ role: 'test', level: 'silent' });
/** README: the standby leads within ten seconds. Half of it is for the election and for reading on. */
const PROMISED_MS = 10_000;
const ADDRESS = { grpc: '127.0.0.1:1', http: 'http://127.0.0.1:2' };

let server: TestNats;
let nats: NatsConnection;

beforeEach(async () => {
  server = await startTestNats();
  nats = await server.connect('candidate');
});
afterEach(() => server.close());

const newKey = (): LeaderKey =>
  new LeaderKey({
    store: leaderBucket(nats, 1),
    clock: systemClock,
    log,
    own: thisCoordinator(ADDRESS),
    isOver: isOverHere,
  });

async function leaderKey(): Promise<unknown> {
  const bucket = await nats.jetstream().views.kv(LEADER_BUCKET);
  const entry = await bucket.get('leader');
  return entry?.operation === 'PUT' ? entry.json() : undefined;
}

async function writeLeader(note: object): Promise<void> {
  const options = { ttl: 10_000, history: 1, storage: 'memory' as never };
  const bucket = await nats.jetstream().views.kv(LEADER_BUCKET, options);
  await bucket.put('leader', JSON.stringify({ ...OTHER, ...note }));
}

/** A living process: whoever started this one. */
const OTHER = {
  host: 'there',
  space: processSpace(),
  pid: process.ppid,
  processStart: processStart(process.ppid),
  grpc: 'there:7400',
  http: 'http://there:7401',
};

describe('the turn to lead', () => {
  test('comes at once where nobody leads, and is seen until it is released', async () => {
    const key = newKey();
    expect(await key.tryTurn()).toEqual({ state: 'ours' });
    expect(await leaderKey()).toMatchObject({ host: hostname(), pid: process.pid, ...ADDRESS });
    await key.release();
    expect(await leaderKey()).toBeUndefined();
  });

  test('does not wait for a predecessor of this machine that no longer runs', async () => {
    await writeLeader({ processStart: 'another start' });
    expect(await newKey().tryTurn()).toEqual({ state: 'ours' });
    expect(await leaderKey()).toMatchObject({ pid: process.pid });
  });

  test('waits for a leader that lives, until it leaves', async () => {
    await writeLeader({});
    const key = newKey();
    expect(await key.tryTurn()).toMatchObject({ state: 'taken', leader: { grpc: 'there:7400' } });
    await (await nats.jetstream().views.kv(LEADER_BUCKET)).delete('leader');
    expect(await key.tryTurn()).toEqual({ state: 'ours' });
  });

  test('waits for one of another machine as long as it keeps its key fresh', async () => {
    const there = { space: 'another machine', pid: 1, processStart: 'x' };
    const key = newKey();
    for (let looks = 0; looks < 20; looks++) {
      await writeLeader(there);
      expect(await key.tryTurn()).toMatchObject({ state: 'taken' });
    }
    let looks = 0;
    while ((await key.tryTurn()).state === 'taken') looks += 1;
    expect(looks).toBeGreaterThan(5);
    expect((looks + 1) * POLL_MS).toBeLessThan(PROMISED_MS / 2);
  });

  test('is held against another who takes the key, once the journal has proven the lead', async () => {
    const key = newKey();
    await key.tryTurn();
    let prove: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => {
      key.hold(() => {
        resolve();
        return new Promise((proven) => (prove = proven));
      });
    });
    await writeLeader({});
    await asked;
    expect(await leaderKey()).toMatchObject({ pid: process.ppid });
    prove();
    await expect.poll(leaderKey, { timeout: 5_000 }).toMatchObject({ pid: process.pid });
    await key.release();
  });

  test('is not taken from whoever took it after a pause of ours', async () => {
    const key = newKey();
    await key.tryTurn();
    await writeLeader({});
    await key.release();
    expect(await leaderKey()).toMatchObject({ pid: process.ppid });
  });
});
