/** What a real agent tells of its machine, and how often: with the stand-in nvidia-smi on its PATH. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
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
import { readAgentConfig } from '../../../agent/config.ts';
import { readProcess } from '../../../agent/process/process-table.ts';
import { probeOnnx } from '../../../agent/probe/onnx-providers.ts';
import { createLog } from '../../../kit/log.ts';
import type { NatsConnection } from '../../../kit/nats-connection.ts';
import type { Capacity } from '../../../proto/gen/furrow/v1/agent_service.ts';
import { CI_MARKS } from '../../support/at-users.ts';
import { FakeCoordinator } from '../../support/fake-coordinator.ts';
import { TestGpus } from '../../support/gpus.ts';
import { startTestNats, type TestNats } from '../../support/nats-server.ts';

const MIB = 2 ** 20;
const ONNX_TRIAL = join(import.meta.dirname, '..', '..', '..', 'dist/agent/probe/onnx-trial.js');

let server: TestNats;
let nats: NatsConnection;
let folder: string;
let gpus: TestGpus;
let coordinator: FakeCoordinator;
let agent: { readonly it: Agent; readonly done: Promise<void> } | undefined;

beforeAll(async () => {
  server = await startTestNats();
});

afterAll(() => server.close());

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-capacity-'));
  gpus = new TestGpus(join(folder, 'gpus'));
  for (const [name, value] of Object.entries(gpus.environment)) vi.stubEnv(name, value);
  nats = await server.connect('coordinator');
  coordinator = await FakeCoordinator.start({ nats, natsUrl: server.url, token: server.token });
});

afterEach(async () => {
  agent?.it.leave();
  agent?.it.leave();
  await agent?.done.catch(() => undefined);
  coordinator.close();
  await nats.close();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const soon = (check: () => void): Promise<void> =>
  vi.waitFor(check, { timeout: 30_000, interval: 20 });

async function startAgent(...flags: string[]): Promise<void> {
  const at = ['--farm', coordinator.address, '--plaintext'];
  const fixed = [...at, '--name', 'test', '--state', join(folder, 'state')];
  const config = await readAgentConfig([...fixed, ...flags], { FURROW_TOKEN: server.token });
  const it = new Agent(config, createLog({ role: 'agent', level: 'silent' }));
  agent = { it, done: it.run() };
  agent.done.catch(() => undefined);
  await soon(() => expect(told()).not.toEqual([]));
}

/** Capacities told so far. */
function told(): readonly Capacity[] {
  return coordinator.beats.flatMap(({ capacity }) => capacity ?? []);
}

test('a GPU that only grows warm is not told all the time; memory in use is, at once', async () => {
  gpus.show([{}]);
  await startAgent();
  const before = told().length;
  for (let round = 0; round < 12; round += 1) {
    gpus.show([
      {
        'temperature.gpu': String(40 + round * 3),
        'utilization.gpu': String(round * 8),
        'power.draw': String(20 * round),
      },
    ]);
    await sleep(500);
  }
  // Other things of this machine may have changed meanwhile: each of those tells the temperature too.
  const urgent = told()
    .slice(before)
    .filter((capacity, index, all) => {
      const previous = all[index - 1] ?? told()[before - 1];
      return previous !== undefined && placed(capacity) === placed(previous);
    });
  expect(urgent.length).toBeLessThanOrEqual(1);
  gpus.show([{ 'memory.used': '8000', 'memory.free': '4034' }]);
  await soon(() => expect(told().at(-1)?.gpus[0]?.vramForeignBytes).toBe(8256 * MIB));
});

/** Without what only people look at. */
function placed({ gpus: all, loadMillis: _load, ...capacity }: Capacity): string {
  return JSON.stringify([capacity, all.map(({ vramForeignBytes }) => vramForeignBytes)]);
}

test('tells of tools that its owner declared, and of those that do not work', async () => {
  gpus.fail(6, 'No devices were found');
  await startAgent('--tool', 'shell=sh -c true', '--tool', 'blender=no-such-blender --version');
  const [capacity] = told();
  expect(capacity?.attributes).toEqual(
    expect.arrayContaining(['tool:shell', 'tool:ffmpeg', 'encoder:libx264']),
  );
  expect(capacity?.attributes.filter((name) => name.startsWith('ffmpeg:'))).toEqual([
    `ffmpeg:${capacity?.toolchain['ffmpeg']}`,
  ]);
  expect(capacity?.attributes).not.toContain('tool:blender');
  expect(capacity?.faults).toContainEqual({
    attribute: 'tool:blender',
    reason: 'there is no program no-such-blender',
  });
});

test('ONNX on the CPU is proven by a model that runs, in a process of its own', async () => {
  expect((await probeOnnx({}, undefined, ONNX_TRIAL)).get('cpu')).toEqual({ state: 'works' });
  const broken = await probeOnnx({}, undefined, join(folder, 'no-trial.js'));
  expect(broken.get('cpu')?.state).toBe('fails');
});

test('ONNX Runtime leaves nothing behind for its maker, and has no id of the machine', async () => {
  const home = mkdtempSync(join(folder, 'home-'));
  const places = { HOME: home, XDG_CACHE_HOME: home, XDG_CONFIG_HOME: home, TMPDIR: home };
  vi.stubEnv('ORT_DISABLE_TELEMETRY', undefined);
  // There it is off anyway.
  for (const name of CI_MARKS) vi.stubEnv(name, undefined);
  onTestFinished(() => void vi.unstubAllEnvs());
  expect((await probeOnnx(places, undefined, ONNX_TRIAL)).get('cpu')).toEqual({ state: 'works' });
  expect(readdirSync(home)).toEqual([]);
});

test('a tool that hangs is ended with an agent that is killed', async () => {
  const told = join(folder, 'pid');
  const tool = ['sh', '-c', `echo $$ >${told}; exec sleep 600`];
  const built = join(import.meta.dirname, '..', '..', '..', 'dist/agent/probe/declared-tools.js');
  const probe = `import(${JSON.stringify(built)}).then((it) => it.probeDeclaredTools(${JSON.stringify({ tool })}))`;
  const killed = spawn(process.execPath, ['-e', probe], { stdio: 'ignore' });
  const pid = (): number => Number(existsSync(told) ? readFileSync(told, 'utf8') : 0);
  await soon(() => expect(pid()).toBeGreaterThan(0));
  killed.kill('SIGKILL');
  await soon(() => expect(readProcess(pid())).toBeNull());
});

test('and with one that is asked to leave while it waits for it', async () => {
  const told = join(folder, 'pid');
  const at = ['--farm', coordinator.address, '--plaintext', '--name', 'test'];
  const config = await readAgentConfig([...at, '--state', join(folder, 'state')], {
    FURROW_TOKEN: server.token,
  });
  const tools = { hangs: ['sh', '-c', `echo $$ >${told}; sleep 600; true`] };
  const it = new Agent({ ...config, tools }, createLog({ role: 'agent', level: 'silent' }));
  agent = { it, done: it.run() };
  agent.done.catch(() => undefined);
  const pid = (): number => Number(existsSync(told) ? readFileSync(told, 'utf8') : 0);
  await soon(() => expect(pid()).toBeGreaterThan(0));
  it.leave();
  await agent.done;
  await soon(() => expect(readProcess(pid())).toBeNull());
});
