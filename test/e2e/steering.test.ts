/** What people do to running jobs and agents, and what the farm does to a unit that hangs. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { downloadFile } from '../../cli/blobs.ts';
import { JobState } from '../../proto/gen/furrow/v1/job_service.ts';
import type { Step } from '../../proto/gen/furrow/v1/step.ts';
import { found, startFarm, until } from '../support/farm.ts';
import {
  commandStep,
  expectSuccess,
  Gate,
  getJob,
  NO_DEMAND,
  submitSteps,
} from '../support/farm-jobs.ts';
import { readJournal } from '../support/journal-record.ts';
import { processesUnder } from '../support/processes.ts';

/** Of the agent on which leases wait. */
const PLACES = 2;
/** More than are done before leases wait. */
const MANY_UNITS = 5_000;

const count = (value: number): Step['parameters'] => ({ kind: { $case: 'count', value } });

test('cancel: processes end, their files go, and cancelled is final, also after kill -9', async () => {
  const farm = await startFarm({ agents: { left: ['--cpus', '2'], right: ['--cpus', '2'] } });
  const gate = new Gate(farm, 'gate');
  const jobId = await submitSteps(farm, gate.step('long', { parameters: count(6) }));
  const all = [0, 1, 2, 3, 4, 5];
  const running = await until('four units run', () => {
    const pids = all.filter((index) => gate.hasBegun(index));
    return pids.length === 4 && pids;
  });
  const units = running.map((index) => gate.process(index));
  const { client } = farm;
  const { job } = await client.call(client.jobs.cancelJob.bind(client.jobs), {
    jobId,
    reason: 'wrong film',
  });
  expect(job).toMatchObject({ state: JobState.JOB_STATE_CANCELLED, reason: 'wrong film' });
  await until('their processes end', () => !units.some((unit) => unit.runs()));
  await until('their files are gone', () => {
    return ['left', 'right'].every((name) => farm.attemptDirs(name).length === 0);
  });

  await farm.coordinator.kill();
  farm.coordinator.start();
  await farm.agentsOnline();
  expect(await getJob(farm, jobId)).toMatchObject({ state: JobState.JOB_STATE_CANCELLED });
  // The agents are free again, and nothing of the cancelled job comes back.
  gate.open(...all);
  const next = await submitSteps(farm, commandStep('next', ['true'], { parameters: count(6) }));
  await expectSuccess(farm, next);
  const journal = await readJournal(farm);
  expect(journal.granted(jobId)).toHaveLength(4);
  expect(journal.accepted(jobId)).toEqual([]);
});

test('pause: what runs finishes and counts, nothing else starts; resume goes on', async () => {
  const farm = await startFarm({ agents: { only: ['--cpus', '2'] } });
  const gate = new Gate(farm, 'gate');
  const jobId = await submitSteps(farm, gate.step('work', { parameters: count(4) }));
  await until('two units run', () => [0, 1].every((index) => gate.hasBegun(index)));
  const { client } = farm;
  await client.call(client.jobs.pauseJob.bind(client.jobs), { jobId });
  gate.open(0, 1, 2, 3);
  await until('they count', async () => {
    const { state, steps } = await getJob(farm, jobId);
    return state === JobState.JOB_STATE_PAUSED && steps[0]?.accepted === 2;
  });
  // Another job passes the paused one: the agent is free, and was offered.
  await expectSuccess(farm, await submitSteps(farm, commandStep('other', ['true'])));
  await client.call(client.jobs.resumeJob.bind(client.jobs), { jobId });
  await expectSuccess(farm, jobId);

  const { facts } = await readJournal(farm);
  const places = facts.flatMap((fact, place) => {
    const isGrant = fact.type === 'LeasesGranted' && `j${fact.job}` === jobId;
    return isGrant || fact.type === 'JobPaused' || fact.type === 'JobResumed'
      ? [{ place, type: fact.type }]
      : [];
  });
  const paused = places.findIndex(({ type }) => type === 'JobPaused');
  expect(places[paused + 1]?.type).toBe('JobResumed');
});

test('pause: leases that wait behind running ones are handed back unbegun; resume goes on', async () => {
  const farm = await startFarm({ agents: { only: ['--max-units', String(PLACES)] } });
  const gate = new Gate(farm, 'gate');
  const [ledger, dam] = [join(farm.workDir, 'ledger'), join(farm.workDir, 'dam')];
  // Quick, so that the agent gets more of them than it can run, until the dam is there: then they stand.
  const script = `echo {index} >> ${ledger}; [ ! -e ${dam} ] || { ${gate.script('{index}')}; }`;
  const step = commandStep('short', ['sh', '-c', script], {
    parameters: count(MANY_UNITS),
    demand: NO_DEMAND,
  });
  const jobId = await submitSteps(farm, step);
  const leased = async (): Promise<number> => (await getJob(farm, jobId)).steps[0]?.leased ?? 0;
  const all = Array.from({ length: MANY_UNITS }, (_, index) => index);
  for (;;) {
    await until('more is held than can run', async () => (await leased()) > PLACES);
    writeFileSync(dam, '');
    const standing = await until('all places are taken by units that stand', () => {
      const found = all.filter((index) => gate.hasBegun(index));
      return found.length === PLACES && found;
    });
    if ((await leased()) > PLACES) break;
    // All that waited has begun by now: once more.
    rmSync(dam);
    gate.open(...standing);
    for (const index of standing) gate.forget(index);
  }
  const { client } = farm;
  await client.call(client.jobs.pauseJob.bind(client.jobs), { jobId });
  await until('only what runs is held', async () => {
    const { state, steps } = await getJob(farm, jobId);
    return state === JobState.JOB_STATE_PAUSED && steps[0]?.leased === PLACES;
  });
  const ended = (await readJournal(farm)).ended(jobId);
  expect(new Set(ended.map(({ failureKind }) => failureKind))).toEqual(new Set(['retracted']));

  rmSync(dam);
  gate.open(...all);
  await client.call(client.jobs.resumeJob.bind(client.jobs), { jobId });
  const handedBack = new Set(ended.map(({ unitId }) => unitId));
  await until('what was handed back is done', async () => {
    for (const { unitId } of (await readJournal(farm)).accepted(jobId)) handedBack.delete(unitId);
    return handedBack.size === 0;
  });
  const begun = readFileSync(ledger, 'utf8').trim().split('\n');
  expect(new Set(begun).size, 'what was handed back had not begun').toBe(begun.length);
  await client.call(client.jobs.cancelJob.bind(client.jobs), { jobId, reason: 'seen enough' });
});

