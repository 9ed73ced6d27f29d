/** Real processes that want more than they may: each is ended, and the one who looks stays small. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MemoryGuard } from '../../../../agent/process/memory-guard.ts';
import type { MemoryState } from '../../../../agent/process/memory-left.ts';
import { MemoryLeft } from '../../../../agent/process/memory-left.ts';
import { limitOf } from '../../../../agent/process/memory-limits.ts';
import { MemorySampler } from '../../../../agent/process/memory-sampler.ts';
import { VramUse } from '../../../../agent/process/vram-use.ts';
import { ProcessRecords } from '../../../../agent/process/process-records.ts';
import { runProcess, type ProcessHost } from '../../../../agent/process/run-process.ts';
import type { ProcessResult } from '../../../../agent/runners/runner.ts';
import { createLog } from '../../../../kit/log.ts';

const MIB = 2 ** 20;
const DEMAND_BYTES = 64 * MIB;

// Processes that start, grow and wait, on a machine that may do much else.
vi.setConfig({ testTimeout: 30_000 });

let folder: string;
let host: ProcessHost;
let machine: () => MemoryState | null;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-guard-'));
  host = {
    records: new ProcessRecords(join(folder, 'records')),
    sampler: new MemorySampler(new VramUse()),
  };
  const memoryLeft = new MemoryLeft();
  machine = () => memoryLeft.read();
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const newGuard = (enforcement: 'on' | 'off' = 'on'): MemoryGuard =>
  new MemoryGuard({
    sampler: host.sampler,
    enforcement,
    cgroups: null,
    memoryLeft: () => machine(),
    log: createLog({ role: 'test', level: 'silent' }),
  });

async function run(
  guard: MemoryGuard,
  demandBytes: number,
  argv: string[],
  log: (line: string) => void = () => undefined,
): Promise<ProcessResult> {
  const guarded = guard.guard(demandBytes);
  const [program = '', ...args] = argv;
  const signal = new AbortController().signal;
  try {
    return await runProcess(host, { program, args, cwd: folder }, { signal, log, guarded });
  } finally {
    guarded.close();
  }
}

const NODE = 'const all = []; for (;;) all.push(Buffer.alloc(4e6, 1))';
const FORKING = 'for i in 1 2 3 4; do tail /dev/zero & done; wait';
const LEAVING = 'setsid tail /dev/zero & wait';

test.each([
  ['tail', ['tail', '/dev/zero']],
  ['node', [process.execPath, '-e', NODE]],
  ['several together', ['bash', '-c', FORKING]],
  ['one that left the group', ['bash', '-c', LEAVING]],
])('%s is ended when it outgrows its demand', async (_what, argv) => {
  const before = process.memoryUsage.rss();
  const { memoryEnd } = await run(newGuard(), DEMAND_BYTES, argv);
  expect(memoryEnd).toMatchObject({ cause: 'demand', limitBytes: limitOf(DEMAND_BYTES) });
  expect(memoryEnd!.usedBytes).toBeGreaterThan(limitOf(DEMAND_BYTES));
  expect(process.memoryUsage.rss() - before).toBeLessThan(128 * MIB);
});

test('forks that share what they were born with are not over', async () => {
  // 60 MB shared by six: as many times over by the cheap sum.
  const script = [
    'import os, time',
    'shared = bytearray(b"x" * 60_000_000)',
    'for _ in range(5):',
    '  if os.fork() == 0: time.sleep(2.5); os._exit(0)',
    'time.sleep(2.5)',
  ].join('\n');
  const result = await run(newGuard(), DEMAND_BYTES, ['python3', '-c', script]);
  expect(result).toMatchObject({ exitCode: 0, memoryEnd: null });
  expect(result.peakRamBytes).toBeGreaterThan(240e6);
});

test('off: it is measured and let be', async () => {
  const script = 'const b = Buffer.alloc(200e6, 1); setTimeout(() => b.length, 1500)';
  const result = await run(newGuard('off'), DEMAND_BYTES, [process.execPath, '-e', script]);
  expect(result).toMatchObject({ exitCode: 0, memoryEnd: null });
  expect(result.peakRamBytes).toBeGreaterThan(200e6);
});

describe('when the machine runs short', () => {
  const waits = (mb: number): string[] => [
    process.execPath,
    '-e',
    `const b = Buffer.alloc(${mb}e6, 1); console.log('there'); setTimeout(() => b.length, 3500)`,
  ];
  const totalBytes = 4096 * MIB;

  test('the most overgrown goes, and the others stay', async () => {
    let there = 0;
    let ended = 0;
    const isShort = (): boolean => there === 3 && ended === 0;
    machine = () => ({ totalBytes, leftBytes: isShort() ? 50 * MIB : 2048 * MIB });
    const guard = newGuard();
    const start = (demandBytes: number, mb: number): Promise<ProcessResult> =>
      run(guard, demandBytes, waits(mb), () => (there += 1));
    const largest = start(0, 150).finally(() => (ended += 1));
    const others = [start(0, 40), start(2 ** 30, 200)];
    expect((await largest).memoryEnd).toMatchObject({ cause: 'machine', leftBytes: 50 * MIB });
    for (const other of await Promise.all(others)) {
      expect(other).toMatchObject({ exitCode: 0, memoryEnd: null });
    }
  });

  test('a unit within its demand is not to blame', async () => {
    machine = () => ({ totalBytes, leftBytes: 1 });
    expect(await run(newGuard(), 2 ** 30, waits(50))).toMatchObject({ exitCode: 0 });
  });
});
