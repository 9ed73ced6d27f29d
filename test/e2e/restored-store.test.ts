/**
 * A backup of the NATS store is put back while an agent remembers more: nobody leads on it until a
 * person has decided, and then nothing of the lost time counts.
 */
import { existsSync } from 'node:fs';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { furrowHome } from '../../kit/furrow-home.ts';
import { startFarm, until } from '../support/farm.ts';
import { commandStep, expectSuccess, Gate, submitSteps } from '../support/farm-jobs.ts';
import { readJournal } from '../support/journal-record.ts';
import { NATS_VERSIONS, startTestNats } from '../support/nats-server.ts';

const EXIT_REFUSED = 7;

test.each(NATS_VERSIONS)(
  'nats-server %s: a live agent has seen what the store lacks',
  async (version) => {
    const nats = await startTestNats({ version });
    const farm = await startFarm({ nats, agents: { one: ['--cpus', '1'] } });
    const home = furrowHome(farm.home, {});
    const store = join(nats.directory, 'store');
    const backup = join(farm.workDir, 'backup');
    await expectSuccess(farm, await submitSteps(farm, commandStep('kept', ['true'])));
    await farm.coordinator.kill();
    await nats.stop();
    await cp(store, backup, { recursive: true });
    await nats.start();

    // The farm goes on: a unit runs whose job the backup does not know, and ends untold.
    farm.coordinator.start();
    await farm.agentsOnline('one');
    const gate = new Gate(farm, 'gate');
    const lost = await submitSteps(farm, gate.step('work'));
    await until('the unit runs', () => gate.hasBegun(0));
    await farm.coordinator.kill();
    gate.open(0);
    const outbox = async (): Promise<boolean> => {
      const [id = ''] = await readdir(join(home.agentDir('one'), 'farms'));
      const folder = join(home.agentDir('one'), 'farms', id, 'outbox');
      const sizes = await Promise.all(
        (await readdir(folder)).map((name) => readFile(join(folder, name))),
      );
      return sizes.some((bytes) => bytes.includes('work'));
    };
    await until('its result is kept', outbox);

    // The backup is put back under a coordinator without a memory, and goes on: same job, same epoch.
    farm.agent('one').signal('SIGSTOP');
    await nats.stop();
    await rm(store, { recursive: true });
    await cp(backup, store, { recursive: true });
    await nats.start();
    await rm(join(home.coordinatorDir, 'identity.json'));
    farm.coordinator.start();
    await farm.listening();
    const mark = join(farm.workDir, 'mark');
    const later = await submitSteps(farm, commandStep('work', ['sh', '-c', `echo ran >> ${mark}`]));
    expect(later).toBe(lost);

    farm.agent('one').signal('SIGCONT');
    expect(await farm.coordinator.exited).toBe(EXIT_REFUSED);
    farm.coordinator.start();
    expect(await farm.coordinator.exited).toBe(EXIT_REFUSED);
    const log = await readFile(join(farm.home, '..', 'log', 'coordinator.log'), 'utf8');
    expect(log.trimEnd().split('\n').at(-1)).toMatch(
      new RegExp(`agent ${farm.agentId('one')} has seen .* --accept-restored-store$`),
    );
    expect(existsSync(mark)).toBe(false);

    // A person decides for what is there.
    await writeFile(join(home.coordinatorDir, 'config.json'), '{"acceptRestoredStore": true}');
    farm.coordinator.start();
    await expectSuccess(farm, later);
    expect(await readFile(mark, 'utf8')).toBe('ran\n');
    const journal = await readJournal(farm);
    expect(journal.accepted(later)).toHaveLength(1);
    expect(journal.farm.reigns.map(({ acceptsLoss }) => acceptsLoss)).toEqual([false, false, true]);
    await until('the lost attempt is gone', () => farm.attemptDirs('one').length === 0);
  },
);
