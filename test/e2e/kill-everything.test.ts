/** The whole machine goes: nats-server, coordinator and agents at once, in the middle of all. */
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
const SUBMITS = 40;
const ACKNOWLEDGED_BEFORE = 10;

let clips: Clips;
beforeAll(async () => {
  clips = await Clips.open();
});
afterAll(() => clips.close());

test('kill -9 of everything: what was acknowledged is done', async () => {
  const farm = await startFarm({ mediaTools: 'ffmpeg' });
  const gate = new Gate(farm, 'gate');
  const gated = await submitSteps(farm, gate.step('gated'));
  const film = await submitFilm(farm, await clips.path('closed-gop'));
  const watcher = watch(farm, film);
  await farm.addAgents({ one: ['--cpus', '2'], two: ['--cpus', '2'] });
  await until('units run', () => {
    const encoders = encodersUnder(farm.agent('one').pid);
    return gate.hasBegun(0) && encoders.length > 0;
  });

  const acknowledged = await submitUntilKilled(farm);
  expect(acknowledged.length).toBeGreaterThanOrEqual(ACKNOWLEDGED_BEFORE);
  gate.open(0);
  await farm.nats.start();
  for (const role of [farm.coordinator, farm.agent('one'), farm.agent('two')]) role.start();
  await farm.agentsOnline();

  for (const jobId of [...acknowledged, gated]) await expectSuccess(farm, jobId);
  await expectExactFilm(farm, await expectSuccess(farm, film), CLIP_FRAMES);
  await watcher.ended;
  const journal = await readJournal(farm);
  expect([...watcher.told]).toEqual(linesOf(journal, film));
});

/** Submits all at once, and kills everything among them; answers the acknowledged ones' job ids. */
async function submitUntilKilled(farm: TestFarm): Promise<readonly string[]> {
  const acknowledged: string[] = [];
  let killed: Promise<unknown> | undefined;
  const killAll = (): Promise<unknown> =>
    Promise.all([
      farm.nats.kill(),
      farm.coordinator.kill(),
      farm.agent('one').kill(),
      farm.agent('two').kill(),
    ]);
  await Promise.allSettled(
    Array.from({ length: SUBMITS }, async (_, index) => {
      const request = stepsRequest(`client-${index}`, [commandStep('quick', ['true'])]);
      const { job } = await submit(farm, request);
      acknowledged.push(found(job, 'job').id);
      if (acknowledged.length >= ACKNOWLEDGED_BEFORE) killed ??= killAll();
    }),
  );
  await killed;
  return acknowledged;
}
