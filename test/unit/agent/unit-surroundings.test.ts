/** What a unit's program may be, whatever its coordinator says: the owner's word. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Assignment } from '../../../agent/assignment.ts';
import { unitSurroundings } from '../../../agent/unit-surroundings.ts';
import type { ProcessRequest } from '../../../agent/runners/runner.ts';
import type { AllowedPrograms } from '../../../agent/sandbox/settings.ts';
import { NO_DEMAND } from '../../../coordinator/domain/demand.ts';
import type { Task } from '../../../proto/gen/furrow/v1/task.ts';

const RENDER: Task = {
  kind: { $case: 'renderFrames', value: { file: 'a.blend', settings: undefined } },
};
const COMMAND: Task = { kind: { $case: 'command', value: { argv: ['cat'], environment: {} } } };

function surroundings(
  task: Task,
  program: string,
  allowed: AllowedPrograms,
  request: Partial<ProcessRequest> = {},
) {
  const directory = mkdtempSync(`${tmpdir()}/furrow-surroundings-`);
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const assignment = { task, demand: NO_DEMAND, gpuIds: [] } as unknown as Assignment;
  const rules = { allowed, network: true, passed: { SECRET: 'x' } };
  const inputs = ['a.jpg', 'b.jpg'].map((name) => ({ name, sizeBytes: 1, sha256: '' }));
  const unit = { assignment, rules, directory, inputs, checkpoint: undefined };
  return unitSurroundings({ ...unit, request: { program, environment: {}, ...request } });
}

test.each<[string, Task, string]>([
  ['a command', COMMAND, 'cat'],
  ['a render, by a task of its own', RENDER, 'blender'],
])('%s runs only where the owner allows its program', async (_what, task, program) => {
  const refused = surroundings(task, program, ['sleep']);
  await expect(refused).rejects.toMatchObject({ reason: 'COMMAND_NOT_ALLOWED' });
  await expect(surroundings(task, program, [program])).resolves.toBeDefined();
});

test('the look at rendered frames needs no leave, gets no network and nothing of the agent', async () => {
  const { environment, box } = await surroundings(RENDER, 'ffmpeg', []);
  expect(environment).toEqual({ CUDA_VISIBLE_DEVICES: '' });
  expect(box.network).toBe(false);
});

test('inputs are shown read-only, one by one or as the folder in which nothing else is written', async () => {
  const { box } = await surroundings(COMMAND, 'cat', 'all');
  expect(box.readOnly).toEqual(['a.jpg', 'b.jpg'].map((name) => join(box.directory, name)));
  const reading = await surroundings(COMMAND, 'cat', 'all', { readsOnly: true });
  expect(reading.box.readOnly).toEqual([reading.box.directory]);
});
