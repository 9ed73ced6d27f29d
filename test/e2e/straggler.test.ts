/** A box that is slower than the others holds up nobody: its last unit runs elsewhere, too. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Step } from '../../proto/gen/furrow/v1/step.ts';
import { startFarm, type TestFarm, until } from '../support/farm.ts';
import { commandStep, expectSuccess, Gate, submitSteps } from '../support/farm-jobs.ts';
import { type JournalRecord, readJournal } from '../support/journal-record.ts';

const UNITS = 5;
const ONE_CPU = ['--cpus', '1'];

/** On the agent `slow`, and where `elsewhere` says so, a unit stands until its gate is opened. */
function step(farm: TestFarm, elsewhere = 'true'): { readonly work: Step; readonly gate: Gate } {
  const gate = new Gate(farm, 'slow');
  const script = `case "$PWD" in */slow/*) ${gate.script('{index}')};; *) ${elsewhere};; esac`;
  const parameters = { kind: { $case: 'count', value: UNITS } } as const;
  return { work: commandStep('work', ['sh', '-c', script], { parameters }), gate };
}

/** The unit that stands on the agent `slow`. */
function standing(gate: Gate): number | undefined {
  return Array.from({ length: UNITS }, (_, index) => index).find((index) => gate.hasBegun(index));
}

function copiesIn({ facts }: JournalRecord): { readonly agentId: string; readonly unit: number }[] {
  return facts.flatMap((fact) =>
    fact.type === 'LeasesGranted' && fact.copy
      ? fact.units.map((unit) => ({ agentId: fact.agentId, unit }))
      : [],
  );
}

test('the last unit of a slow box is copied to a quick one, and ends where it was slow', async () => {
  const farm = await startFarm({ agents: { quick: ONE_CPU, slow: ONE_CPU } });
  const { work, gate } = step(farm);
  const jobId = await submitSteps(farm, work);
  const unit = await until('a unit stands', () => standing(gate));
  const process = gate.process(unit);
  await expectSuccess(farm, jobId);
  await until('what was beaten ends', () => !process.runs());
  await until('its files go', () => farm.attemptDirs('slow').length === 0);

  const journal = await readJournal(farm);
  expect(copiesIn(journal)).toEqual([{ agentId: farm.agentId('quick'), unit }]);
  const accepted = journal.accepted(`${jobId}/work/${unit}`);
  expect(accepted).toMatchObject([{ agentId: farm.agentId('quick'), attempt: 2 }]);
  expect(journal.ended(jobId).map(({ failureKind }) => failureKind)).toEqual(['cancelled']);
  // It is free, and takes the next one.
  gate.open(0);
  const next = await submitSteps(
    farm,
    commandStep('next', ['true'], { parameters: work.parameters }),
  );
  await expectSuccess(farm, next);
});

test('a coordinator that is killed adopts both copies, and the first to end wins', async () => {
  const agents = { quick: ONE_CPU, slow: ONE_CPU };
  const farm = await startFarm({ agents, takeoverGraceMs: 20_000 });
  const copied = new Gate(farm, 'copied');
  const mark = join(farm.workDir, 'slow');
  // The copy stands, too: it is the only one elsewhere that finds the mark of the one on the slow box.
  const script = `if [ -e ${mark}/pid-{index} ]; then ${copied.script('{index}')}; fi`;
  const { work, gate } = step(farm, script);
  const jobId = await submitSteps(farm, work);
  const unit = await until('a unit stands', () => standing(gate));
  await until('its copy stands', () => copied.hasBegun(unit));
  const copy = copied.process(unit);

  await farm.coordinator.kill();
  farm.coordinator.start();
  await farm.agentsOnline();
  expect(copy.runs()).toBe(true);
  gate.open(unit);
  await expectSuccess(farm, jobId);
  await until('the copy ends', () => !copy.runs());
  const journal = await readJournal(farm);
  const accepted = journal.accepted(`${jobId}/work/${unit}`);
  expect(accepted).toMatchObject([{ agentId: farm.agentId('slow'), attempt: 1 }]);
  expect(journal.granted(`${jobId}/work/${unit}`)).toHaveLength(2);
});
