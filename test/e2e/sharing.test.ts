/** Tickets, owners, tags and limits, from the command line to the units that run, on a real farm. */
import { expect, test } from 'vitest';
import { startFarm, type TestFarm, until } from '../support/farm.ts';
import { expectSuccess, Gate, listUnits } from '../support/farm-jobs.ts';

interface Shares {
  readonly tickets: readonly { name: string; limit: number; used: number }[];
  readonly owners: readonly { name: string; weight: number; leases: number; maxUnits: number }[];
}

/** The document that a command prints. */
async function json<T>(farm: TestFarm, ...args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await farm.furrow('--json', ...args);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout) as T;
}

async function submitGated(farm: TestFarm, gate: Gate, ...flags: readonly string[]) {
  const script = ['sh', '-c', gate.script('{index}')];
  const argv = ['submit', 'command', '--cpus', '0.5', ...flags, '--', ...script];
  return (await json<{ jobId: string }>(farm, ...argv)).jobId;
}

const begun = (gate: Gate, most: number): number =>
  Array.from({ length: most }, (_, index) => index).filter((index) => gate.hasBegun(index)).length;

test('no more units run at once than there are tickets, over a restart too, and then all of them', async () => {
  const farm = await startFarm({ agents: { one: ['--cpus', '2'] }, takeoverGraceMs: 20_000 });
  expect(await json<Shares>(farm, 'tickets', 'set', 'nuke', '2')).toEqual({
    tickets: [{ name: 'nuke', limit: 2, used: 0 }],
  });
  const gate = new Gate(farm, 'gate');
  const jobId = await submitGated(farm, gate, '--count', '5', '--ticket', 'nuke');
  await until('two units run', () => begun(gate, 5) === 2);
  await farm.coordinator.restart();
  await farm.agentsOnline();
  expect(await json<Shares>(farm, 'tickets')).toEqual({
    tickets: [{ name: 'nuke', limit: 2, used: 2 }],
  });
  gate.open(0);
  await until('a third runs', () => begun(gate, 5) === 3);
  gate.open(1, 2, 3, 4);
  await expectSuccess(farm, jobId);
  const { tickets } = await json<Shares>(farm, 'tickets');
  expect(tickets).toMatchObject([{ used: 0 }]);

  const unknown = await farm.furrow('submit', 'command', '--ticket', 'houdini', '--', 'true');
  expect(unknown.code).toBe(7);
  expect(unknown.stderr).toContain('say how many there are with furrow tickets set NAME N');
});

test('owners have weights, and tags and pools say where', async () => {
  const farm = await startFarm({
    agents: { studio: ['--cpus', '2', '--tag', 'studio', '--pool', 'day'], home: ['--cpus', '2'] },
  });
  const { owners } = await json<Shares>(farm, 'owners', 'set', 'bob', '--weight', '3');
  expect(owners).toMatchObject([{ name: 'bob', weight: 3, leases: 0 }]);
  const gate = new Gate(farm, 'gate');
  const flags = ['--count', '9', '--tag', 'studio', '--pool', 'day'];
  const jobId = await submitGated(farm, gate, ...flags, '--owner', 'bob');
  gate.open(...Array.from({ length: 9 }, (_, index) => index));
  await expectSuccess(farm, jobId);
  const units = await listUnits(farm, jobId);
  expect(new Set(units.map(({ agentName }) => agentName))).toEqual(new Set(['studio']));
  const nowhere = await farm.furrow('submit', 'command', '--tag', 'moon', '--', 'true');
  expect(nowhere.stderr).toContain('needs tag:moon, which no agent has');
});

test('a job with a limit leaves the rest of the farm to others', async () => {
  const farm = await startFarm({ agents: { one: ['--cpus', '2'] } });
  const gates = [new Gate(farm, 'first'), new Gate(farm, 'second')] as const;
  const first = await submitGated(farm, gates[0], '--count', '4', '--max-units', '1');
  const second = await submitGated(farm, gates[1], '--count', '4', '--owner', 'ann');
  await until('all CPUs are taken', () => begun(gates[0], 4) + begun(gates[1], 4) === 4);
  expect(begun(gates[0], 4)).toBe(1);
  const { owners } = await json<Shares>(farm, 'owners');
  expect(owners.find(({ name }) => name === 'ann')).toMatchObject({ weight: 1, leases: 3 });
  for (const gate of gates) gate.open(0, 1, 2, 3);
  await expectSuccess(farm, first);
  await expectSuccess(farm, second);
});
