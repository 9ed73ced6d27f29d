/** Log lines are read back from a real stream: what is kept, then what comes. */
import { connect } from 'nats';
import { afterEach, expect, test } from 'vitest';
import { ensureLogStream, UnitLogs } from '../../coordinator/work/unit-logs.ts';
import { LogLines } from '../../proto/gen/furrow/work/v1/work.ts';
import { logSubject } from '../../proto/subjects.ts';
import { startTestNats } from '../support/nats-server.ts';

const EMPTY: LogLines = {
  agentId: 'agent-1',
  step: 'run',
  unit: 0,
  attempt: 1,
  atMs: 0,
  lines: [],
};

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function openLogs() {
  const server = await startTestNats();
  cleanups.push(() => server.close());
  const nats = await connect({ servers: server.url, token: server.token });
  cleanups.push(() => nats.close());
  await ensureLogStream(await nats.jetstreamManager(), 1);
  const say = (job: string, agentId: string, bytes: Uint8Array) =>
    nats.jetstream().publish(logSubject(job, agentId), bytes);
  const print = (job: string, text: string) =>
    say(job, 'agent-1', LogLines.encode({ ...EMPTY, lines: [text] }).finish());
  return { logs: new UnitLogs(nats), print, say };
}

test('lines of one job are read to their end, and no others', async () => {
  const { logs, print } = await openLogs();
  await print('j1', 'one');
  await print('j2', 'not this');
  await print('j1', 'two');
  const seen: string[] = [];
  for await (const entry of logs.read('j1', false, new AbortController().signal)) {
    seen.push(...entry.lines);
  }
  expect(seen).toEqual(['one', 'two']);
});

test('what another agent writes there keeps nobody from the lines: no message, and one in a false name', async () => {
  const { logs, print, say } = await openLogs();
  await say('j1', 'agent-2', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff]));
  await say('j1', 'agent-2', LogLines.encode({ ...EMPTY, lines: ['forged'] }).finish());
  await print('j1', 'one');
  const seen: string[] = [];
  for await (const entry of logs.read('j1', false, new AbortController().signal)) {
    seen.push(...entry.lines);
  }
  expect(seen).toEqual(['one']);
});

test('a job without lines has none, at once', async () => {
  const { logs } = await openLogs();
  const entries = logs.read('j9', false, new AbortController().signal);
  expect((await entries.next()).done).toBe(true);
});

test('following goes on with what comes, until it is ended', async () => {
  const { logs, print } = await openLogs();
  await print('j1', 'kept');
  const ending = new AbortController();
  const seen: string[] = [];
  for await (const entry of logs.read('j1', true, ending.signal)) {
    seen.push(...entry.lines);
    if (seen.length === 1) await print('j1', 'new');
    else ending.abort();
  }
  expect(seen).toEqual(['kept', 'new']);
});
