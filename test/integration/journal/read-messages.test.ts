/** The journal is read also where NATS accepts a consumer and never serves it. */
import { connect, type NatsConnection } from 'nats';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ensureJournalStream } from '../../../coordinator/journal/journal-stream.ts';
import { readMessages } from '../../../coordinator/journal/read-messages.ts';
import { JOURNAL_SUBJECT } from '../../../proto/subjects.ts';
import { startTestNats, type TestNats } from '../../support/nats-server.ts';

let server: TestNats;
let nats: NatsConnection;

beforeEach(async () => {
  server = await startTestNats();
  nats = await connect({ servers: server.url, token: server.token });
  await ensureJournalStream(await nats.jetstreamManager(), { replicas: 1, maxBytes: -1 });
  for (let count = 0; count < 120; count += 1) {
    await nats.jetstream().publish(JOURNAL_SUBJECT, `commit ${count + 1}`);
  }
});
afterEach(async () => {
  await nats.close();
  await server.close();
});

async function sequencesRead(first: number, last: number): Promise<number[]> {
  const sequences: number[] = [];
  for await (const { sequence, bytes } of readMessages(nats, first, last)) {
    expect(Buffer.from(bytes).toString()).toBe(`commit ${sequence}`);
    sequences.push(sequence);
  }
  return sequences;
}

const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

test('what a consumer delivers', async () => {
  expect(await sequencesRead(3, 120)).toEqual(range(3, 120));
  expect(await sequencesRead(7, 6)).toEqual([]);
});

test('what no consumer delivers is asked for; what nobody has is said', async () => {
  leaveConsumersAlone();
  const [sequences] = await Promise.all([
    sequencesRead(3, 120),
    expect(sequencesRead(100, 121)).rejects.toMatchObject({ reason: 'REPLAY_STALLED' }),
  ]);
  expect(sequences).toEqual(range(3, 120));
});

/** The server takes consumers and hears of no pull: as one does whose consumer's leader is gone. */
function leaveConsumersAlone(): void {
  const publish = nats.publish.bind(nats);
  vi.spyOn(nats, 'publish').mockImplementation((subject, ...rest) => {
    if (!subject.startsWith('$JS.API.CONSUMER.MSG.NEXT')) publish(subject, ...rest);
  });
}
