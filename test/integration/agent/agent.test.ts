/** The real agent, a real nats-server, and a coordinator that does what the test says. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  expect,
  onTestFinished,
  test,
  vi,
} from 'vitest';
import { Agent } from '../../../agent/agent.ts';
import { readAgentConfig, type AgentConfig } from '../../../agent/config.ts';
import { readJoined } from '../../../agent/joined.ts';
import { OutboxLog } from '../../../agent/outbox-log.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';
import { createLog } from '../../../kit/log.ts';
import type { NatsConnection } from '../../../kit/nats-connection.ts';
import { LeaseState, type Token } from '../../../proto/gen/furrow/v1/agent_service.ts';
import { Reign, Verdict, type Result } from '../../../proto/gen/furrow/work/v1/work.ts';
import { REIGN_SUBJECT } from '../../../proto/subjects.ts';
import { FakeCoordinator } from '../../support/fake-coordinator.ts';
import { startTestNats, type TestNats } from '../../support/nats-server.ts';
import { commandShare, stepShare } from '../../support/work.ts';

let server: TestNats;
let nats: NatsConnection;
let folder: string;
let coordinator: FakeCoordinator;
const running: { agent: Agent; done: Promise<void> }[] = [];

beforeAll(async () => {
  server = await startTestNats();
});

afterAll(() => server.close());

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-agent-'));
  nats = await server.connect('coordinator');
  coordinator = await FakeCoordinator.start({ nats, natsUrl: server.url, token: server.token });
});

afterEach(async () => {
  for (const { agent, done } of running.splice(0)) {
    agent.leave();
    agent.leave();
    await done.catch(() => undefined);
  }
  coordinator.close();
  await nats.close();
  rmSync(folder, { recursive: true, force: true });
});

async function configure(...flags: string[]): Promise<AgentConfig> {
  const { address } = coordinator;
  const at = ['--farm', address, '--plaintext'];
  const fixed = [...at, '--name', 'test', '--state', join(folder, 'state')];
  return readAgentConfig([...fixed, '--log-level', 'error', ...flags], {
    FURROW_TOKEN: server.token,
    FURROW_AGENT_ALLOW_COMMANDS: 'all',
    FURROW_AGENT_SANDBOX: 'off',
  });
}

async function startAgent(...flags: string[]): Promise<{ agent: Agent; done: Promise<void> }> {
  const config = await configure(...flags);
  const before = coordinator.beats.length;
  const agent = new Agent(config, createLog({ role: 'agent', level: config.logLevel }));
  const started = { agent, done: agent.run() };
  started.done.catch(() => undefined);
  running.push(started);
  await soon(() => {
    expect(coordinator.beats.slice(before).some(({ workPlaneUp }) => workPlaneUp)).toBe(true);
  });
  return started;
}

const soon = (check: () => void | Promise<void>): Promise<void> =>
  vi.waitFor(check, { timeout: 15_000, interval: 20 });

/** Tokens of the results on the agent's disk. */
async function unreported(): Promise<readonly (Token | undefined)[]> {
  const path = join(folder, 'state', 'farms', 'farm-1', 'outbox');
  const results = await new OutboxLog(path, createLog({ role: 'test', level: 'silent' })).load();
  return results.map(({ token }) => token);
}

const accept = () => ({ verdict: Verdict.VERDICT_ACCEPTED, missing: [] });

/** Counters of their tokens, each once, in order. */
const tokensOf = (results: readonly Result[]): readonly string[] =>
  [...new Set(results.map(({ token }) => String(token?.counter)))].toSorted();

function attemptFolders(): readonly string[] {
  return readdirSync(join(folder, 'state', 'farms', 'farm-1', 'attempts'));
}

test('runs what it is granted and tells it until it is accepted', async () => {
  coordinator.judge = () => null;
  await startAgent();
  const reply = await coordinator.grant([
    commandShare(['sh', '-c', 'echo hello'], { counters: [1] }),
    stepShare({ counters: [2, 3] }),
  ]);
  expect(reply).toEqual({ refused: [], refusedAll: '' });
  const finished = { state: LeaseState.LEASE_STATE_FINISHED };
  await soon(() => expect(coordinator.inventory()).toMatchObject([finished, finished, finished]));
  await soon(() => expect(tokensOf(coordinator.results)).toEqual(['1', '2', '3']));
  expect(new Set(coordinator.results.map(({ outcome }) => outcome?.$case))).toEqual(
    new Set(['success']),
  );
  // Absence counts up to the grant that a beat says is handled: until the verdict each such beat lists all.
  const untold = coordinator.beats.filter(
    ({ grantsHandled, inventory }) => inventory.length !== (grantsHandled === 0 ? 0 : 3),
  );
  expect(untold).toEqual([]);
  coordinator.judge = accept;
  await soon(() => expect(coordinator.inventory()).toEqual([]));
  expect(coordinator.beats.at(-1)?.grantsHandled).toBe(1);
  await soon(() => expect(attemptFolders()).toEqual([]));
});

