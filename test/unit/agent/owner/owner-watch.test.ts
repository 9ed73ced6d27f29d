import { expect, test } from 'vitest';
import { OwnerWatch } from '../../../../agent/owner/owner-watch.ts';
import { parseHours } from '../../../../kit/weekly-hours.ts';
import type { UseReading } from '../../../../agent/owner/use-watch.ts';
import { Capacity } from '../../../../proto/gen/furrow/v1/agent_service.ts';
import { OPEN_TERMS, type PolicyTerms } from '../../../../proto/agent-policy.ts';

const CAPACITY: Capacity = { ...Capacity.fromPartial({}), cpuMillis: 8000 };

/** A watch whose clock is moved by hand, and what it ordered. */
class Bench {
  readonly orders: string[] = [];
  readonly limits: number[] = [];
  reading: UseReading = { inputIdleMs: 3_600_000, loadPercent: 0, gpuPercent: undefined };
  readings = 0;
  readonly watch: OwnerWatch;
  /** By how much somebody set the wall clock. */
  wallSetMs = 0;
  #nowMs = 0;
  #timer: { readonly atMs: number; readonly callback: () => void } | undefined;

  constructor(own: Partial<PolicyTerms> = {}) {
    this.watch = new OwnerWatch({
      clock: {
        monotonicMs: () => this.#nowMs,
        wallMs: () => 1_800_000_000_000 + this.wallSetMs + this.#nowMs,
        after: (delayMs, callback) => {
          this.#timer = { atMs: this.#nowMs + delayMs, callback };
          return () => (this.#timer = undefined);
        },
      },
      own: { ...OPEN_TERMS, ...own },
      readUse: async () => {
        this.readings += 1;
        return this.reading;
      },
      changed: () => undefined,
      limitTransfers: (bytesPerSecond) => this.limits.push(bytesPerSecond),
    });
    this.watch.start({
      close: (reason) => this.orders.push(`close: ${reason}`),
      open: () => this.orders.push('open'),
      evict: async () => void this.orders.push(`evict at ${this.#nowMs / 1000}`),
    });
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settled();
    while (this.#timer !== undefined && this.#timer.atMs <= endMs) {
      const { atMs, callback } = this.#timer;
      this.#nowMs = atMs;
      this.#timer = undefined;
      callback();
      await settled();
    }
    this.#nowMs = endMs;
  }

  get closedReason(): string | undefined {
    return this.watch.offered(CAPACITY).closedReason;
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const NEVER = 'it is not to work for the farm (mode never)';

test('finish: it closes, nothing is evicted, and it opens again', async () => {
  const bench = new Bench();
  bench.watch.heard({ ...OPEN_TERMS, mode: 'never' });
  await bench.pass(600_000);
  expect(bench.closedReason).toBe(NEVER);
  bench.watch.heard(OPEN_TERMS);
  expect(bench.closedReason).toBeUndefined();
  expect(bench.orders).toEqual([`close: ${NEVER}`, 'open']);
  expect(bench.readings).toBe(0);
});

test('evict: once, when the grace is over, and not if it opened before', async () => {
  const bench = new Bench();
  const evicting = { ...OPEN_TERMS, mode: 'never', onBusy: 'evict', graceMs: 12_000 } as const;
  bench.watch.heard(evicting);
  await bench.pass(11_000);
  bench.watch.heard(OPEN_TERMS);
  await bench.pass(60_000);
  expect(bench.orders).toEqual([`close: ${NEVER}`, 'open']);
  bench.watch.heard(evicting);
  await bench.pass(60_000);
  expect(bench.orders.slice(2)).toEqual([`close: ${NEVER}`, 'evict at 83']);
});

test('a policy that comes to evict while it is closed still gives the grace', async () => {
  const bench = new Bench();
  bench.watch.heard({ ...OPEN_TERMS, mode: 'never' });
  await bench.pass(100_000);
  bench.watch.heard({ ...OPEN_TERMS, mode: 'never', onBusy: 'evict', graceMs: 30_000 });
  await bench.pass(100_000);
  expect(bench.orders).toEqual([`close: ${NEVER}`, 'evict at 130']);
});

test('the farm cannot open what its owner closed', async () => {
  const bench = new Bench({ mode: 'never' });
  bench.watch.heard({ ...OPEN_TERMS, mode: 'always' });
  await bench.pass(60_000);
  expect(bench.closedReason).toBe(NEVER);
  expect(bench.orders).toEqual([`close: ${NEVER}`]);
});

test('hours follow a clock that is set, within one look', async () => {
  // It is eight in the morning.
  const bench = new Bench({ hours: parseHours('07:00-10:00'), timeZone: 'UTC' });
  await bench.pass(10_000);
  expect(bench.orders).toEqual([]);
  bench.wallSetMs = 5 * 3_600_000;
  await bench.pass(5_000);
  expect(bench.closedReason).toBe('it is outside its hours until 07:00');
  bench.wallSetMs = -3_600_000;
  await bench.pass(5_000);
  expect(bench.closedReason).toBeUndefined();
  expect(bench.orders).toHaveLength(2);
});

test('idle: closed until the first look, then as the owner comes and goes', async () => {
  const bench = new Bench({ mode: 'idle', idleAfterMs: 60_000 });
  expect(bench.closedReason).toBe('it does not know yet whether its owner is at the machine');
  await bench.pass(4_000);
  expect(bench.closedReason).toBeUndefined();
  bench.reading = { ...bench.reading, inputIdleMs: 0 };
  await bench.pass(5_000);
  expect(bench.closedReason).toMatch(/^its owner is at the machine/);
  bench.reading = { ...bench.reading, inputIdleMs: 3_600_000 };
  await bench.pass(55_000);
  expect(bench.closedReason).toMatch(/^its owner is at the machine/);
  await bench.pass(10_000);
  expect(bench.closedReason).toBeUndefined();
  expect(bench.orders.map((order) => order.slice(0, 5))).toEqual([
    'close',
    'open',
    'close',
    'open',
  ]);
});

test('a policy that is heard between two looks does not open it: what happened since the last, nobody knows', async () => {
  const bench = new Bench({ mode: 'idle', idleAfterMs: 2_000, onBusy: 'evict', graceMs: 0 });
  bench.reading = { ...bench.reading, inputIdleMs: 0 };
  await bench.pass(9_000);
  bench.watch.heard({ ...OPEN_TERMS, maxCpuMillis: 2000 });
  expect(bench.closedReason).toMatch(/^its owner is at the machine/);
  await bench.pass(20_000);
  expect(bench.orders.filter((order) => order === 'open')).toEqual(['open']);
  expect(bench.orders.filter((order) => order.startsWith('evict'))).toHaveLength(1);
});

test('asked for idle again, it looks before it says so; what runs is not ended before that', async () => {
  const bench = new Bench();
  const idle = { ...OPEN_TERMS, mode: 'idle', onBusy: 'evict', graceMs: 0 } as const;
  bench.watch.heard(idle);
  await bench.pass(10_000);
  bench.watch.heard(OPEN_TERMS);
  await bench.pass(60_000);
  bench.orders.length = 0;
  bench.reading = { ...bench.reading, inputIdleMs: 0 };
  bench.watch.heard(idle);
  expect(bench.closedReason).toMatch(/^it does not know yet/);
  expect(bench.orders).toEqual([`close: ${bench.closedReason}`]);
  await bench.pass(1_000);
  expect(bench.closedReason).toMatch(/^its owner is at the machine/);
  expect(bench.orders.at(-1)).toBe('evict at 70');
});

test('a pause ends by itself', async () => {
  const bench = new Bench();
  bench.watch.heard({ ...OPEN_TERMS, pausedUntilMs: 1_800_000_030_000 });
  expect(bench.closedReason).toMatch(/^it is paused until/);
  await bench.pass(40_000);
  expect(bench.closedReason).toBeUndefined();
});

test('caps change the offer and the limit of transfers; what did not change is the same object', () => {
  const bench = new Bench({ maxBytesPerSecond: 4_000_000 });
  const before = bench.watch.offered(CAPACITY);
  expect(bench.watch.offered(CAPACITY)).toBe(before);
  bench.watch.heard({ ...OPEN_TERMS, maxCpuMillis: 2000, maxBytesPerSecond: 1_000_000 });
  expect(bench.watch.offered(CAPACITY).cpuMillis).toBe(2000);
  bench.watch.heard(OPEN_TERMS);
  expect(bench.watch.offered(CAPACITY)).toEqual(before);
  expect(bench.limits).toEqual([4_000_000, 1_000_000, 4_000_000]);
});
