/** A program that writes down how far it is: what its agent's death, or its leaving, costs it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startFarm, type TestFarm, until } from '../support/farm.ts';
import { commandStep, expectSuccess, listUnits, submitSteps } from '../support/farm-jobs.ts';
import { readJournal } from '../support/journal-record.ts';

/** Tells where it begins, counts on by a thousand, writes that down, and ends when the gate opens. */
const COUNTING = `
cd "$FURROW_CHECKPOINT"
n=$(cat count 2>/dev/null || echo 0)
echo "$n" >> "$TRAIL"
write() { echo "$1" > count.tmp && mv count.tmp count; }
trap 'write $((n + 1)); exit 1' TERM
n=$((n + 1000))
write $n
while [ ! -e "$GATE" ]; do sleep 0.1; done
echo "$n" > ../result
`;

async function submitCounting(farm: TestFarm) {
  const [trail, gate] = [join(farm.workDir, 'trail'), join(farm.workDir, 'gate')];
  const environment = { TRAIL: trail, GATE: gate };
  const value = { argv: ['bash', '-c', COUNTING], environment, checkpoint: true };
  const jobId = await submitSteps(
    farm,
    commandStep('count', [], {
      task: { kind: { $case: 'command', value } },
      outputs: [{ pattern: 'result', keep: true, optional: false }],
    }),
  );
  const begun = (): readonly string[] =>
    existsSync(trail) ? readFileSync(trail, 'utf8').trim().split('\n') : [];
  return { jobId, begun, finish: () => writeFileSync(gate, '') };
}

const checkpoints = async (farm: TestFarm): Promise<number> =>
  (await readJournal(farm)).facts.filter(({ type }) => type === 'CheckpointSaved').length;

test('kill -9 of its agent: the next attempt, on another one, goes on where it was', async () => {
  const farm = await startFarm({ agents: { first: ['--cpus', '1'] } });
  const { jobId, begun, finish } = await submitCounting(farm);
  await until('it is saved', async () => (await checkpoints(farm)) === 1);
  await farm.agent('first').kill();
  // The coordinator that grants it anew has only read of it.
  await farm.coordinator.kill();
  farm.coordinator.start();
  await farm.listening();
  await farm.addAgents({ second: ['--cpus', '1'] });
  await until('it began again', () => begun().length === 2);
  finish();
  await expectSuccess(farm, jobId);
  expect(begun()).toEqual(['0', '1000']);
  const [unit] = await listUnits(farm, jobId);
  expect(unit).toMatchObject({ agentName: 'second', attempts: 2 });
  const journal = await readJournal(farm);
  expect(journal.farm.jobs.get(1)?.steps[0]?.units?.checkpoints.size).toBe(0);
});

test('an agent that leaves: what the program wrote at its last moment is there', async () => {
  const farm = await startFarm({ agents: { first: ['--cpus', '1', '--drain-grace-ms', '0'] } });
  const { jobId, begun, finish } = await submitCounting(farm);
  await until('it runs', () => begun().length === 1);
  farm.agent('first').signal('SIGTERM');
  await farm.addAgents({ second: ['--cpus', '1'] });
  await until('it began again', () => begun().length === 2);
  finish();
  await expectSuccess(farm, jobId);
  expect(begun()).toEqual(['0', '1001']);
});
