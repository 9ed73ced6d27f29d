/**
 * A short torture, as `npm run torture` runs it by hand: random kills, sleeps and cuts under load, and
 * the judge's verdict. A run that breaks a promise leaves its folder and prints its seed.
 */
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const PROGRAM = join(ROOT, '.furrow-tools', 'torture', 'test', 'torture', 'main.js');
/** Start, the faults' time, the bound to come to rest, and the fetching of all that was made. */
const LIMIT_MS = 420_000;

beforeAll(async () => {
  const compiler = join(ROOT, 'node_modules', '.bin', 'tsc');
  await promisify(execFile)(compiler, ['-p', join(ROOT, 'test', 'torture', 'tsconfig.json')]);
});

// At once: each spends most of its time in waiting.
test.concurrent(
  'a leader, a standby, three servers of NATS and a bucket: 30 s of other faults each time',
  { timeout: LIMIT_MS },
  () => expectNothingLost('--nats', 'cluster', '--time', '30s'),
);

test.concurrent('one coordinator on one nats-server 2.10: 20 s', { timeout: LIMIT_MS }, () =>
  expectNothingLost('--nats', 'single', '--nats-server', '2.10', '--time', '20s'),
);

async function expectNothingLost(...flags: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, ['--enable-source-maps', PROGRAM, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const [told, complaints] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const code = await exited;
  console.info(told);
  expect(complaints).toBe('');
  expect(told).toContain('nothing lost, nothing doubled');
  expect(code).toBe(0);
}
