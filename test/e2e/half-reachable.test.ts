/**
 * What an agent needs is three planes, and each may be out of reach alone: NATS, gRPC, the blobs. Nothing that
 * runs is lost or done twice, and nothing is held against a unit or an agent.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { Step } from '../../proto/gen/furrow/v1/step.ts';
import { startFarm, type TestFarm, until } from '../support/farm.ts';
import {
  commandStep,
  expectSuccess,
  Gate,
  getJob,
  listUnits,
  submitSteps,
} from '../support/farm-jobs.ts';
import { readJournal } from '../support/journal-record.ts';
import { startTestNats } from '../support/nats-server.ts';
import { type Proxy, startProxy } from '../support/proxy.ts';
import { ownerOf } from '../torture/socket-owner.ts';

/** Longer than leases live here; FURROW_TEST_OUTAGE_MS=60000 for longer than an agent tries one upload. */
const OUTAGE_MS = Number(process.env['FURROW_TEST_OUTAGE_MS'] ?? 4_000);
const timeout = OUTAGE_MS + 120_000;

const count = (value: number): Step['parameters'] => ({ kind: { $case: 'count', value } });
const outputs = [{ pattern: 'result', keep: true, optional: false }];

test(
  'gRPC alone is cut: what runs is accepted all the same, and nothing else begins',
  { timeout },
  async () => {
    const farm = await startFarm();
    const proxy = await proxied(startProxy(farm.grpcPort));
    await farm.addAgents({ far: ['--cpus', '1', '--farm', `127.0.0.1:${proxy.port}`] });
    const gate = new Gate(farm, 'gate');
    const script = `${gate.script('{index}')}; echo done > result`;
    const step = commandStep('far', ['sh', '-c', script], { parameters: count(2), outputs });
    const jobId = await submitSteps(farm, step);
    await until('the first runs', () => gate.hasBegun(0));
    proxy.cut();
    await until('its lease is over', async () => {
      const [first] = await listUnits(farm, jobId);
      return first?.agentName === '';
    });
    gate.open(0, 1);
    await until('its result is accepted', async () => {
      return (await getJob(farm, jobId)).steps[0]?.accepted === 1;
    });
    expect(gate.hasBegun(1), 'no lease is renewed').toBe(false);
    proxy.heal();
    await expectSuccess(farm, jobId);
    const journal = await readJournal(farm);
    const attempts = journal.accepted(jobId).map(({ unitId, attempt }) => `${unitId} ${attempt}`);
    expect(attempts).toEqual([`${jobId}/far/0 1`, `${jobId}/far/1 1`]);
  },
);

test(
  'NATS alone is cut: what runs keeps its lease and its result, and the agent gets nothing',
  { timeout },
  async () => {
    let farPid = 0;
    const nats = await startTestNats();
    const isFars = (_opening: Buffer, port: number): boolean =>
      ownerOf('127.0.0.1', port, [farPid]) === farPid;
    const proxy = await proxied(startProxy(Number(new URL(nats.url).port), isFars));
    const farm = await startFarm({ nats, natsUrl: `nats://127.0.0.1:${proxy.port}` });
    const starting = farm.addAgents({ far: ['--cpus', '2'] });
    farPid = farm.agent('far').pid;
    await starting;
    const gate = new Gate(farm, 'gate');
    const jobId = await submitSteps(farm, gate.step('far'));
    await until('it runs', () => gate.hasBegun(0));
    proxy.cut();
    const cutAtMs = performance.now();
    const listAgents = farm.client.farm.listAgents.bind(farm.client.farm);
    const other = await submitSteps(farm, commandStep('other', ['true'], { parameters: count(4) }));
    await until('nothing is granted, and it is said why', async () => {
      const { agents } = await farm.client.call(listAgents, {});
      return agents[0]?.closedReason === 'it has no connection to NATS';
    });
    const granted = (await readJournal(farm)).granted(other).length;
    gate.open(0);
    await sleep(cutAtMs + OUTAGE_MS - performance.now());
    expect((await getJob(farm, jobId)).steps[0], 'it is held, and not told').toMatchObject({
      leased: 1,
    });
    expect((await readJournal(farm)).granted(other), 'since that was known').toHaveLength(granted);
    await farm.addAgents({ near: ['--cpus', '1'] });
    await expectSuccess(farm, other);
    expect((await readJournal(farm)).ended(jobId)).toEqual([]);
    proxy.heal();
    await expectSuccess(farm, jobId);
    const journal = await readJournal(farm);
    expect(journal.ended(jobId)).toEqual([]);
    expect(journal.accepted(jobId)).toMatchObject([{ attempt: 1, agentId: farm.agentId('far') }]);
    expect(new Set(journal.accepted(other).map(({ unitId }) => unitId)).size).toBe(4);
  },
);

test(
  'the blobs alone are cut: results wait for them, units without files go on, and nobody is blamed',
  { timeout },
  async () => {
    const { farm, proxy } = await behindBlobProxy();
    await farm.addAgents({ one: ['--cpus', '2'], two: ['--cpus', '2'] });
    const gate = new Gate(farm, 'gate');
    const script = `${gate.script('{index}')}; echo {index} > result`;
    const step = commandStep('made', ['sh', '-c', script], { parameters: count(2), outputs });
    // Takes what the first step made: its inputs cannot be had either.
    const next = commandStep('next', ['sh', '-c', 'cat result > copy'], {
      parameters: { kind: { $case: 'forEach', value: { step: 'made', pattern: 'result' } } },
      dependsOn: ['made'],
      outputs: [{ pattern: 'copy', keep: true, optional: false }],
    });
    const jobId = await submitSteps(farm, step, next);
    await until('both run', () => [0, 1].every((index) => gate.hasBegun(index)));
    proxy.cut();
    const cutAtMs = performance.now();
    gate.open(0, 1);
    const plain = await submitSteps(farm, commandStep('plain', ['true'], { parameters: count(4) }));
    await expectSuccess(farm, plain);
    await sleep(cutAtMs + OUTAGE_MS - performance.now());
    expect((await getJob(farm, jobId)).steps[0]).toMatchObject({ leased: 2, accepted: 0 });
    proxy.heal();
    await expectSuccess(farm, jobId);
    const journal = await readJournal(farm);
    expect(journal.ended(), 'no attempt ended without a result').toEqual([]);
    const attempts = journal.accepted(jobId).map(({ attempt }) => attempt);
    expect(attempts, 'each ran once').toEqual([1, 1, 1, 1]);
  },
);

/** A farm whose HTTP port all reach by a proxy, on the same port of another loopback address. */
async function behindBlobProxy(): Promise<{ readonly farm: TestFarm; readonly proxy: Proxy }> {
  const host = '127.0.0.2';
  const farm = await startFarm({
    coordinatorEnvironment: { FURROW_ADVERTISE: host, FURROW_ANNOUNCE: 'false' },
  });
  const port = Number(new URL(farm.httpUrls[0]!).port);
  return { farm, proxy: await proxied(startProxy(port, undefined, { host, port })) };
}

async function proxied(starting: Promise<Proxy>): Promise<Proxy> {
  const proxy = await starting;
  onTestFinished(() => proxy.close());
  return proxy;
}