test('advertises what the machine has, once for each stream', async () => {
  await startAgent('--cpus', '1.5', '--ram', '1GiB', '--max-units', '3');
  const [first, ...later] = coordinator.beats;
  expect(first?.capacity).toMatchObject({
    cpuMillis: 1500,
    ramTotalBytes: 2 ** 30,
    maxUnits: 3,
  });
  expect(first?.capacity?.attributes).toContain('tool:command');
  expect(later.filter(({ capacity }) => capacity !== undefined).length).toBeLessThan(later.length);
});

test('a failing command says how it failed, and last what it said', async () => {
  await startAgent();
  await coordinator.grant([
    commandShare(['sh', '-c', 'echo no such frame >&2; exit 3'], { counters: [1] }),
  ]);
  await soon(() => expect(coordinator.results).toHaveLength(1));
  expect(coordinator.results[0]?.outcome).toEqual({
    $case: 'failure',
    value: { kind: 'failed', message: 'sh exited with 3: no such frame' },
  });
});

test('what is too large for the machine is refused with the figures', async () => {
  await startAgent('--ram', '1GiB');
  const share = stepShare({ counters: [1] });
  const demand = { ...share.demand!, ramBytes: 2 ** 31 };
  const reply = await coordinator.grant([{ ...share, demand }]);
  expect(reply.refused).toMatchObject([
    {
      token: { counter: 1 },
      reason: expect.stringMatching(/^RAM: 2048 MiB needed, \d+ MiB there/),
    },
  ]);
});

test('ends a unit that the coordinator stops, and forgets it', async () => {
  await startAgent();
  await coordinator.grant([commandShare(['sleep', '60'], { counters: [1] })]);
  await soon(() =>
    expect(coordinator.inventory()).toMatchObject([{ state: LeaseState.LEASE_STATE_RUNNING }]),
  );
  coordinator.answer = { stop: [{ epoch: 1, counter: 1 }] };
  await soon(() => expect(coordinator.inventory()).toEqual([]));
  expect(coordinator.results).toEqual([]);
  await soon(() => expect(attemptFolders()).toEqual([]));
});

test('goes on without the coordinator, and reports when it is back, in the same session', async () => {
  const gate = join(folder, 'gate');
  await startAgent();
  await coordinator.grant([
    commandShare(['sh', '-c', `until [ -e ${gate} ]; do sleep 0.05; done`], { counters: [1] }),
  ]);
  await soon(() => expect(coordinator.inventory()).toHaveLength(1));
  const { session } = coordinator.beats.at(-1)!;
  coordinator.stopListening();
  await server.kill();
  writeFileSync(gate, '');
  await soon(async () => expect(await unreported()).toEqual([{ epoch: 1, counter: 1 }]));
  await server.start();
  const beats = coordinator.beats.length;
  await coordinator.listen();
  await soon(() => expect(coordinator.results).toHaveLength(1));
  // The result may be here before the first beat of the new stream is.
  await soon(() =>
    expect(coordinator.beats[beats]).toMatchObject({ session, capacity: expect.anything() }),
  );
  await soon(() => expect(coordinator.inventory()).toEqual([]));
});

test('a new session tells from its first beat what the old one could not report', async () => {
  coordinator.judge = () => null;
  const first = await startAgent();
  await coordinator.grant([stepShare({ counters: [7] })]);
  await soon(() => expect(coordinator.results.length).toBeGreaterThan(0));
  first.agent.leave();
  await first.done;
  const beats = coordinator.beats.length;
  coordinator.judge = () => ({ verdict: Verdict.VERDICT_STALE, missing: [] });
  await startAgent();
  expect(coordinator.beats[beats]?.inventory).toEqual([
    { token: { epoch: 1, counter: 7 }, state: LeaseState.LEASE_STATE_FINISHED, progress: 0 },
  ]);
  await soon(() => expect(coordinator.inventory()).toEqual([]));
  await soon(async () => expect(await unreported()).toEqual([]));
});

