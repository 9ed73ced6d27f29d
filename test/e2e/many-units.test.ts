/** Many small units: each is accepted once. */
import { expect, test } from 'vitest';
import type { Step } from '../../proto/gen/furrow/v1/step.ts';
import { startFarm } from '../support/farm.ts';
import { commandStep, expectSuccess, NO_DEMAND, submitSteps } from '../support/farm-jobs.ts';
import { readJournal } from '../support/journal-record.ts';

const PATIENCE_MS = 150_000;
/** No lease is lost to a machine that is slow for a moment: this is not about expiry. */
const LEASE_TTL_MS = 60_000;

const count = (value: number): Step['parameters'] => ({ kind: { $case: 'count', value } });

test('1,000 units of a command through two agents', async () => {
  // Processes cost memory: few at once, on a machine that may be small.
  const agents = { left: ['--max-units', '8'], right: ['--max-units', '8'] };
  const farm = await startFarm({ agents, leaseTtlMs: LEASE_TTL_MS });
  const step = commandStep('quick', ['true'], { parameters: count(1000), demand: NO_DEMAND });
  await expectOnceEach(farm, await submitSteps(farm, step), 1000);
});

test('5,000 units that do nothing', async () => {
  const farm = await startFarm({ agents: { left: [], right: [] }, leaseTtlMs: LEASE_TTL_MS });
  const step = commandStep('nothing', [], {
    task: { kind: { $case: 'noop', value: {} } },
    parameters: count(5000),
    demand: NO_DEMAND,
  });
  await expectOnceEach(farm, await submitSteps(farm, step), 5000);
});

async function expectOnceEach(
  farm: Awaited<ReturnType<typeof startFarm>>,
  jobId: string,
  units: number,
): Promise<void> {
  const job = await expectSuccess(farm, jobId, PATIENCE_MS);
  expect(job.steps).toMatchObject([{ total: units, accepted: units, lostAttempts: 0 }]);
  const journal = await readJournal(farm);
  const accepted = journal.accepted(jobId);
  expect(new Set(accepted.map(({ unitId }) => unitId)).size).toBe(units);
  expect(accepted).toHaveLength(units);
  expect(journal.granted(jobId)).toHaveLength(units);
  // Both took part.
  const agents = new Set(accepted.map(({ agentId }) => agentId));
  expect(agents).toEqual(new Set([farm.agentId('left'), farm.agentId('right')]));
  console.info(`${units} units in ${job.endedAtMs - job.submittedAtMs} ms`);
}
