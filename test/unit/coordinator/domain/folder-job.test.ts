/** A job of thousands of films: what it costs to look at, and what is told of it. */
import { expect, test } from 'vitest';
import { explainJob, explainStep } from '../../../../coordinator/domain/explain.ts';
import type { Seen } from '../../../../coordinator/domain/estimates.ts';
import { planJob } from '../../../../coordinator/domain/job-plan.ts';
import { apply } from '../../../../coordinator/domain/apply.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import { emptyFarm, type Farm } from '../../../../coordinator/domain/farm.ts';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { followUp } from '../../../../coordinator/domain/follow-up.ts';
import { decodeCommit, sealCommit } from '../../../../coordinator/journal/commit-codec.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../../coordinator/journal/snapshot-codec.ts';
import { decide } from '../../../../coordinator/domain/decide.ts';
import { newLiveness } from '../../../../coordinator/domain/liveness.ts';
import { submittedFact } from '../../../../coordinator/domain/decide-job.ts';
import { FarmDriver, submitJob, succeededWith } from '../../../support/farm-driver.ts';
import { folderFilms, stepsOfFolder } from '../../../support/folder-films.ts';

const FFMPEG = { attributes: ['tool:ffmpeg', 'encoder:libx264', 'ffmpeg:6.1'] };

function seenBy({ farm, liveness, now }: FarmDriver): Seen {
  const seen = { farm, liveness, now, hearsAgents: true, grantsNothing: undefined };
  return { ...seen, fractionOf: () => 0 };
}

test('of 2,000 films is no more to a pass than one of a few', () => {
  const { farm, decide } = ofFilms(2_000);
  expect(decide().answer).toMatchObject({ kind: 'job' });
  for (const fact of decide().facts) apply(farm, fact);
  expect(farm.jobs.get(1)?.steps).toHaveLength(10_001);
  expect(farm.ready.classes().size).toBeLessThan(30);
  expect(followUp(farm, 1, 1)).toBeUndefined();
}, 60_000);

function ofFilms(count: number) {
  const farm = emptyFarm();
  const liveness = newLiveness(15_000);
  const command = submitJob(stepsOfFolder(folderFilms(count)), { recipe: 'folder' });
  const now = { monotonicMs: 0, wallMs: 1 };
  return { farm, decide: () => decide(farm, liveness, command, now) };
}

test('is the same farm once it was stored, by fact or by snapshot', () => {
  const command = submitJob(stepsOfFolder(folderFilms(50)), { recipe: 'folder' });
  const fact = submittedFact(emptyFarm(), command, { monotonicMs: 0, wallMs: 1 });
  const header = { farmId: 'f', epoch: 1, writerId: new Uint8Array(16), number: 1 };
  const { bytes } = sealCommit({ ...header, previousHash: '', atMs: 1 }, [fact]);
  const farmOf = (): Farm => {
    const farm = emptyFarm();
    farm.farmId = 'f';
    for (const read of decodeCommit(bytes, 1).facts) apply(farm, read);
    return farm;
  };
  const farm = farmOf();
  const tail = {
    farmId: 'f',
    epoch: 1,
    reignId: '',
    number: 1,
    sequence: 1,
    hash: 'ab'.repeat(32),
  };
  const snapshot = encodeSnapshot({ farm: captureFarm(farm), tail });
  expect(farmImage(restoreFarm(decodeSnapshot(snapshot).farm))).toBe(farmImage(farmOf()));
});

test('is explained and planned by the kind of step, not film by film', () => {
  const driver = new FarmDriver();
  const steps = stepsOfFolder(folderFilms(40));
  driver.submit(steps, { recipe: 'folder' });
  const told = explainJob(seenBy(driver), driver.job(1));
  expect(told.map(({ subject, units, standing }) => [subject, units, standing.state])).toEqual([
    ['j1/split', 40, 'waiting'],
    ['j1/audio', 40, 'waiting'],
    ['j1/encode', 0, 'blocked'],
    ['j1/concat', 40, 'blocked'],
    ['j1/proof', 40, 'blocked'],
    ['j1/results', 1, 'blocked'],
  ]);
  expect(told[5]?.standing).toMatchObject({
    by: [{ step: 'proof', accepted: 0, total: 40, running: 0 }],
  });
  const plan = planJob(seenBy(driver), 'folder', steps);
  expect(plan.steps.map(({ name, units, waitsFor }) => [name, units, waitsFor])).toEqual([
    ['split', 40, []],
    ['audio', 40, []],
    ['encode', undefined, ['split']],
    ['concat', 40, ['split', 'audio', 'encode']],
    ['proof', 40, ['split', 'audio', 'encode', 'concat']],
    ['results', 1, ['proof']],
  ]);
  const scratch = steps.map(({ demand }) => demand?.scratchBytes ?? 0);
  expect(Math.max(...plan.steps.map(({ demand }) => demand.scratchBytes))).toBe(
    Math.max(...scratch),
  );
});

test('says of each kind who runs it, what waits for what, and one film alone where it is asked of', () => {
  const driver = new FarmDriver();
  driver.enrol('den', FFMPEG);
  driver.submit(stepsOfFolder(folderFilms(6), { pieceMs: 1_000 }), { recipe: 'folder' });
  driver.place();
  const split = driver.leasesOf('den').find(({ step }) => step === 0);
  if (split === undefined) throw new Error('the first film is not cut');
  driver.report([split], succeededWith('plan.json', 'piece-0', 'piece-1'));
  const told = explainJob(seenBy(driver), driver.job(1));
  const held = told.filter(({ standing }) => standing.state === 'held');
  expect(held.map(({ units }) => units).reduce((a, b) => a + b)).toBe(
    driver.leasesOf('den').length,
  );
  const concat = told.find(({ subject }) => subject === 'j1/concat');
  expect(concat).toMatchObject({ units: 6, standing: { state: 'blocked' } });
  const by = concat?.standing.state === 'blocked' ? concat.standing.by : [];
  expect(by.find(({ step }) => step === 'encode')).toMatchObject({ total: undefined });
  const [one] = explainStep(seenBy(driver), driver.job(1), driver.job(1).steps[2]!);
  expect(one).toMatchObject({ subject: 'j1/encode-0', units: 2 });
});
