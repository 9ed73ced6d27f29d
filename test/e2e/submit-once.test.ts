/** A client id names one job, however often and whenever it is submitted. */
import { expect, test } from 'vitest';
import { found, startFarm, type TestFarm } from '../support/farm.ts';
import { commandStep, stepsRequest, submit } from '../support/farm-jobs.ts';
import { readJournal } from '../support/journal-record.ts';

const SUBMITS = 20;

const request = (clientId: string, program = 'true'): ReturnType<typeof stepsRequest> =>
  stepsRequest(clientId, [commandStep('work', [program])]);

test('repeats give the same job, another spec is refused; at once, later, and after kill -9', async () => {
  const farm = await startFarm();
  // Twenty at the same moment: one makes the job, the others find it.
  const answers = await Promise.all(
    Array.from({ length: SUBMITS }, () => submit(farm, request('mine'))),
  );
  const ids = new Set(answers.map(({ job }) => found(job, 'job').id));
  expect([...ids]).toEqual(['j1']);
  expect(answers.filter(({ alreadySubmitted }) => !alreadySubmitted)).toHaveLength(1);
  await expectSame(farm);

  await farm.coordinator.kill();
  farm.coordinator.start();
  await farm.listening();
  await expectSame(farm);

  // Two specs race for one id: one wins, all others are told.
  const racing = await Promise.allSettled(
    Array.from({ length: SUBMITS }, (_, index) =>
      submit(farm, request('raced', index % 2 === 0 ? 'true' : 'false')),
    ),
  );
  expect(racing.filter(({ status }) => status === 'fulfilled')).toHaveLength(SUBMITS / 2);
  for (const loser of racing.filter(({ status }) => status === 'rejected')) {
    expect(loser).toMatchObject({ reason: { code: 'conflict', reason: 'CLIENT_ID_REUSED' } });
  }
  expect((await readJournal(farm)).farm.jobs.size).toBe(2);
});

async function expectSame(farm: TestFarm): Promise<void> {
  const again = await submit(farm, request('mine'));
  expect(again).toMatchObject({ alreadySubmitted: true, job: { id: 'j1' } });
  await expect(submit(farm, request('mine', 'false'))).rejects.toMatchObject({
    code: 'conflict',
    reason: 'CLIENT_ID_REUSED',
    message: expect.stringMatching(/^client id "mine" was used for j1 with another content.*$/),
  });
}
