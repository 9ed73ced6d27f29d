import { pino } from 'pino';
import { expect, test } from 'vitest';
import { FailedLogins } from '../../../../coordinator/limits/failed-logins.ts';
import { FurrowError } from '../../../../kit/furrow-error.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

const refusal = new FurrowError('unauthenticated', 'TOKEN_WRONG', 'this is not the token');

function setUp() {
  const clock = new ManualClock();
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { base: null, timestamp: false },
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const logins = new FailedLogins({ clock, log, longestPauseMs: 10_000 });
  return { clock, lines, logins };
}

/** After how many milliseconds it is answered. */
async function waitOf(
  { clock, logins }: ReturnType<typeof setUp>,
  address: string,
): Promise<number> {
  const startMs = clock.monotonicMs();
  let answeredMs: number | undefined;
  const failed = logins.failed(address, refusal).then(() => (answeredMs = clock.monotonicMs()));
  for (let step = 0; step < 250; step += 1) {
    await Promise.resolve();
    await Promise.resolve();
    if (answeredMs !== undefined) break;
    clock.advance(50);
  }
  return (await failed) - startMs;
}

test('the first tries are answered at once, further ones later and later, up to a limit', async () => {
  const at = setUp();
  const waits: number[] = [];
  for (let index = 0; index < 14; index += 1) waits.push(await waitOf(at, '10.0.0.1'));
  expect(waits.slice(0, 5)).toEqual([0, 0, 0, 0, 0]);
  expect(waits.slice(5, 9)).toEqual([250, 500, 1_000, 2_000]);
  expect(waits.at(-1)).toBe(10_000);
  // Others are none the worse for it, and a pause is forgotten after a while.
  expect(await waitOf(at, '10.0.0.2')).toBe(0);
  at.clock.advance(20 * 60_000);
  expect(await waitOf(at, '10.0.0.1')).toBe(0);
});

test('few may wait: of more, each is refused at once', async () => {
  const { logins } = setUp();
  const reasons: string[] = [];
  for (let index = 0; index < 100; index += 1) {
    void logins.failed('10.0.0.1', refusal).then(({ reason }) => reasons.push(reason));
  }
  await Promise.resolve();
  await Promise.resolve();
  expect(reasons.filter((reason) => reason === 'TOKEN_WRONG')).toHaveLength(5);
  expect(reasons.filter((reason) => reason === 'TOO_MANY_FAILED_LOGINS')).toHaveLength(79);
});

test('a thousand tries are a line or two, with the address and their count', async () => {
  const { clock, lines, logins } = setUp();
  for (let index = 0; index < 1_000; index += 1) void logins.failed('10.0.0.1', refusal);
  clock.advance(60_000);
  expect(lines).toMatchObject([
    { msg: 'failed logins', address: '10.0.0.1', failures: 1, inAll: 1 },
    { msg: 'failed logins', address: '10.0.0.1', failures: 999, inAll: 1_000 },
  ]);
});

test('a thousand addresses are a few lines', () => {
  const { clock, lines, logins } = setUp();
  for (let index = 0; index < 1_000; index += 1) void logins.failed(`10.0.${index}`, refusal);
  clock.advance(60_000);
  expect(lines.length).toBeLessThan(30);
  const told = lines.map(({ failures }) => Number(failures));
  expect(told.reduce((sum, each) => sum + each, 0)).toBe(1_000);
});
