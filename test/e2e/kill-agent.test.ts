/** An agent dies, sleeps, or is cut off, in the middle of its work. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { counterOf, epochOf } from '../../coordinator/domain/token.ts';
import {
  ResultBatch,
  ResultReply,
  Verdict,
  type Result,
} from '../../proto/gen/furrow/work/v1/work.ts';
import { resultSubject } from '../../proto/subjects.ts';
import { Clips } from '../support/clips.ts';
import { found, startFarm, type TestFarm, until } from '../support/farm.ts';
import {
  commandStep,
  expectExactFilm,
  expectSuccess,
  Gate,
  listUnits,
  submitFilm,
  submitSteps,
} from '../support/farm-jobs.ts';
import { type AttemptRecord, type JournalRecord, readJournal } from '../support/journal-record.ts';
import { encodersUnder, watchProcess, type Watched } from '../support/processes.ts';
import { startProxy } from '../support/proxy.ts';

const CLIP_FRAMES = 100;
/** One holds one encode; the other has room for what the first loses. */
const AGENTS = { small: ['--cpus', '1'], large: ['--cpus', '2'] };

let clips: Clips;
let clip: string;
beforeAll(async () => {
  clips = await Clips.open();
  clip = await clips.path('open-gop');
});
afterAll(() => clips.close());

test('kill -9 in mid-encode: its units run elsewhere within TTL + 3 s, and the film is exact', async () => {
  const farm = await startFarm({ mediaTools: 'ffmpeg', agents: AGENTS });
  const { jobId, encoders } = await encodingOnSmall(farm);
  const killedAtMs = Date.now();
  await farm.agent('small').kill();
  await until('its encoders die with it', () => !encoders.some((encoder) => encoder.runs()));

  await expectExactFilm(farm, await expectSuccess(farm, jobId), CLIP_FRAMES);
  const journal = await readJournal(farm);
  const lost = lostOn(journal, farm.agentId('small'));
  expect(lost.length).toBeGreaterThan(0);
  for (const grant of regrantsOf(journal, lost)) {
    expect(grant.agentId).toBe(farm.agentId('large'));
    const awayMs = grant.atMs - killedAtMs;
    console.info(`${grant.unitId} runs elsewhere ${awayMs} ms after the kill`);
    expect(awayMs).toBeLessThanOrEqual(farm.leaseTtlMs + 3_000);
  }
});

test('asleep for longer than the TTL in mid-encode: its result is refused, and the film is exact', async () => {
  const farm = await startFarm({ mediaTools: 'ffmpeg', agents: AGENTS });
  const { jobId, encoders } = await encodingOnSmall(farm);
  const asleep = [farm.agent('small').pid, ...encoders.map(({ pid }) => pid)];
  for (const pid of asleep) process.kill(pid, 'SIGSTOP');
  const lost = await until('its encode runs elsewhere', async () => {
    const journal = await readJournal(farm);
    const [first] = lostOn(journal, farm.agentId('small'));
    return first !== undefined && journal.granted(first.unitId).length > 1 && first;
  });
  // As if it had been under way while the agent slept.
  expect(await reportSuccess(farm, lost)).toBe(Verdict.VERDICT_STALE);
  for (const pid of asleep) process.kill(pid, 'SIGCONT');
  await until('its encoders are ended', () => !encoders.some((encoder) => encoder.runs()));
  const prefix = `${lost.unitId.replaceAll('/', '-')}-1-`;
  await until('its files are gone', () => {
    return !farm.attemptDirs('small').some((name) => name.startsWith(prefix));
  });

  await expectExactFilm(farm, await expectSuccess(farm, jobId), CLIP_FRAMES);
  const journal = await readJournal(farm);
  const [again] = regrantsOf(journal, [lost]);
  expect(journal.accepted(again?.unitId)).toMatchObject([{ token: again?.token }]);
});

