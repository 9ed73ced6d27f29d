/** What a program is told that has only lines to show. */
import { expect, test } from 'vitest';
import { explainJob } from '../../../../coordinator/domain/explain.ts';
import { viewOfJob } from '../../../../coordinator/domain/views.ts';
import {
  explanationLines,
  explanationToWire,
  jobSummary,
} from '../../../../coordinator/grpc/explain-wire.ts';
import { AgentAnswerState, ExplainedState } from '../../../../proto/gen/furrow/v1/job_service.ts';
import { countOf, failed, FarmDriver, step } from '../../../support/farm-driver.ts';

function explained(driver: FarmDriver, number: number, tellsAgents = true) {
  const { farm, liveness, now } = driver;
  const seen = { farm, liveness, now, hearsAgents: true, grantsNothing: undefined };
  const job = driver.job(number);
  // Of one agent nothing is known yet.
  const fractionOf = (_job: number, _unit: string, agentId: string) =>
    agentId === 'quick' ? 0 : 0.5;
  const found = explainJob({ ...seen, fractionOf }, job);
  return found.map((explanation) => explanationToWire(seen, explanation, tellsAgents));
}

test('a job in lines: what runs, what waits for whom, what waits for a step', () => {
  const driver = new FarmDriver();
  driver.enrol('den');
  driver.enrol('nas', { attributes: [] });
  const job = driver.submit([
    step('work', {
      parameters: countOf(6),
      demand: { ...step('').demand!, attributes: ['tool:command'] },
    }),
    step('then', { dependsOn: ['work'] }),
  ]);
  driver.place();
  driver.beatHolding('den');
  driver.nowMs += 30_000;
  driver.beatHolding('den');
  driver.beat('nas');
  const explanations = explained(driver, job.number);
  expect(explanationLines(jobSummary(viewOfJob(job)), explanations)).toEqual([
    'j1 is running: 0 of 7 units are done',
    'j1/work: 4 units are held by den-box (4)',
    '  ends: in about 30 s',
    'j1/work: 2 units wait: no agent has room for it now',
    '  den-box: needs 1 CPU; has 0 of 4 left (4 booked by units)',
    '  nas-box: lacks tool:command',
    '  would help: den-box when one of its units ends, in about 30 s',
    '  starts: in about 30 s',
    'j1/then waits for step work (0 of 6 done, 4 running)',
  ]);
  expect(explanations[0]).toMatchObject({
    state: ExplainedState.EXPLAINED_STATE_HELD,
    units: 4,
    sinceMs: driver.now.wallMs - 30_000,
    endInMs: 30_000,
    fraction: 0,
  });
  expect(explanations[1]).toMatchObject({
    startInMs: 30_000,
    agents: [
      { agentId: 'den', state: AgentAnswerState.AGENT_ANSWER_STATE_BUSY, roomInMs: 30_000 },
      { agentId: 'nas', state: AgentAnswerState.AGENT_ANSWER_STATE_LACKS, roomInMs: undefined },
    ],
  });
  // Said once, for steps that need the same.
  expect(explained(driver, job.number, false)[1]).toMatchObject({ agents: [], startInMs: 30_000 });
});

test('a unit with a second copy: where both run, and the end of the first that ends', () => {
  const driver = new FarmDriver();
  driver.enrol('slow');
  driver.enrol('quick');
  const job = driver.submit([step('work')]);
  driver.place();
  const [lease] = [...driver.farm.leases.values()];
  expect(lease!.agentId).toBe('quick');
  driver.nowMs += 30_000;
  driver.record(driver.copyOf(lease!, 'slow'));
  driver.nowMs += 10_000;
  for (const agentId of ['slow', 'quick']) driver.beatHolding(agentId);
  expect(explained(driver, job.number)[0]).toMatchObject({
    units: 1,
    why: 'runs on quick-box; its second copy runs on slow-box, 50% done',
    endInMs: 10_000,
    fraction: 0.5,
  });
});

test('an attempt that failed: when the next is, and why', () => {
  const driver = new FarmDriver();
  driver.enrol('den');
  const job = driver.submit([step('work')]);
  driver.place();
  driver.report(driver.leasesOf('den'), failed('bad-output'));
  const [explanation] = explained(driver, job.number);
  expect(explanation).toMatchObject({
    state: ExplainedState.EXPLAINED_STATE_RETRYING,
    retryAtMs: job.steps[0]!.units!.delayed[0]!.notBeforeMs,
    failureKind: 'bad-output',
    failureMessage: 'it was bad-output',
  });
});

test('summaries of jobs that wait, were paused, and have ended', () => {
  const driver = new FarmDriver();
  const job = driver.submit([step('work')]);
  const summary = (): string => jobSummary(viewOfJob(job));
  expect(summary()).toBe('j1 waits: none of its units has begun');
  driver.decide({ type: 'PauseJob', job: 1, reason: '' });
  expect(summary()).toBe('j1 is paused: 0 of 1 units are done');
  driver.decide({ type: 'CancelJob', job: 1, reason: 'wrong film' });
  expect(summary()).toBe('j1 was cancelled: wrong film');
});
