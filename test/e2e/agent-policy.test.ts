/** Whose machine it is: an agent works when its owner lets it, and what it hands back costs nothing. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { uploadFile } from '../../cli/blobs.ts';
import { UnitState } from '../../proto/gen/furrow/v1/job_service.ts';
import type { Step } from '../../proto/gen/furrow/v1/step.ts';
import { found, startFarm, type TestFarm, until } from '../support/farm.ts';
import { expectSuccess, Gate, commandStep, listUnits, submitSteps } from '../support/farm-jobs.ts';
import { type JournalRecord, readJournal } from '../support/journal-record.ts';

const count = (value: number): Step['parameters'] => ({ kind: { $case: 'count', value } });

/** Runs the CLI; it must succeed. */
async function furrow(farm: TestFarm, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await farm.furrow(...args);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return stdout;
}

const closedReason = async (farm: TestFarm, name: string): Promise<string | undefined> => {
  const { client } = farm;
  const { agents } = await client.call(client.farm.listAgents.bind(client.farm), {});
  return found(
    agents.find((agent) => agent.name === name),
    name,
  ).closedReason;
};

/**
 * How attempts ended. A grant that crosses the closing is refused, and so is one whose answer is late on a busy
 * machine: neither ran.
 */
const endsOf = (journal: JournalRecord, jobId: string): readonly string[] =>
  journal
    .ended(jobId)
    .map(({ failureKind }) => failureKind)
    .filter((kind) => kind !== 'refused');

test('never, evict: running units end and finish elsewhere at no cost; opened again it works', async () => {
  const farm = await startFarm({ agents: { den: ['--cpus', '2'] } });
  const gate = new Gate(farm, 'gate');
  const limits = { maxAttempts: 1, runTimeoutMs: 0, stallTimeoutMs: 0 };
  const step = gate.step('work', { parameters: count(2), limits });
  const jobId = await submitSteps(farm, step);
  await until('both run', () => [0, 1].every((index) => gate.hasBegun(index)));
  const units = [0, 1].map((index) => gate.process(index));

  const policy = ['agents', 'policy', 'den', '--mode', 'never', '--on-busy', 'evict'];
  const shown = await furrow(farm, ...policy, '--grace', '0s');
  expect(shown).toMatch(/^mode +never$/m);
  await until('they are ended', () => !units.some((unit) => unit.runs()));
  const reason = await until('it says so', () => closedReason(farm, 'den'));
  expect(reason).toBe('it is not to work for the farm (mode never)');
  expect(await furrow(farm, 'agents')).toMatch(/^den +closed .*\n.*den: it is not to work/m);

  await until('they wait', async () => {
    const warning = /warning: 2 units wait and no agent is to work now: furrow agents says why/;
    return warning.test(await furrow(farm, 'status'));
  });

  await farm.addAgents({ attic: ['--cpus', '2'] });
  gate.open(0, 1);
  await expectSuccess(farm, jobId);
  const journal = await readJournal(farm);
  // One attempt is allowed: one that had counted would have failed the job.
  expect(endsOf(journal, jobId)).toEqual(['evicted', 'evicted']);
  const accepted = journal.accepted(jobId).map(({ agentId }) => agentId);
  expect(accepted).toEqual([farm.agentId('attic'), farm.agentId('attic')]);
  expect(farm.attemptDirs('den')).toEqual([]);

  farm.agent('attic').signal('SIGTERM');
  await farm.agent('attic').exited;
  const next = await submitSteps(farm, commandStep('next', ['true']));
  await furrow(farm, 'agents', 'policy', 'den', '--mode', 'always');
  await expectSuccess(farm, next);
  expect((await listUnits(farm, next))[0]?.agentName).toBe('den');
});

test('a policy is kept over restarts of coordinator and agent; finish lets what runs end', async () => {
  const farm = await startFarm({ agents: { den: ['--cpus', '1'] }, takeoverGraceMs: 20_000 });
  const gate = new Gate(farm, 'gate');
  const jobId = await submitSteps(farm, gate.step('work', { parameters: count(2) }));
  await until('one runs', () => gate.hasBegun(0));
  await furrow(farm, 'agents', 'policy', 'den', '--mode', 'never');
  await until('it is closed', async () => (await closedReason(farm, 'den')) !== undefined);
  await farm.coordinator.restart();
  await farm.agentsOnline();
  gate.open(0, 1);
  await until('what ran is accepted', async () => {
    const [first] = await listUnits(farm, jobId);
    return first?.state === UnitState.UNIT_STATE_ACCEPTED;
  });
  await farm.agent('den').restart();
  await until('it is closed again', async () => {
    return (await closedReason(farm, 'den').catch(() => undefined)) !== undefined;
  });
  // Nothing new began, before and after.
  const granted = (await readJournal(farm)).granted(jobId);
  expect(granted.map(({ unitId }) => unitId)).toEqual([`${jobId}/work/0`]);
  await furrow(farm, 'agents', 'policy', 'den', '--clear');
  await expectSuccess(farm, jobId);
});

