import { expect, test } from 'vitest';
import { ReadModel } from '../../../coordinator/read-model.ts';
import { CommitFold } from '../../../coordinator/commit-fold.ts';
import { emptyFarm } from '../../../coordinator/domain/farm.ts';
import { type AgentView, viewOfAgent, viewOfJob } from '../../../coordinator/domain/views.ts';
import { countOf, failed, FarmDriver, step } from '../../support/farm-driver.ts';

function farmOfJobs(count: number): { driver: FarmDriver; model: ReadModel } {
  const driver = new FarmDriver();
  const model = new ReadModel(driver.farm, 0);
  for (let i = 0; i < count; i += 1) publish(model, driver, driver.submit([step('work')]).number);
  return { driver, model };
}

function publish(model: ReadModel, driver: FarmDriver, job: number): void {
  const views = [viewOfJob(driver.job(job))];
  const sequence = model.sequence + 1;
  model.publish({ number: sequence, sequence, atMs: 0, facts: [], views, agents: [] });
}

test('what it shows of a job is the view that was committed, whatever the farm is by now', () => {
  const { driver, model } = farmOfJobs(1);
  const committed = viewOfJob(driver.job(1));
  driver.ask({ type: 'CancelJob', job: 1, reason: 'a mistake' });
  expect(model.job(1)).toEqual(committed);
  publish(model, driver, 1);
  expect(model.job(1)).toEqual(viewOfJob(driver.job(1)));
});

test('jobs are listed newest first, page by page, with or without those that ended', () => {
  const { driver, model } = farmOfJobs(5);
  for (const job of [2, 4]) {
    driver.ask({ type: 'CancelJob', job, reason: '' });
    publish(model, driver, job);
  }
  const numbers = (before: number, limit: number, includeEnded: boolean): number[] =>
    model.list(before, limit, { ended: includeEnded ? 'all' : 'none' }).map((view) => view.number);
  expect(numbers(Infinity, 3, true)).toEqual([5, 4, 3]);
  expect(numbers(3, 3, true)).toEqual([2, 1]);
  expect(numbers(Infinity, 2, false)).toEqual([5, 3]);
  expect(numbers(3, 2, false)).toEqual([1]);
  expect(model.open().map((view) => view.number)).toEqual([1, 3, 5]);
});

test('agents are shown as of the last commit too, whatever the fact was that changed them', () => {
  const driver = new FarmDriver();
  const model = new ReadModel(driver.farm, 0);
  let told = driver.facts.length;
  const fold = new CommitFold(emptyFarm(), 0, (commit) => model.publish(commit));
  const commit = (): void => {
    const [sequence, facts] = [driver.facts.length, driver.facts.slice(told)];
    told = sequence;
    fold.take({ number: sequence, sequence, farmId: 'farm', epoch: 1, atMs: 0, facts });
  };
  fold.take({ number: 1, sequence: 1, farmId: 'farm', epoch: 1, atMs: 0, facts: driver.facts });
  const live = (): AgentView[] => [...driver.farm.agents.values()].map(viewOfAgent);
  const steps = [
    () => ['a1', 'a2'].forEach((id) => driver.enrol(id)),
    () => driver.submit([step('work', { parameters: countOf(9) })]),
    () => driver.place(),
    () => driver.beatHolding('a1'),
    () => driver.report(driver.leasesOf('a1').slice(0, 1)),
    () => driver.report(driver.leasesOf('a2').slice(0, 1), failed('failed')),
    () => driver.ask({ type: 'DrainAgent', agent: 'a2', draining: true }),
    () => driver.ask({ type: 'CancelJob', job: 1, reason: '' }),
  ];
  for (const take of steps) {
    const before = model.agents();
    take();
    expect(model.agents()).toEqual(before);
    commit();
    expect(model.agents()).toEqual(live());
  }
});
