/** The agent as a process of its own: signals, death, and what is left behind. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { readProcess } from '../../agent/process/process-table.ts';
import type { NatsConnection } from '../../kit/nats-connection.ts';
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
  const fixed = ['--farm', coordinator.address, '--name', 'test', '--log-level', 'error'];
  const args = [...fixed, '--state', join(folder, 'state'), ...flags];
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', ...args], {
    env: { ...process.env, FURROW_TOKEN: server.token },
    stdio: ['pipe', 'inherit', 'inherit'],
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

test('a second signal cuts the grace short', async () => {
  const agent = await startAgent('--drain-grace-ms', '600000');
  const unit = await startUnit();
  const exited = once(agent, 'exit');
  agent.kill('SIGINT');
  await soon(() => expect(coordinator.beats.at(-1)?.leaving).toBe(true));
  expect(readProcess(unit)).not.toBeNull();
  agent.kill('SIGINT');
  expect(await exited).toEqual([0, null]);
  expect(readProcess(unit)).toBeNull();
});

test('kill -9: no unit goes on behind the back of the next session', async () => {
  const agent = await startAgent();
  const unit = await startUnit();
  const before = coordinator.beats.length;
  agent.kill('SIGKILL');
  await once(agent, 'exit');
  await startAgent();
  expect(readProcess(unit)).toBeNull();
  expect(coordinator.beats[before]?.inventory).toEqual([]);
});

test('when its parent dies it leaves', async () => {
  const agent = await startAgent('--exit-with-parent', '--drain-grace-ms', '0');
  const unit = await startUnit();
  const exited = once(agent, 'exit');
  agent.stdin?.destroy();
  expect(await exited).toEqual([0, null]);
  expect(readProcess(unit)).toBeNull();
});