test('bad input is refused in one line that names the remedy', async () => {
  const farm = await startFarm({ agents: { den: [] } });
  const refusals: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['nobody', '--mode', 'never'], 6, /no agent is called "nobody": see furrow agents/],
    [['den', '--mode', 'sometimes'], 2, /'sometimes' is not one of always, idle, never/],
    [['den', '--hours', 'someday 1-2'], 2, /are no hours: write days and times/],
    [['den', '--time-zone', 'Mars/Base'], 2, /no time zone "Mars\/Base": give an IANA name/],
    [['den', '--max-bandwidth', '10/s'], 2, /too few to work with: give 64 KiB or more/],
    [['den', '--clear', '--mode', 'idle'], 2, /--clear forgets all .*: give no other option/],
  ];
  for (const [args, exitCode, message] of refusals) {
    const { code, stderr } = await farm.furrow('agents', 'policy', ...args);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(exitCode);
  }
  expect(await furrow(farm, 'agents', 'policy', 'den')).toMatch(/den has no policy/);
});

test('idle: it yields when somebody comes, and goes on when nobody was there for a while', async () => {
  const tools = mkdtempSync(join(tmpdir(), 'furrow-tools-'));
  onTestFinished(() => rmSync(tools, { recursive: true, force: true }));
  const idleMs = (ms: number): void => {
    // Whole from the moment at which it is there: nobody reads half of it.
    writeFileSync(join(tools, 'next'), `${ms}\n`);
    renameSync(join(tools, 'next'), join(tools, 'idle-ms'));
  };
  // A screen whose last input is as long ago as the test says.
  const screen = join(tools, 'xprintidle');
  writeFileSync(screen, `#!/bin/sh\ncat ${tools}/idle-ms\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${tools}:${process.env['PATH']}`);
  vi.stubEnv('DISPLAY', ':99');
  onTestFinished(() => void vi.unstubAllEnvs());
  idleMs(3_600_000);
  const flags = ['--mode', 'idle', '--on-busy', 'evict', '--grace', '0s', '--idle-after', '2s'];
  // What else runs on the machine of the tests is nobody's return.
  flags.push('--max-load-percent', '100', '--cpus', '1');
  const farm = await startFarm({ agents: { den: flags } });
  const gate = new Gate(farm, 'gate');
  const jobId = await submitSteps(farm, gate.step('work'));
  await until('it runs', () => gate.hasBegun(0));
  const unit = gate.process(0);
  idleMs(0);
  await until('it is ended', () => !unit.runs());
  // The farm cannot open what its owner closed.
  await furrow(farm, 'agents', 'policy', 'den', '--mode', 'always');
  const reason = await until('it says why', () => closedReason(farm, 'den'));
  expect(reason).toBe('its owner is at the machine (input within the last 2 s)');
  gate.open(0);
  idleMs(3_600_000);
  await expectSuccess(farm, jobId);
  expect(endsOf(await readJournal(farm), jobId)).toEqual(['evicted']);
});

test('a cap on bandwidth holds for files both ways, from the moment it is set', async () => {
  const bytesPerSecond = 512 * 1024;
  const sizeBytes = 2 * 2 ** 20;
  const farm = await startFarm({ agents: { den: ['--cpus', '1'] } });
  await furrow(farm, 'agents', 'policy', 'den', '--max-bandwidth', '512KiB/s');
  // The agent knows it once it was told: its next beat's answer says so.
  await furrow(farm, 'agents', 'policy', 'den', '--max-units', '7');
  await until('it has heard', async () => {
    const { client } = farm;
    const { agents } = await client.call(client.farm.listAgents.bind(client.farm), {});
    return agents[0]?.capacity?.maxUnits === 7;
  });
  const path = join(farm.workDir, 'film');
  writeFileSync(path, randomBytes(sizeBytes));
  const memoryDir = join(farm.workDir, 'uploads');
  const blob = await uploadFile(await farm.blobTarget(), path, sizeBytes, { memoryDir });
  const file = { $case: 'file', value: { name: 'film', ...blob } } as const;
  const down = commandStep('down', ['true'], { inputs: [{ kind: file }] });
  const made = ['head', '-c', String(sizeBytes), '/dev/urandom'];
  const up = commandStep('up', ['sh', '-c', `${made.join(' ')} > made`], {
    outputs: [{ pattern: 'made', keep: true, optional: false }],
  });
  for (const step of [down, up]) {
    const jobId = await submitSteps(farm, step);
    await expectSuccess(farm, jobId);
    const journal = await readJournal(farm);
    const [granted] = journal.granted(jobId);
    const [accepted] = journal.accepted(jobId);
    const seconds = (accepted!.atMs - granted!.atMs) / 1000;
    expect(sizeBytes / seconds / bytesPerSecond).toBeLessThan(1.2);
  }
});
