/** Wall clocks of a coordinator and of an agent that are set by hours while units run, by Debian's libfaketime. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startFarm, until } from '../support/farm.ts';
import { commandStep, expectSuccess, Gate, getJob, submitSteps } from '../support/farm-jobs.ts';
import { readJournal } from '../support/journal-record.ts';

/** Where deploy/setup.sh --tests puts it, if it can; each architecture has a folder of its own. */
const library = existsSync('/usr/lib')
  ? readdirSync('/usr/lib')
      .map((folder) => join('/usr/lib', folder, 'faketime', 'libfaketime.so.1'))
      .find((path) => existsSync(path))
  : undefined;

/** What the clocks show, beside the right time. */
const SETTINGS = [
  { coordinator: '+6h', agent: '+0' },
  { coordinator: '-1d', agent: '-1d' },
  { coordinator: '+0', agent: '+6h' },
] as const;

interface SettableClock {
  set(offset: string): void;
  readonly environment: NodeJS.ProcessEnv;
}

function settableClock(folder: string, name: string): SettableClock {
  const file = join(folder, name);
  const set = (offset: string): void => writeFileSync(file, offset);
  set('+0');
  return {
    set,
    environment: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
  };
}

test.skipIf(library === undefined)(
  'clocks that are set by hours, forward and back: no lease ends, and no retry waits for them',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'furrow-clocks-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const coordinators = settableClock(folder, 'coordinator');
    const agents = settableClock(folder, 'agent');
    const farm = await startFarm({
      coordinatorEnvironment: coordinators.environment,
      agentEnvironment: agents.environment,
      agents: { one: ['--cpus', '2'] },
    });
    const gate = new Gate(farm, 'gate');
    const running = await submitSteps(farm, gate.step('long'));
    await until('it runs', () => gate.hasBegun(0));
    for (const { coordinator, agent } of SETTINGS) {
      // Fails once, and is due again in a second: by a clock that is about to be another.
      const mark = join(farm.workDir, `mark${coordinator}`);
      const fails = await submitSteps(
        farm,
        commandStep('again', ['sh', '-c', `mkdir ${mark} && exit 1; exit 0`]),
      );
      await until('it failed once', async () => {
        return (await getJob(farm, fails)).steps[0]?.lostAttempts === 1;
      });
      coordinators.set(coordinator);
      agents.set(agent);
      await expectSuccess(farm, fails);
    }
    gate.open(0);
    await expectSuccess(farm, running);
    const ends = (await readJournal(farm)).ended();
    expect(ends.map(({ failureKind }) => failureKind)).toEqual(SETTINGS.map(() => 'failed'));
    expect(ends.every(({ unitId }) => unitId.includes('/again/'))).toBe(true);
  },
);
