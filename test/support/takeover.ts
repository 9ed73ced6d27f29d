/** A farm under load whose leader goes away, and what must hold then. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { FarmClient } from '../../cli/client.ts';
import type { Token } from '../../coordinator/domain/token.ts';
import { tokenFromWire } from '../../coordinator/grpc/wire.ts';
import type { GetStatusResponse } from '../../proto/gen/furrow/v1/farm_service.ts';
import { Grant } from '../../proto/gen/furrow/work/v1/work.ts';
import { grantSubject } from '../../proto/subjects.ts';
import { found, type TestFarm, until } from './farm.ts';
import {
  commandStep,
  expectSuccess,
  Gate,
  stepsRequest,
  submit,
  submitSteps,
} from './farm-jobs.ts';
import { readJournal } from './journal-record.ts';
import type { Watched } from './processes.ts';
import { linesOf, watch, type Watcher } from './watcher.ts';

export const EXIT_DEPOSED = 7;
/**
 * How long a leader is cut off or stopped: longer than it takes until another leads, and than the leases
 * live. FURROW_TEST_OUTAGE_MS=60000 for the figure of the promise.
 */
export const OUTAGE_MS = Number(process.env['FURROW_TEST_OUTAGE_MS'] ?? 8_000);
export const OUTAGE_TEST_TIMEOUT_MS = OUTAGE_MS + 180_000;
export const AGENTS = { one: ['--cpus', '2'], two: ['--cpus', '2'] };

/**
 * `end` takes the leader away, under load and while units run: another must lead, before `comeBack` lets the
 * first one wake, with everything that was acknowledged and everything that runs. How soon is a matter of how
 * often a standby looks, and of test/integration/journal/election.test.ts: what it takes here, the machine
 * decides too.
 */
export async function expectTakeover(
  farm: TestFarm,
  end: () => Promise<void>,
  comeBack?: () => Promise<void>,
): Promise<void> {
  const running = await startRunningUnits(farm);
  const load = new Load(farm);
  await load.untilAcknowledged(5);
  await end();
  const endedAtMs = performance.now();
  await load.untilAcknowledged(1);
  const standing = (await statusOf(clientOf(farm, 1))).standby;
  expect(standing, 'the second leads while the first is away').toBe(false);
  await farm.agentsOnline();
  if (comeBack !== undefined) {
    await sleep(endedAtMs + OUTAGE_MS - performance.now());
    await comeBack();
    await load.untilAcknowledged(1);
  }
  await load.expectAllSucceed();
  await expectAdopted(running, 2);
}

/** Two units that run until they are let go. */
export interface RunningUnits {
  readonly farm: TestFarm;
  readonly gate: Gate;
  readonly jobId: string;
  readonly watcher: Watcher;
  readonly units: readonly Watched[];
}

/** Starts the agents, too. */
export async function startRunningUnits(farm: TestFarm): Promise<RunningUnits> {
  const gate = new Gate(farm, 'gate');
  const parameters = { kind: { $case: 'count', value: 2 } } as const;
  const jobId = await submitSteps(farm, gate.step('gated', { parameters }));
  const watcher = watch(farm, jobId);
  await farm.addAgents(AGENTS);
  const units = await until('the gated units run', () => {
    const both = [0, 1];
    return both.every((index) => gate.hasBegun(index)) && both.map((index) => gate.process(index));
  });
  return { farm, gate, jobId, watcher, units };
}

/** They ran all along, are let go, and their results are accepted; `epoch` has begun by then, no later. */
export async function expectAdopted(running: RunningUnits, epoch: number): Promise<void> {
  const { farm, gate, jobId, watcher, units } = running;
  expect(units.every((unit) => unit.runs())).toBe(true);
  gate.open(0, 1);
  await expectSuccess(farm, jobId);
  await watcher.ended;
  const journal = await readJournal(farm);
  expect(journal.farm.epoch).toBe(epoch);
  expect(journal.granted(jobId)).toHaveLength(2);
  expect(journal.ended(jobId), 'no lease was given up').toEqual([]);
  expect([...watcher.told]).toEqual(linesOf(journal, jobId));
}

/** Slower than the agents work, so that what waits does not pile up. */
const SUBMIT_EVERY_MS = 200;

/** Small jobs, one after another, by a client that knows all coordinators. */
export class Load {
  readonly #farm: TestFarm;
  readonly #acknowledged: string[] = [];
  readonly #running: Promise<void>;
  #isOver = false;

  constructor(farm: TestFarm) {
    this.#farm = farm;
    this.#running = this.#run();
    // Awaited at the end of a test, which may fail before.
    this.#running.catch(() => undefined);
  }

  /** So many more than now. */
  async untilAcknowledged(more: number): Promise<void> {
    const wanted = this.#acknowledged.length + more;
    await until(`${more} more jobs are acknowledged`, () => this.#acknowledged.length >= wanted);
  }

  /** Sends no more. */
  async expectAllSucceed(): Promise<void> {
    this.#isOver = true;
    await this.#running;
    for (const jobId of this.#acknowledged) await expectSuccess(this.#farm, jobId);
  }

  async #run(): Promise<void> {
    for (let number = 0; !this.#isOver; number += 1) {
      const request = stepsRequest(`load-${number}`, [commandStep('quick', ['true'])]);
      const ask = () => submit(this.#farm, request).catch(() => undefined);
      const patienceMs = OUTAGE_MS + 60_000;
      const { job } = await until(`job ${number} is acknowledged`, ask, patienceMs);
      this.#acknowledged.push(found(job, 'job').id);
      await sleep(SUBMIT_EVERY_MS);
    }
  }
}

/** Hears which leases are granted over NATS from now on; settles once it does. */
export async function hearGrants(farm: TestFarm): Promise<ReadonlySet<Token>> {
  const tokens = new Set<Token>();
  const nats = await farm.nats.connect('grants');
  nats.subscribe(grantSubject('*', '*'), {
    callback: (_error, message) => {
      for (const { leases } of Grant.decode(message.data).steps) {
        for (const { token } of leases) tokens.add(tokenFromWire(token));
      }
    },
  });
  await nats.flush();
  return tokens;
}

/** One that knows only the first coordinator, or only the second. */
export function clientOf(farm: TestFarm, index: number): FarmClient {
  const address = found(farm.addresses[index], 'address');
  const { trust, nats } = farm;
  return new FarmClient({ address, trust, token: nats.token }, new AbortController().signal);
}

export function statusOf(client: FarmClient): Promise<GetStatusResponse> {
  return client.call(client.farm.getStatus.bind(client.farm), {});
}