test('drained and undrained again: the agent hears of it at once, and takes what comes next', async () => {
  const farm = await startFarm({ agents: { only: ['--cpus', '1'] } });
  const { client } = farm;
  const only = { agent: 'only' };
  const beatAge = async (): Promise<number> => {
    const { agents } = await client.call(client.farm.listAgents.bind(client.farm), {});
    return found(agents[0], 'agent').lastBeatAgeMs;
  };
  const rounds = 4;
  for (let round = 0; round < rounds; round += 1) {
    await client.call(client.farm.drainAgent.bind(client.farm), only);
    let ageMs = await beatAge();
    await until('a beat was answered since', async () => {
      const before = ageMs;
      ageMs = await beatAge();
      return ageMs < before;
    });
    await client.call(client.farm.undrainAgent.bind(client.farm), only);
    await expectSuccess(farm, await submitSteps(farm, commandStep('next', ['true'])));
  }
  // It used to be one in every round; two sockets have no order, so that one may still come first.
  expect((await readJournal(farm)).ended().length).toBeLessThan(rounds / 2);
});

test('SIGTERM: an agent hands over nothing half-made, and what it finished counts', async () => {
  const farm = await startFarm({ agents: { leaving: ['--cpus', '2', '--drain-grace-ms', '0'] } });
  const gate = new Gate(farm, 'gate');
  const outputs = [{ pattern: 'result', keep: true, optional: false }];
  const script = `echo half > result; ${gate.script('{index}')}; echo whole > result`;
  const step = commandStep('work', ['sh', '-c', script], { parameters: count(2), outputs });
  const jobId = await submitSteps(farm, step);
  await until('both run', () => [0, 1].every((index) => gate.hasBegun(index)));
  gate.open(0);
  await until('one is done', async () => (await getJob(farm, jobId)).steps[0]?.accepted === 1);
  const unit = gate.process(1);
  farm.agent('leaving').signal('SIGTERM');
  expect(await farm.agent('leaving').exited).toBe(0);
  expect(unit.runs()).toBe(false);
  expect(farm.attemptDirs('leaving')).toEqual([]);
  gate.open(1);
  await farm.addAgents({ staying: ['--cpus', '2'] });
  const job = await expectSuccess(farm, jobId);
  expect(job.outputs).toHaveLength(2);
  for (const [index, file] of job.outputs.entries()) {
    const path = join(farm.workDir, `result-${index}`);
    await downloadFile(await farm.blobTarget(), file, path, { replace: false });
    expect(readFileSync(path, 'utf8')).toBe('whole\n');
  }
  const journal = await readJournal(farm);
  // Handed back by the agent's own last words: no lease had to expire.
  expect(journal.ended(jobId)[0]).toMatchObject({ attempt: 1, failureKind: 'evicted' });
  expect(journal.accepted(jobId).map(({ agentId }) => agentId)).toEqual([
    farm.agentId('leaving'),
    farm.agentId('staying'),
  ]);
});

test('a unit that hangs under a healthy heartbeat is stalled, and is done elsewhere', async () => {
  const farm = await startFarm({ agents: { left: ['--cpus', '1'], right: ['--cpus', '1'] } });
  const mark = join(farm.workDir, 'mark');
  // It hangs on the agent that has it first, however often that one gets it: the other may be busy for a moment.
  const me = `$(echo $PWD | sed 's,/farms/.*,,')`;
  const script = `[ -e ${mark} ] || echo ${me} >${mark}; [ $(cat ${mark}) = ${me} ] || exit 0; exec sleep 1000`;
  const limits = { maxAttempts: 0, runTimeoutMs: 0, stallTimeoutMs: 2_000 };
  const jobId = await submitSteps(farm, commandStep('hang', ['sh', '-c', script], { limits }));
  const names = ['left', 'right'];
  const hanging = await until('it hangs', () => {
    const processes = names.flatMap((name) => processesUnder(farm.agent(name).pid));
    return processes.find(({ command }) => command === 'sleep 1000');
  });
  await expectSuccess(farm, jobId);
  await until('its process is ended', () => !hanging.runs());
  const journal = await readJournal(farm);
  const [first, ...more] = journal.ended(jobId);
  expect(first).toMatchObject({ attempt: 1, failureKind: 'stalled' });
  expect(more.every(({ agentId }) => agentId === first?.agentId)).toBe(true);
  const accepted = journal.accepted(jobId).map(({ agentId }) => agentId);
  expect(new Set([first?.agentId, ...accepted])).toEqual(
    new Set(names.map((name) => farm.agentId(name))),
  );
});
