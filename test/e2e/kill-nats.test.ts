/** nats-server dies under a working farm. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { JournalState, type GetStatusResponse } from '../../proto/gen/furrow/v1/farm_service.ts';
import { Clips } from '../support/clips.ts';
import { found, startFarm, type TestFarm, until } from '../support/farm.ts';
import {
  commandStep,
  expectExactFilm,
  expectSuccess,
  stepsRequest,
  submit,
  submitFilm,
} from '../support/farm-jobs.ts';
import { readJournal } from '../support/journal-record.ts';
import { encodersUnder } from '../support/processes.ts';
import { linesOf, watch } from '../support/watcher.ts';

const CLIP_FRAMES = 100;

let clips: Clips;
beforeAll(async () => {
  clips = await Clips.open();
});
afterAll(() => clips.close());

test('kill -9: grants and submits pause and say so, encoding goes on, and all resumes', async () => {
  const farm = await startFarm({ mediaTools: 'ffmpeg' });
  const film = await submitFilm(farm, await clips.path('closed-gop'));
  const watcher = watch(farm, film);
  await farm.addAgents({ only: ['--cpus', '2'] });
  const encoders = await until('the film is encoded', () => {
    const running = encodersUnder(farm.agent('only').pid);
    return running.length > 0 && running;
  });
  // Behind the film in the queue: acknowledged, and nothing of it runs.
  const { job: waiting } = await submit(farm, quick('waiting'));
  await farm.nats.kill();

  const status = await until('the status says so', async () => {
    const seen = await statusOf(farm);
    return seen.warnings.length > 0 && seen;
  });
  expect(status.warnings).toContain(
    'NATS is not reachable: grants and submits wait, running units go on',
  );
  // The first finds the journal silent, the second knows that it is.
  for (const clientId of ['first', 'second']) {
    const refusal = await submit(farm, quick(clientId)).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'unavailable', reason: 'JOURNAL_UNREACHABLE' });
    expect((refusal as Error).message).toMatch(/^the journal cannot be written .+$/);
  }
  expect((await statusOf(farm)).journal).toBe(JournalState.JOURNAL_STATE_IN_DOUBT);
  const cli = await farm.furrow('status');
  expect(cli.code).toBe(0);
  expect(cli.stdout).toContain('NATS is not reachable');
  await until('the encoders come to their end', () => !encoders.some((encoder) => encoder.runs()));

  await farm.nats.start();
  await until('the status is good again', async () => {
    const { journal, warnings } = await statusOf(farm);
    return journal === JournalState.JOURNAL_STATE_OK && warnings.length === 0;
  });
  await expectSuccess(farm, found(waiting, 'waiting').id);
  for (const clientId of ['first', 'second']) {
    const { job } = await submit(farm, quick(clientId));
    await expectSuccess(farm, found(job, clientId).id);
  }
  await expectExactFilm(farm, await expectSuccess(farm, film), CLIP_FRAMES);

  const journal = await readJournal(farm);
  expect(journal.ended()).toEqual([]);
  expect(journal.farm).toMatchObject({ epoch: 1 });
  expect(journal.farm.jobs.size).toBe(4);
  await watcher.ended;
  expect([...watcher.told]).toEqual(linesOf(journal, film));
});

async function statusOf({ client }: TestFarm): Promise<GetStatusResponse> {
  return client.call(client.farm.getStatus.bind(client.farm), {});
}

function quick(clientId: string): ReturnType<typeof stepsRequest> {
  return stepsRequest(clientId, [commandStep('quick', ['true'])]);
}