test('leaves when what runs is done, and hands it back when it takes too long', async () => {
  const { agent, done } = await startAgent('--drain-grace-ms', '100');
  await coordinator.grant([commandShare(['sleep', '60'], { counters: [1] })]);
  await soon(() => expect(coordinator.inventory()).toHaveLength(1));
  agent.leave();
  await done;
  expect(coordinator.results).toMatchObject([
    { outcome: { $case: 'failure', value: { kind: 'evicted' } } },
  ]);
  expect(coordinator.beats.at(-1)).toMatchObject({ leaving: true, inventory: [] });
});

test.each([
  new FurrowError(
    'conflict',
    'AGENT_ID_IN_USE',
    'agent test runs on another machine: delete agent-id in this state folder',
  ),
  new FurrowError(
    'failed-precondition',
    'AGENT_VERSION',
    'agent test runs furrow 0.1.0, the coordinator 0.3.0: upgrade the agent to 0.3.0',
  ),
])('one that starts and is refused ends, and says why: $reason', async (refusal) => {
  coordinator.enrolRefusal = refusal;
  const config = await configure();
  const agent = new Agent(config, createLog({ role: 'agent', level: 'silent' }));
  const { code, reason, message } = refusal;
  await expect(agent.run()).rejects.toMatchObject({ code, reason, message });
});

test('one that was revoked forgets what it joined with: furrow join may begin anew', async () => {
  const { done } = await startAgent();
  const state = join(folder, 'state');
  expect(await readJoined(state)).toMatchObject({ farmId: 'farm-1' });
  const revoked = new FurrowError('unauthenticated', 'AGENT_REVOKED', 'agent test was revoked');
  coordinator.beatRefusal = revoked;
  coordinator.enrolRefusal = revoked;
  await expect(done).rejects.toMatchObject({ reason: 'AGENT_REVOKED' });
  expect(await readJoined(state)).toBeUndefined();
});

test('goes to the leader that announces itself, though the one at hand goes on answering', async () => {
  const share = commandShare(['sleep', '300'], { counters: [1] });
  await startAgent();
  await coordinator.grant([share]);
  const options = { nats, natsUrl: server.url, token: server.token };
  const next = await FakeCoordinator.start(options);
  onTestFinished(() => next.close());
  next.answer = { epoch: 2 };
  const announce = (epoch: number, grpcAddress: string): void =>
    nats.publish(REIGN_SUBJECT, Reign.encode({ farmId: 'farm-1', epoch, grpcAddress }).finish());
  announce(1, '127.0.0.1:1');
  announce(2, next.address);
  await soon(() => expect(next.inventory()).toHaveLength(1));
  const before = coordinator.beats.length;
  announce(1, coordinator.address);
  const beats = next.beats.length;
  await soon(() => expect(next.beats.length).toBeGreaterThan(beats + 3));
  expect(coordinator.beats.length).toBe(before);
});

test('does not obey an epoch that was over before its restart', async () => {
  coordinator.answer = { epoch: 7 };
  const { agent, done } = await startAgent();
  await soon(() => expect(existsSync(join(folder, 'state', 'farm-seen.json'))).toBe(true));
  agent.leave();
  await done;
  coordinator.answer = { epoch: 6, drain: true };
  const before = coordinator.beats.length;
  await startAgent();
  await soon(() => expect(coordinator.beats.length).toBeGreaterThan(before + 3));
  coordinator.answer = { epoch: 7 };
  await soon(async () => {
    const share = commandShare(['true'], { counters: [1] });
    expect(await coordinator.grant([share], 7)).toEqual({ refused: [], refusedAll: '' });
  });
});

test('a thousand units of nothing are each told once', async () => {
  await startAgent();
  const counters = Array.from({ length: 1_000 }, (_unused, index) => index + 1);
  await coordinator.grant([stepShare({ counters })]);
  await soon(() => expect(coordinator.results.length).toBeGreaterThanOrEqual(1_000));
  await soon(() => expect(coordinator.inventory()).toEqual([]));
  expect(
    coordinator.results.map(({ token }) => token?.counter).toSorted((a, b) => a! - b!),
  ).toEqual(counters);
  expect(existsSync(join(folder, 'state', 'processes'))).toBe(true);
});
