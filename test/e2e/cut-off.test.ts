/** A coordinator that NATS is out of reach for, for longer than leases live, and that comes back. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { UnitState } from '../../proto/gen/furrow/v1/job_service.ts';
import { startFarm, type TestFarm, until } from '../support/farm.ts';
import { commandStep, submitSteps } from '../support/farm-jobs.ts';
import { startTestCluster } from '../support/nats-cluster.ts';
import { startTestNats, type TestNats } from '../support/nats-server.ts';
import { type Proxy, startProxy } from '../support/proxy.ts';
import {
  AGENTS,
  EXIT_DEPOSED,
  expectAdopted,
  expectTakeover,
  Load,
  OUTAGE_MS,
  OUTAGE_TEST_TIMEOUT_MS,
  startRunningUnits,
  statusOf,
} from '../support/takeover.ts';
import { watch } from '../support/watcher.ts';

const timeout = OUTAGE_TEST_TIMEOUT_MS;

/** How the way to NATS ends: with an answer (a cable that is pulled at the switch), or without one. */
const CUTS = {
  cut: (proxy: Proxy) => proxy.cut(),
  'black hole': (proxy: Proxy) => proxy.blackHole(),
} as const;

/** Each way of being cut off, each kind of store, each version: not all of their combinations. */
const STORES = {
  cut: { replicas: 1, start: () => startTestNats({ version: '2.10' }) },
  'black hole': { replicas: 3, start: () => startTestCluster('newest') },
} as const;

test.each(['cut', 'black hole'] as const)(
  '%s with a standby: it takes over, and the one that was cut off exits when it is back',
  { timeout },
  async (kind) => {
    const { replicas, start } = STORES[kind];
    const cut = CUTS[kind];
    const { nats, natsUrl, proxies } = await behindProxies(await start());
    const farm = await startFarm({
      nats,
      natsUrl,
      replicas,
      hasStandby: true,
      takeoverGraceMs: 20_000,
    });
    const { client } = farm;
    const { jobs } = client;
    const jobId = await submitSteps(farm, commandStep('waits', ['true']));
    await client.call(jobs.pauseJob.bind(jobs), { jobId });
    const watcher = watch(farm, jobId);
    await expectTakeover(
      farm,
      async () => proxies.forEach(cut),
      async () => {
        expect(farm.coordinator.isRunning).toBe(true);
        // Whoever watched at the one that is cut off is told of what its successor does.
        await client.call(jobs.cancelJob.bind(jobs), { jobId, reason: 'by the successor' });
        await watcher.ended;
        for (const proxy of proxies) proxy.heal();
        expect(await farm.coordinator.exited).toBe(EXIT_DEPOSED);
      },
    );
    expect(await statusOf(farm.client)).toMatchObject({ standby: false, epoch: 2 });
  },
);

test.each(Object.entries(CUTS))(
  '%s without a standby: it goes on when it is back, with all that runs',
  { timeout },
  async (_, cut) => {
    const { nats, natsUrl, proxies } = await behindProxies(await startTestNats());
    const farm = await startFarm({ nats, natsUrl });
    const running = await startRunningUnits(farm);
    const load = new Load(farm);
    await load.untilAcknowledged(5);
    const cutAtMs = performance.now();
    proxies.forEach(cut);
    await expectLastKnown(farm);
    const { told, troubles } = running.watcher;
    await until('the watcher is told', () => troubles.length > 0);
    await sleep(cutAtMs + OUTAGE_MS - performance.now());
    expect(troubles).toEqual([expect.stringContaining('the journal cannot be written')]);
    expect(told.size, 'both were granted').toBe(2);
    for (const proxy of proxies) proxy.heal();
    await load.untilAcknowledged(5);
    await load.expectAllSucceed();
    await expectAdopted(running, 1);
  },
);

/** While the journal is in doubt: what was confirmed last, and how old that is. */
async function expectLastKnown({ client }: TestFarm): Promise<void> {
  const { farm, jobs } = client;
  const agents = await until('agents are told with their age', async () => {
    const answer = await client.call(farm.listAgents.bind(farm), {});
    return answer.ageMs >= 1_000 && answer.agents;
  });
  expect(agents.map(({ name }) => name).toSorted()).toEqual(Object.keys(AGENTS).toSorted());
  const request = { jobId: 'j1', step: '', states: [], pageSize: 10, pageToken: '' };
  const { units, ageMs } = await client.call(jobs.listUnits.bind(jobs), request);
  expect(units.map(({ state }) => state)).toEqual(units.map(() => UnitState.UNIT_STATE_LEASED));
  expect(units).toHaveLength(2);
  expect(ageMs).toBeGreaterThan(0);
}

interface Proxied {
  readonly nats: TestNats;
  /** For the coordinator: its way to NATS can be cut, and nobody else's that has the address from it. */
  readonly natsUrl: string;
  readonly proxies: readonly Proxy[];
}

async function behindProxies(nats: TestNats): Promise<Proxied> {
  const ports = nats.url.split(',').map((url) => Number(new URL(url).port));
  const isCoordinators = (opening: Buffer): boolean => opening.includes('"furrow coordinator"');
  const proxies = await Promise.all(ports.map((port) => startProxy(port, isCoordinators)));
  onTestFinished(async () => void (await Promise.all(proxies.map((proxy) => proxy.close()))));
  return { nats, natsUrl: proxies.map(({ port }) => `nats://127.0.0.1:${port}`).join(), proxies };
}
