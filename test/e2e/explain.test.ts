/** `furrow explain` on a real farm: what holds a unit, in words that name the thing and the remedy. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { ExplainResponse } from '../../proto/gen/furrow/v1/job_service.ts';
import type { Step } from '../../proto/gen/furrow/v1/step.ts';
import { Clips } from '../support/clips.ts';
import { startFarm, type TestFarm, until } from '../support/farm.ts';
import { commandStep, Gate, getJob, NO_DEMAND, submitSteps } from '../support/farm-jobs.ts';
import { clientOf } from '../support/takeover.ts';

const count = (value: number): Step['parameters'] => ({ kind: { $case: 'count', value } });

/** The same without a process of its own. */
async function told(farm: TestFarm, id: string): Promise<string> {
  const { client } = farm;
  const { lines } = await client.call(client.jobs.explain.bind(client.jobs), { id });
  return lines.join('\n');
}

async function explained(farm: TestFarm, id: string): Promise<string> {
  const { code, stdout, stderr } = await farm.furrow('explain', id);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

test('explain: too large, no room, blocked, paused, running, done, and what names nothing', async () => {
  const farm = await startFarm({ mediaTools: 'ffmpeg' });
  // Nobody is known yet, so anything is taken.
  const tooLarge = await submitSteps(
    farm,
    commandStep('huge', ['true'], { demand: { ...NO_DEMAND, cpuMillis: 512_000 } }),
  );
  expect(await told(farm, `${tooLarge}/huge/0`)).toContain('no agent is known');
  await farm.addAgents({ den: ['--cpus', '2'], nas: ['--cpus', '1'] });
  const large = await explained(farm, `${tooLarge}/huge/0`);
  expect(large).toContain(`${tooLarge}/huge/0 waits: no agent could run it`);
  expect(large).toMatch(/ {2}den {2}needs 512 CPUs; has 2\n/);
  expect(large).toContain('would help: an agent with 512 CPUs');

  const gate = new Gate(farm, 'gate');
  const two = { ...NO_DEMAND, cpuMillis: 2_000 };
  const jobId = await submitSteps(
    farm,
    gate.step('long', { parameters: count(2), demand: two }),
    commandStep('after', ['true'], { dependsOn: ['long'] }),
  );
  await until('one runs', () => gate.hasBegun(0));
  await until('it is known to run', async () =>
    (await told(farm, `${jobId}/long/0`)).includes('runs on den'),
  );
  const running = await explained(farm, `${jobId}/long/0`);
  expect(running).toMatch(/since: \d\d:\d\d:\d\d, for /);
  expect(running).toContain('ends: unknown');
  const waiting = await explained(farm, `${jobId}/long/1`);
  expect(waiting).toContain('waits: no agent has room for it now');
  expect(waiting).toContain('den  needs 2 CPUs; has 0 of 2 left (2 booked by units)');
  expect(waiting).toContain('nas  needs 2 CPUs; has 1\n');
  expect(waiting).toContain('would help: den when one of its units ends; nobody knows when');
  expect(waiting).toContain('starts: unknown');
  expect(await told(farm, `${jobId}/after/0`)).toContain(
    'waits for step long (0 of 2 done, 1 running)',
  );
  const whole = await explained(farm, jobId);
  expect(whole).toContain(`${jobId} is running: 0 of 3 units are done`);
  expect(whole).toContain(`${jobId}/long runs on den`);
  expect(whole).toContain(`${jobId}/long waits: no agent has room`);
  expect(whole).toContain(`${jobId}/after waits for step long`);

  await farm.furrow('pause', jobId);
  const paused = await explained(farm, `${jobId}/long/1`);
  expect(paused).toContain('waits: the job is paused');
  expect(paused).toContain('would help: resume the job');
  await farm.furrow('resume', jobId);
  gate.open(0, 1);
  await until('all is done', async () => (await getJob(farm, jobId)).endedAtMs > 0);
  expect(await told(farm, `${jobId}/long/1`)).toContain('is done on den');
  expect(await explained(farm, jobId)).toBe(`${jobId} has succeeded: all 3 units are done\n`);

  expect(await farm.furrow('explain', `${jobId}/long/9`)).toMatchObject({
    code: 6,
    stderr: `furrow: no unit ${jobId}/long/9: ${jobId}/long has 2 units, from 0 to 1\n`,
  });
  await expect(told(farm, `${jobId}/nix/0`)).rejects.toThrow(
    `${jobId} has no step "nix": its steps are long, after`,
  );
  await expect(told(farm, 'film.mov')).rejects.toThrow('ids look like j12');
});

test('dry run: nothing is sent, unknown times are said to be, and a film that ran tells of the next', async () => {
  const farm = await startFarm({
    mediaTools: 'ffmpeg',
    agents: { den: ['--cpus', '2'], nas: ['--cpus', '1'] },
  });
  const clips = await Clips.open();
  onTestFinished(() => clips.close());
  const clip = await clips.path('closed-gop');
  const dryRun = async (kind: string, ...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await farm.furrow('submit', kind, '--dry-run', ...args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return stdout;
  };
  const before = await dryRun('transcode', clip);
  expect(before).toMatch(/^closed\.mp4 would run; nothing was sent\n/);
  expect(before).toContain('split: 1 unit\n');
  expect(before).toContain('encode: units known after step split\n');
  expect(before).toContain('proof: 1 unit, after split, encode, audio, concat\n');
  expect(before).toContain('  runs on: den, nas\n');
  expect(before).toContain('  takes: unknown, no unit like those of split ran yet\n');
  expect(before).toMatch(/all of it takes: unknown, no unit like those of split ran yet\n$/);
  const blobs = await readdir(join(farm.home, 'coordinator', 'blobs'), { recursive: true });
  expect(blobs.filter((name) => /[0-9a-f]{64}/.test(name))).toEqual([]);
  expect(JSON.parse((await farm.furrow('jobs', '--all', '--json')).stdout)).toMatchObject({
    jobs: [],
  });

  const { code } = await farm.furrow('submit', 'transcode', clip, '--watch');
  expect(code).toBe(0);
  const after = await dryRun('transcode', clip);
  expect(after).toMatch(/split: 1 unit\n.*\n.*\n {2}takes: \d+\.\ds a unit, as in j1\n/);
  expect(after).toMatch(
    / {2}takes: \d+\.\ds a unit, as in j1; how many units encode has is known only after split\n/,
  );

  const several = await dryRun('command', '--count', '5', '--cpus', '2', '--', 'sleep', '0.2');
  expect(several).toContain('run: 5 units\n  needs: 2 cores, command:sleep\n  runs on: den\n');
  await farm.furrow('submit', 'command', '--cpus', '2', '--watch', '--', 'sleep', '0.2');
  const measured: unknown = JSON.parse(
    (
      await farm.furrow(
        'submit',
        'command',
        '--count',
        '5',
        '--cpus',
        '2',
        '--dry-run',
        '--json',
        '--',
        'sleep',
        '0.2',
      )
    ).stdout,
  );
  expect(measured).toMatchObject({
    name: 'sleep',
    takesMs: expect.any(Number),
    steps: [
      { units: 5, agentsNow: ['den'], measuredBy: 'j2', unitMs: expect.any(Number), unknown: '' },
    ],
  });
  // What no agent could run is refused, as the submit would be.
  expect(
    await farm.furrow('submit', 'command', '--cpus', '64', '--dry-run', '--', 'true'),
  ).toMatchObject({
    code: 7,
    stdout: '',
    stderr:
      'furrow: step run needs 64 CPUs; the most that fits is 2 CPUs, on den: ask for less, or add a larger agent\n',
  });
  await farm.furrow('drain', 'den');
  expect(await dryRun('command', '--cpus', '2', '--', 'true')).toContain(
    '  runs on: what could run it takes nothing new; would help: den when that changes: it is drained\n',
  );
});

test('a standby says what it cannot know; while NATS is away the answer tells its age, and what is held up', async () => {
  const farm = await startFarm({
    mediaTools: 'ffmpeg',
    hasStandby: true,
    agents: { only: ['--cpus', '1'] },
  });
  const gate = new Gate(farm, 'gate');
  const jobId = await submitSteps(farm, gate.step('long', { parameters: count(2) }));
  await until('one runs', () => gate.hasBegun(0));
  const explainAt = async (which: number, id: string): Promise<ExplainResponse> => {
    const client = clientOf(farm, which);
    return client.call(client.jobs.explain.bind(client.jobs), { id });
  };
  const following = await until('the standby has read of it', async () => {
    const answer = await explainAt(1, jobId).catch(() => undefined);
    return answer?.explanations.length === 2 && answer;
  });
  expect(following).toMatchObject({ hearsAgents: false, leader: farm.addresses[0], ageMs: 0 });
  expect(following.explanations.map(({ why }) => why)).toEqual([
    expect.stringMatching(/ only/),
    'waits: which agents could take it is known to the leader alone',
  ]);

  await farm.nats.kill();
  const doubtful = await until('the journal is in doubt', async () => {
    const answer = await explainAt(0, `${jobId}/long/1`);
    return answer.ageMs > 0 && answer;
  });
  expect(doubtful).toMatchObject({
    hearsAgents: true,
    summary: `${jobId}/long/1 waits: nothing is granted until the journal takes commits again: see furrow status`,
  });
  const { stdout, stderr } = await farm.furrow('explain', `${jobId}/long/1`);
  expect(stdout).toContain('nothing is granted until the journal takes commits again');
  expect(stderr).toMatch(/^warning: the farm as it was .* ago; see furrow status\n$/);
});
