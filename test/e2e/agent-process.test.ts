/** The agent as a process of its own: signals, death, and what is left behind. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { NO_DEMAND } from '../../agent/assignment.ts';
import { readCgroupMount } from '../../agent/process/cgroup-mount.ts';
import { readProcess } from '../../agent/process/process-table.ts';
import { UnitCgroups } from '../../agent/process/unit-cgroups.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { NatsConnection } from '../../kit/nats-connection.ts';
import type { Result } from '../../proto/gen/furrow/work/v1/work.ts';
import { FakeCoordinator } from '../support/fake-coordinator.ts';
import { startTestNats, type TestNats } from '../support/nats-server.ts';
import { commandShare } from '../support/work.ts';

const MAIN = new URL('../../dist/agent/main.js', import.meta.url).href;

let server: TestNats;
let nats: NatsConnection;
let folder: string;
let coordinator: FakeCoordinator;
const children: ChildProcess[] = [];

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
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  coordinator.close();
  await nats.close();
  rmSync(folder, { recursive: true, force: true });
});

const soon = (check: () => void): Promise<void> =>
  vi.waitFor(check, { timeout: 20_000, interval: 20 });

async function startAgent(...flags: string[]): Promise<ChildProcess> {
  const before = coordinator.beats.length;
  const script = `process.exitCode = await (await import(${JSON.stringify(MAIN)})).main(process.argv.slice(1))`;
  const fixed = [
    '--farm',
    coordinator.address,
    '--plaintext',
    '--name',
    'test',
    '--log-level',
    'error',
  ];
  // Its units leave their pids outside of their folders.
  fixed.push('--allow-commands', 'all', '--sandbox', 'off');
  const args = [...fixed, '--state', join(folder, 'state'), ...flags];
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', ...args], {
    env: { ...process.env, FURROW_TOKEN: server.token },
    stdio: ['pipe', 'inherit', 'pipe'],
  });
  children.push(child);
  await soon(() => {
    expect(coordinator.beats.slice(before).some(({ workPlaneUp }) => workPlaneUp)).toBe(true);
  });
  return child;
}

/** Starts a unit that only a signal ends; answers its pid. */
async function startUnit(): Promise<number> {
  const pidFile = join(folder, 'unit-pid');
  await coordinator.grant([
    commandShare(['sh', '-c', `echo $$ > ${pidFile}; sleep 300`], { counters: [1] }),
  ]);
  await soon(() => expect(existsSync(pidFile) && readFileSync(pidFile, 'utf8')).toMatch(/\d+\n/));
  return Number(readFileSync(pidFile, 'utf8'));
}

test('SIGTERM: hands back after the grace what runs, and exits with 0', async () => {
  const agent = await startAgent('--drain-grace-ms', '100');
  const unit = await startUnit();
  const exited = once(agent, 'exit');
  agent.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  expect(readProcess(unit)).toBeNull();
  expect(coordinator.results).toMatchObject([{ outcome: { value: { kind: 'evicted' } } }]);
});

test.each(['SIGINT', 'SIGTERM'] as const)('a second %s cuts the grace short', async (signal) => {
  const agent = await startAgent('--drain-grace-ms', '600000');
  const unit = await startUnit();
  const exited = once(agent, 'exit');
  agent.kill(signal);
  await soon(() => expect(coordinator.beats.at(-1)?.leaving).toBe(true));
  expect(readProcess(unit)).not.toBeNull();
  agent.kill(signal);
  expect(await exited).toEqual([0, null]);
  expect(readProcess(unit)).toBeNull();
});

test('a unit that allocates without end is ended; the agent goes on, no larger than before', async () => {
  const agent = await startAgent();
  const run = async (counter: number, script: string, ramBytes: number): Promise<Result> => {
    const demand = { ...NO_DEMAND, ramBytes };
    await coordinator.grant([commandShare(['sh', '-c', script], { counters: [counter], demand })]);
    await soon(() => expect(coordinator.results).toHaveLength(counter));
    return coordinator.results[counter - 1]!;
  };
  const rss = (): number => readProcess(agent.pid!)!.residentBytes;
  await run(1, 'true', 0);
  const before = rss();
  const demandBytes = 128 * 2 ** 20;
  for (const counter of [2, 3, 4]) {
    const result = await run(counter, 'tail /dev/zero', demandBytes);
    expect(result.outcome).toMatchObject({ value: { kind: 'out-of-memory' } });
    expect(result.peakRamBytes).toBeGreaterThan(demandBytes);
  }
  expect((await run(5, 'true', demandBytes)).outcome?.$case).toBe('success');
  expect(rss() - before).toBeLessThan(32 * 2 ** 20);
});

test('units that must have control groups, where there can be none: it says so and ends', async (context) => {
  const opened = UnitCgroups.open(readCgroupMount('v2'), 'test');
  if (opened.state === 'open') return context.skip();
  const argv = [
    '--farm',
    coordinator.address,
    '--plaintext',
    '--name',
    'test',
    '--memory-enforcement',
    'cgroup',
  ];
  const script = `process.exitCode = await (await import(${JSON.stringify(MAIN)})).main(process.argv.slice(1))`;
  const args = [
    '--input-type=module',
    '-e',
    script,
    '--',
    ...argv,
    '--state',
    join(folder, 'state'),
  ];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, FURROW_TOKEN: server.token },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  children.push(child);
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  expect(await once(child, 'close')).toEqual([7, null]);
  expect(said).toMatch(
    /^furrow agent: units cannot have control groups: .+; run the agent as .+\n$/,
  );
});

test('kill -9: no unit goes on behind the back of the next session', async () => {
  const agent = await startAgent();
  const unit = await startUnit();
  // A last beat of the killed one may still arrive.
  const killed = coordinator.beats.at(-1)?.session;
  agent.kill('SIGKILL');
  await once(agent, 'exit');
  await startAgent();
  expect(readProcess(unit)).toBeNull();
  const first = coordinator.beats.find(({ session }) => session !== killed);
  expect(first?.inventory).toEqual([]);
});

test('one whose place another process took ends with a line and exit code 7', async () => {
  const agent = await startAgent();
  const unit = await startUnit();
  let said = '';
  agent.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const exited = once(agent, 'exit');
  const message = 'agent box was started again since: this process must end';
  coordinator.beatRefusal = new FurrowError('conflict', 'SESSION_FENCED', message);
  expect(await exited).toEqual([7, null]);
  expect(said).toContain(`furrow agent: ${message}`);
  expect(readProcess(unit)).toBeNull();
});

test('when its parent dies it leaves', async () => {
  const agent = await startAgent('--exit-with-parent', '--drain-grace-ms', '0');
  const unit = await startUnit();
  const exited = once(agent, 'exit');
  agent.stdin?.destroy();
  expect(await exited).toEqual([0, null]);
  expect(readProcess(unit)).toBeNull();
});
