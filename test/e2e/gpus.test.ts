/**
 * GPUs on a real farm, with the stand-in nvidia-smi on the agent's PATH: units go where memory is free, a
 * game shrinks the box at once, and a GPU that falls off the bus costs its units and nothing else.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { AgentState, type Agent } from '../../proto/gen/furrow/v1/farm_service.ts';
import { UnitState, type Unit } from '../../proto/gen/furrow/v1/job_service.ts';
import type { Step } from '../../proto/gen/furrow/v1/step.ts';
import { found, startFarm, type TestFarm, until } from '../support/farm.ts';
import {
  commandStep,
  expectSuccess,
  Gate,
  listUnits,
  NO_DEMAND,
  submitSteps,
} from '../support/farm-jobs.ts';
import { TestGpus, uuidOf } from '../support/gpus.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const LOST = '[GPU is lost]';

async function farmWithGpus(gpus: TestGpus): Promise<TestFarm> {
  return startFarm({ agents: { den: [] }, agentEnvironment: gpus.environment });
}

async function stageGpus(): Promise<TestGpus> {
  const folder = await mkdtemp(join(tmpdir(), 'furrow-gpus-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return new TestGpus(folder);
}

const onGpu = (vramBytes: number): Pick<Step, 'demand'> => ({
  demand: { ...NO_DEMAND, cpuMillis: 250, gpus: 1, vramBytes },
});

async function den(farm: TestFarm): Promise<Agent> {
  const { client } = farm;
  const { agents } = await client.call(client.farm.listAgents.bind(client.farm), {});
  return found(agents[0], 'agent');
}

async function onlyUnit(farm: TestFarm, jobId: string): Promise<Unit> {
  const [unit] = await listUnits(farm, jobId);
  return found(unit, `unit of ${jobId}`);
}

async function warnings(farm: TestFarm): Promise<string> {
  const { client } = farm;
  const status = await client.call(client.farm.getStatus.bind(client.farm), {});
  return status.warnings.join('\n');
}

test('a game that starts shrinks the box at once, and gives it back when it ends', async () => {
  const gpus = await stageGpus();
  gpus.show([{}]);
  const farm = await farmWithGpus(gpus);
  const gate = new Gate(farm, 'gate');
  const first = await submitSteps(farm, gate.step('first', onGpu(5 * GIB)));
  await until('the first unit runs', () => gate.hasBegun(0));
  const pid = String(gate.process(0).pid);
  gpus.showApps(`${pid}, ${uuidOf(0)}, 4096`);
  gpus.show([{ 'memory.used': '4396', 'memory.free': '7638' }]);
  await until('its memory is known as ours', async () => {
    const [gpu] = (await den(farm)).capacity?.gpus ?? [];
    return gpu?.vramOursBytes === 4 * GIB && gpu.vramForeignBytes < GIB;
  });

  gpus.showApps(`${pid}, ${uuidOf(0)}, 4096`, `1, ${uuidOf(0)}, 5000`);
  gpus.show([{ 'memory.used': '9396', 'memory.free': '2638', 'utilization.gpu': '97' }]);
  await until('the game is seen', async () => {
    const [gpu] = (await den(farm)).capacity?.gpus ?? [];
    return found(gpu, 'GPU').vramForeignBytes >= 5000 * MIB;
  });
  const second = await submitSteps(farm, commandStep('second', ['true'], onGpu(5 * GIB)));
  // What needs no GPU runs there meanwhile, so there was time to place the other.
  await expectSuccess(farm, await submitSteps(farm, commandStep('beside', ['true'])));
  expect(await onlyUnit(farm, second)).toMatchObject({
    state: UnitState.UNIT_STATE_QUEUED,
    attempts: 0,
  });

  gpus.showApps(`${pid}, ${uuidOf(0)}, 4096`);
  gpus.show([{ 'memory.used': '4396', 'memory.free': '7638' }]);
  await expectSuccess(farm, second);
  gate.open(0);
  await expectSuccess(farm, first);
});

test('a GPU that is lost costs its units alone: they go on elsewhere, and the box works on', async () => {
  const gpus = await stageGpus();
  gpus.show([{}, {}]);
  const farm = await farmWithGpus(gpus);
  const gate = new Gate(farm, 'gate');
  // Larger than what is free beside a second one: each has a GPU of its own.
  const script = `echo $CUDA_VISIBLE_DEVICES >> ${farm.workDir}/gpu-{index}; ${gate.script('{index}')}`;
  const jobId = await submitSteps(
    farm,
    commandStep('work', ['sh', '-c', script], {
      ...onGpu(8 * GIB),
      parameters: { kind: { $case: 'count', value: 2 } },
    }),
  );
  const gpusOf = (index: number): readonly string[] => {
    const path = join(farm.workDir, `gpu-${index}`);
    return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : [];
  };
  await until('both run', () => gate.hasBegun(0) && gate.hasBegun(1));
  expect([...gpusOf(0), ...gpusOf(1)].toSorted()).toEqual([uuidOf(0), uuidOf(1)]);
  const victim = gpusOf(0)[0] === uuidOf(0) ? 0 : 1;
  const process = gate.process(victim);

  gpus.show([{ 'memory.total': LOST, 'memory.used': LOST, 'memory.free': LOST }, {}]);
  await until('its unit ended', () => !process.runs());
  const unit = await until('the farm knows', async () => {
    const one = (await listUnits(farm, jobId)).find(({ id }) => id.endsWith(`/${victim}`));
    return one?.failureKind === 'infrastructure' && one;
  });
  expect(unit.failureMessage).toBe('NVIDIA GeForce RTX 3060 cannot be used: GPU is lost');
  expect(await warnings(farm)).not.toContain('suspended');
  const agent = await den(farm);
  expect(agent.state).toBe(AgentState.AGENT_STATE_ONLINE);
  expect(agent.capacity?.gpus.map(({ unusableReason }) => unusableReason)).toEqual([
    'GPU is lost',
    '',
  ]);
  expect((await farm.furrow('agents')).stdout).toContain(
    'den: NVIDIA GeForce RTX 3060 cannot be used: GPU is lost',
  );
  expect((await farm.furrow('agents', 'den')).stdout).toMatch(/RTX 3060 +unusable +12 GiB/);
  await expectSuccess(farm, await submitSteps(farm, commandStep('beside', ['true'])));
  expect(gate.hasBegun(1 - victim)).toBe(true);

  gate.open(0, 1);
  await expectSuccess(farm, jobId);
  expect(gpusOf(victim).at(-1)).toBe(uuidOf(1));
});

test('a unit that fails before the driver says why is not to blame, nor is its box', async () => {
  const gpus = await stageGpus();
  gpus.show([{}]);
  const farm = await farmWithGpus(gpus);
  const gate = new Gate(farm, 'gate');
  const script = `${gate.script('{index}')}; echo CUDA error: unspecified launch failure >&2; exit 3`;
  const jobId = await submitSteps(
    farm,
    commandStep('work', ['sh', '-c', script], {
      ...onGpu(GIB),
      limits: { maxAttempts: 1, runTimeoutMs: 0, stallTimeoutMs: 0 },
    }),
  );
  await until('it runs', () => gate.hasBegun(0));
  gpus.show([{ 'utilization.gpu': '[GPU requires reset]' }]);
  gate.open(0);
  const unit = await until('it has failed', async () => {
    const one = await onlyUnit(farm, jobId);
    return one.failureKind !== '' && one;
  });
  expect(unit).toMatchObject({ state: UnitState.UNIT_STATE_QUEUED, failureKind: 'infrastructure' });
  expect(unit.failureMessage).toContain('GPU requires reset');
  expect(await warnings(farm)).not.toContain('suspended');
});
