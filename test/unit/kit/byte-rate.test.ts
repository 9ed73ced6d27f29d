import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { ByteRate } from '../../../kit/byte-rate.ts';

const KIB = 1024;

/** Bytes a second at which so many streams together got so many bytes each through. */
async function pace(rate: ByteRate, ...sizes: readonly number[]): Promise<number> {
  const startMs = performance.now();
  await Promise.all(sizes.map((size) => buffer(source(size).pipe(rate.stream()))));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  return (bytes * 1000) / (performance.now() - startMs);
}

const source = (bytes: number): Readable => Readable.from([Buffer.alloc(bytes, 7)]);

test('bytes pass unchanged, with a limit and without', async () => {
  const rate = new ByteRate();
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, at) => at % 251));
  for (const limit of [0, 10_000_000]) {
    rate.limit(limit);
    const passed = await buffer(Readable.from([bytes]).pipe(rate.stream()));
    expect(passed.equals(bytes)).toBe(true);
  }
});

test('a limit holds for one, and for all that share it together', async () => {
  const rate = new ByteRate();
  for (const limit of [1024 * KIB, 512 * KIB]) {
    rate.limit(limit);
    // Above the limit only by its burst; how far below is the machine's affair.
    expect((await pace(rate, 512 * KIB)) / limit).toBeLessThan(1.3);
    expect((await pace(rate, 256 * KIB, 256 * KIB)) / limit).toBeLessThan(1.3);
  }
});

test('a limit that is lifted lets what waits through', async () => {
  const rate = new ByteRate();
  rate.limit(64 * KIB);
  const done = pace(rate, 4096 * KIB);
  rate.limit(0);
  expect((await done) / (64 * KIB)).toBeGreaterThan(10);
});
