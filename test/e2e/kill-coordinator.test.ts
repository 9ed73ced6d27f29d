/** The coordinator dies with work in flight and submits under way. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Clips } from '../support/clips.ts';
import { found, startFarm, type TestFarm, until } from '../support/farm.ts';
import {
  commandStep,
  expectExactFilm,
  expectSuccess,
  Gate,
  stepsRequest,
  submit,
  submitFilm,
  submitSteps,
} from '../support/farm-jobs.ts';
import { readJournal } from '../support/journal-record.ts';
import { encodersUnder } from '../support/processes.ts';
import { linesOf, watch } from '../support/watcher.ts';

const CLIP_FRAMES = 100;
const SUBMITS = 30;
const ACKNOWLEDGED_BEFORE = 5;

let clips: Clips;
beforeAll(async () => {
  clips = await Clips.open();
});
afterAll(() => clips.close());

test('kill -9: every acknowledged job is there, running leases are adopted, and the film is exact', async () => {
  const farm = await startFarm({ mediaTools: 'ffmpeg', takeoverGraceMs: 20_000 });
  const gate = new Gate(farm, 'gate');
  const gated = await submitSteps(farm, gate.step('gated'));
  const film = await submitFilm(farm, await clips.path('closed-gop'));
  const watchers = [gated, film].map((jobId) => ({ jobId, ...watch(farm, jobId) }));
  await farm.addAgents({ one: ['--cpus', '2'], two: ['--cpus', '2'] });
  await until('the gated unit runs', () => gate.hasBegun(0));
  const unit = gate.process(0);
  await until('both agents encode', () => {
    return ['one', 'two'].every((name) => encodersUnder(farm.agent(name).pid).length > 0);
  });

  const acknowledged = await submitUntilKilled(farm);
  expect(acknowledged.size).toBeGreaterThanOrEqual(ACKNOWLEDGED_BEFORE);
  expect(unit.runs()).toBe(true);
  farm.coordinator.start();
  await farm.agentsOnline();

  const jobs = await Promise.all(clientIds().map((clientId) => submitAgain(farm, clientId)));
  for (const { clientId, jobId, alreadySubmitted } of jobs) {
    if (!acknowledged.has(clientId)) continue;
    expect({ jobId, alreadySubmitted }).toEqual({
      jobId: acknowledged.get(clientId),
      alreadySubmitted: true,
    });
  }
  expect(new Set(jobs.map(({ jobId }) => jobId)).size).toBe(SUBMITS);
  expect(unit.runs()).toBe(true);
  gate.open(0);
  for (const { jobId } of jobs) await expectSuccess(farm, jobId);
  await expectSuccess(farm, gated);
  await expectExactFilm(farm, await expectSuccess(farm, film), CLIP_FRAMES);

  const journal = await readJournal(farm);
  expect(journal.farm).toMatchObject({ epoch: 2 });
  expect(journal.farm.jobs.size).toBe(SUBMITS + 2);
  for (const { jobId, told, ended } of watchers) {
    expect(journal.ended(jobId), 'no lease was given up').toEqual([]);
    await ended;
    expect([...told]).toEqual(linesOf(journal, jobId));
  }
});

/** Submits all at once and kills the coordinator among them; answers the acknowledged ones' job ids. */
async function submitUntilKilled(farm: TestFarm): Promise<ReadonlyMap<string, string>> {
  const acknowledged = new Map<string, string>();
  let killed: Promise<void> | undefined;
  const outcomes = await Promise.allSettled(
    clientIds().map(async (clientId) => {
      const { job } = await submit(farm, requestOf(clientId));
      acknowledged.set(clientId, found(job, clientId).id);
      if (acknowledged.size >= ACKNOWLEDGED_BEFORE) killed ??= farm.coordinator.kill();
    }),
  );
  await killed;
  for (const outcome of outcomes.filter(({ status }) => status === 'rejected')) {
    expect(outcome).toMatchObject({ reason: { code: 'unavailable' } });
  }
  return acknowledged;
}

async function submitAgain(
  farm: TestFarm,
  clientId: string,
): Promise<{ clientId: string; jobId: string; alreadySubmitted: boolean }> {
  const { job, alreadySubmitted } = await submit(farm, requestOf(clientId));
  return { clientId, jobId: found(job, clientId).id, alreadySubmitted };
}

function clientIds(): readonly string[] {
  return Array.from({ length: SUBMITS }, (_, index) => `client-${index}`);
}

function requestOf(clientId: string): ReturnType<typeof stepsRequest> {
  return stepsRequest(clientId, [commandStep('quick', ['true'])]);
}
