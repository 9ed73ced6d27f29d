import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { waitForTurn } from '../../../coordinator/journal/election.ts';
import { systemClock } from '../../../kit/clock.ts';
import { createLog } from '../../../kit/log.ts';
import type { NatsConnection } from '../../../kit/nats-connection.ts';
import { processStart } from '../../../kit/process-identity.ts';
import { LEADER_BUCKET } from '../../../proto/subjects.ts';
import { startTestNats, type TestNats } from '../../support/nats-server.ts';

const log = createLog({ role: 'test', level: 'silent' });

let server: TestNats;
let nats: NatsConnection;
const stop = new AbortController();

beforeEach(async () => {
  server = await startTestNats();
  nats = await server.connect('candidate');
});
afterEach(() => server.close());

const waitHere = (signal = stop.signal): ReturnType<typeof waitForTurn> =>
  waitForTurn({ nats, clock: systemClock, log, signal });

async function leaderKey(): Promise<unknown> {
  const bucket = await nats.jetstream().views.kv(LEADER_BUCKET);
  const entry = await bucket.get('leader');
  return entry?.operation === 'PUT' ? entry.json() : undefined;
}

async function writeLeader(note: object): Promise<void> {
  const options = { ttl: 10_000, history: 1, storage: 'memory' as never };
  await (
    await nats.jetstream().views.kv(LEADER_BUCKET, options)
  ).put('leader', JSON.stringify(note));
}

describe('the turn to lead', () => {
  test('comes at once where nobody leads, and is seen until it is released', async () => {
    const turn = await waitHere();
    expect(await leaderKey()).toMatchObject({ host: hostname(), pid: process.pid });
    await turn?.release();
    expect(await leaderKey()).toBeUndefined();
  });

  test('does not wait for a predecessor of this machine that no longer runs', async () => {
    await writeLeader({ host: hostname(), pid: process.ppid, processStart: 'another start' });
    const turn = await waitHere();
    expect(await leaderKey()).toMatchObject({ pid: process.pid });
    await turn?.release();
  });

  test('waits for a leader that lives, until it leaves', async () => {
    const parent = { pid: process.ppid, processStart: processStart(process.ppid) };
    await writeLeader({ host: hostname(), ...parent });
    const waiting = waitHere();
    expect(await Promise.race([waiting, leaderKey()])).toMatchObject(parent);
    await (await nats.jetstream().views.kv(LEADER_BUCKET)).delete('leader');
    const turn = await waiting;
    expect(await leaderKey()).toMatchObject({ pid: process.pid });
    await turn?.release();
  });

  test('is given up when the coordinator stops', async () => {
    await writeLeader({ host: 'another-machine', pid: 1, processStart: 'x' });
    const stopping = new AbortController();
    const waiting = waitHere(stopping.signal);
    stopping.abort();
    expect(await waiting).toBeUndefined();
  });
});