test('cut off for longer than the TTL: it finishes its unit, and offers it in vain', async () => {
  const farm = await startFarm({ mediaTools: 'ffmpeg' });
  const proxy = await startProxy(farm.grpcPort);
  onTestFinished(() => proxy.close());
  await farm.addAgents({ far: ['--cpus', '1', '--farm', `127.0.0.1:${proxy.port}`] });
  const gate = new Gate(farm, 'gate');
  // The first attempt waits at gate 0, the second at gate 1.
  const own = `mkdir ${join(farm.workDir, 'first')} 2>/dev/null && n=0 || n=1`;
  const script = `${own}; ${gate.script('$n')}; echo done > result`;
  const outputs = [{ pattern: 'result', keep: true, optional: false }];
  const jobId = await submitSteps(farm, commandStep('far', ['sh', '-c', script], { outputs }));
  await until('it runs', () => gate.hasBegun(0));
  const unit = gate.process(0);
  proxy.cut();
  await farm.addAgents({ near: ['--cpus', '1'] });
  await until('it runs elsewhere', async () => {
    const [seen] = await listUnits(farm, jobId);
    return seen?.agentName === 'near';
  });
  expect(unit.runs()).toBe(true);
  gate.open(0);
  // Its NATS side is up: the refusal comes from the answer to its offer alone.
  await until('its files are gone', () => farm.attemptDirs('far').length === 0);
  expect(unit.runs()).toBe(false);
  gate.open(1);
  await expectSuccess(farm, jobId);
  const journal = await readJournal(farm);
  expect(journal.accepted(jobId)).toMatchObject([{ attempt: 2, agentId: farm.agentId('near') }]);
});

test('killed and started again: what it left is ended, and its leases end at once, not after the TTL', async () => {
  const farm = await startFarm({ agents: { only: ['--cpus', '1'] }, leaseTtlMs: 600_000 });
  const orphan = join(farm.workDir, 'orphan');
  // A grandchild in a session of its own survives the agent; only its next start can end it.
  const script = `[ -e ${orphan} ] && exit 0; setsid sleep 1000 & echo $! > ${orphan}.new; mv ${orphan}.new ${orphan}; wait`;
  const jobId = await submitSteps(farm, commandStep('work', ['sh', '-c', script]));
  await until('the grandchild runs', () => existsSync(orphan));
  const grandchild = watchProcess(Number(readFileSync(orphan, 'utf8')));
  await farm.agent('only').kill();
  expect(grandchild.runs()).toBe(true);
  farm.agent('only').start();
  await expectSuccess(farm, jobId);
  expect(grandchild.runs()).toBe(false);
  const journal = await readJournal(farm);
  const ends = journal.ended(jobId);
  expect(ends).toMatchObject([{ attempt: 1 }]);
  // Whether a beat had told that it runs before the kill came, only the coordinator knew.
  expect(['lost', 'refused']).toContain(ends[0]?.failureKind);
});

/** A film whose first piece is under way on the small agent; only from then on the large one may help. */
async function encodingOnSmall(
  farm: TestFarm,
): Promise<{ readonly jobId: string; readonly encoders: readonly Watched[] }> {
  const { client } = farm;
  const agent = { agent: 'large' };
  await client.call(client.farm.drainAgent.bind(client.farm), agent);
  const jobId = await submitFilm(farm, clip, { pieceMs: 2000 });
  const encoders = await encoding(farm, 'small');
  await client.call(client.farm.undrainAgent.bind(client.farm), agent);
  return { jobId, encoders };
}

function encoding(farm: TestFarm, agent: string): Promise<readonly Watched[]> {
  return until(`${agent} encodes`, () => {
    const encoders = encodersUnder(farm.agent(agent).pid);
    return encoders.some((encoder) => encoder.cpuTicks() > 10) && encoders;
  });
}

function lostOn(journal: JournalRecord, agentId: string): readonly AttemptRecord[] {
  return journal.ended().filter((end) => end.agentId === agentId && end.failureKind === 'lost');
}

function regrantsOf(
  journal: JournalRecord,
  lost: readonly AttemptRecord[],
): readonly AttemptRecord[] {
  return lost.map(({ unitId, attempt }) => {
    const again = journal.granted(unitId).find((grant) => grant.attempt === attempt + 1);
    return found(again, `second grant of ${unitId}`);
  });
}

/** Reports a success in the agent's name, as it would itself. */
async function reportSuccess(
  farm: TestFarm,
  { unitId, token, agentId }: AttemptRecord,
): Promise<Verdict | undefined> {
  const [jobId = '', step = '', unit = ''] = unitId.split('/');
  const result: Result = {
    token: { epoch: epochOf(token), counter: counterOf(token) },
    jobId,
    step,
    unit: Number(unit),
    outcome: { $case: 'success', value: { outputs: [] } },
    startedAtMs: 1,
    endedAtMs: 2,
    peakRamBytes: 0,
  };
  const nats = await farm.nats.connect('late result');
  const batch = ResultBatch.encode({
    agentId,
    session: 'late',
    results: [result],
    successes: [],
  }).finish();
  const answer = await nats.request(resultSubject(agentId), batch, { timeout: 10_000 });
  await nats.close();
  return ResultReply.decode(answer.data).verdicts[0]?.verdict;
}
