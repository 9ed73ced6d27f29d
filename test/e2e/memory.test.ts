/** Memory on a real farm: what outgrows its demand is ended and given more, and what units take is learned. */
import { expect, test } from 'vitest';
import { startFarm } from '../support/farm.ts';
import {
  commandStep,
  expectSuccess,
  listUnits,
  NO_DEMAND,
  submitSteps,
  untilEnded,
} from '../support/farm-jobs.ts';

const MIB = 1024 * 1024;
const RAM = ['--ram', '2GiB'];

/** A program that holds so many mebibytes until it has been looked at. */
function holding(mib: number): readonly string[] {
  const script = `const held = Buffer.alloc(${mib} * ${MIB}, 1); setTimeout(() => held.length, 3000);`;
  return [process.execPath, '-e', script];
}

test('a unit that outgrows its demand is ended, given more, and costs no attempt', async () => {
  const farm = await startFarm({ agents: { one: RAM } });
  const demand = { ...NO_DEMAND, cpuMillis: 1000, ramBytes: 96 * MIB };
  const limits = { maxAttempts: 1, runTimeoutMs: 0, stallTimeoutMs: 0 };
  const step = commandStep('hungry', holding(300), { demand, limits });
  const jobId = await submitSteps(farm, step);
  const job = await expectSuccess(farm, jobId);
  expect(job.steps[0]?.lostAttempts).toBeGreaterThanOrEqual(1);
  expect(await listUnits(farm, jobId)).toMatchObject([
    { attempts: job.steps[0]!.lostAttempts + 1 },
  ]);
});

test('what no box could hold fails at once, and names the need and the largest box', async () => {
  const farm = await startFarm({ agents: { small: ['--ram', '700MiB'] } });
  const demand = { ...NO_DEMAND, cpuMillis: 1000, ramBytes: 400 * MIB };
  const jobId = await submitSteps(farm, commandStep('huge', holding(900), { demand }));
  const ended = await untilEnded(farm, jobId);
  expect(ended.reason).toMatch(
    /out-of-memory: .* RAM; the most that fits is .* on small: ask for less/,
  );
});
