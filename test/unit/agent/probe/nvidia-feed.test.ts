/** The feed against the stand-in nvidia-smi, which plays what happens to GPUs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { NvidiaFeed, type GpuSample } from '../../../../agent/probe/nvidia-feed.ts';
import { GPU_FIELDS } from '../../../../agent/probe/nvidia-rows.ts';
import { TestGpus } from '../../../support/gpus.ts';

const INTERVAL_MS = 100;
/** Longer than a spawn takes on a busy machine. */
const SILENCE_LIMIT_MS = 2_000;

vi.setConfig({ testTimeout: 40_000 });

let folder: string;
let gpus: TestGpus;
let feed: NvidiaFeed;
let samples: GpuSample[];
let troubles: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-gpus-'));
  gpus = new TestGpus(folder);
  for (const [name, value] of Object.entries(gpus.environment)) vi.stubEnv(name, value);
  [samples, troubles] = [[], []];
  feed = new NvidiaFeed({
    onSample: (sample) => samples.push(sample),
    onTrouble: (why) => troubles.push(why),
    intervalMs: INTERVAL_MS,
    silenceLimitMs: SILENCE_LIMIT_MS,
    firstPauseMs: 50,
  });
});

afterEach(() => {
  feed.stop();
  // What hangs in the stand-in goes on when it is well.
  gpus.beWell();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const soon = (check: () => void): Promise<void> =>
  vi.waitFor(check, { timeout: 20_000, interval: 20 });

const lastBusIds = (): readonly string[] =>
  samples.at(-1)?.readings.map(({ busId }) => busId) ?? [];

test('one process tells again and again', async () => {
  gpus.show([{}, { name: 'NVIDIA GeForce RTX 3090' }]);
  feed.start();
  await soon(() => expect(samples.length).toBeGreaterThan(3));
  expect(lastBusIds()).toEqual(['0000:01:00.0', '0000:02:00.0']);
  expect(gpus.calls()).toHaveLength(1);
  expect(troubles).toEqual([]);
});

test('a driver that knows fewer fields is asked for fewer', async () => {
  const fields = GPU_FIELDS.filter((field) => !/reserved|recovery|mig/.test(field));
  gpus.show([{}], fields);
  feed.start();
  await soon(() => expect(samples.length).toBeGreaterThan(1));
  expect(samples[0]?.readings[0]).toMatchObject({ isMig: false, fault: null });
  expect(gpus.calls()).toHaveLength(4);
  expect(troubles).toEqual([]);
});

test('a process that was ended by somebody is started again, and nothing is wrong', async () => {
  gpus.show([{}]);
  feed.start();
  await soon(() => expect(samples.length).toBeGreaterThan(0));
  gpus.fail(0, '');
  await soon(() => expect(gpus.calls().length).toBeGreaterThan(1));
  gpus.beWell();
  const before = samples.length;
  await soon(() => expect(samples.length).toBeGreaterThan(before));
});

test('the driver that cannot be talked to says so', async () => {
  gpus.show([{}]);
  feed.start();
  await soon(() => expect(samples.length).toBeGreaterThan(0));
  gpus.fail(18, 'Failed to initialize NVML: Driver/library version mismatch');
  await soon(() => {
    expect(troubles).toContain('Failed to initialize NVML: Driver/library version mismatch');
  });
});

test('silence makes it ask once; only when that is silent too the driver hangs, and it comes back', async () => {
  gpus.show([{}]);
  feed.start();
  await soon(() => expect(samples.length).toBeGreaterThan(0));
  gpus.hang();
  await soon(() => expect(troubles).toContain('nvidia-smi does not answer: the driver hangs'));
  expect(gpus.calls()[1]).not.toContain('-lms');
  const before = samples.length;
  gpus.beWell();
  await soon(() => expect(samples.length).toBeGreaterThan(before + 1));
});

test('a loop that is silent while single questions are answered is no hang', async () => {
  gpus.show([{}]);
  feed.start();
  await soon(() => expect(samples.length).toBeGreaterThan(0));
  gpus.hang();
  await soon(() => expect(gpus.calls()).toHaveLength(2));
  gpus.beWell();
  const before = samples.length;
  await soon(() => expect(samples.length).toBeGreaterThan(before + 1));
  expect(troubles).toEqual([]);
});

test('one that cannot be asked is named, and the others are asked without it', async () => {
  gpus.show([{}, {}, {}]);
  feed.start();
  await soon(() => expect(samples.length).toBeGreaterThan(0));
  const reason = 'GPU is lost.  Reboot the system to recover this GPU';
  gpus.show([{ says: `Unable to determine the device handle for GPU 0000:01:00.0: ${reason}` }]);
  await soon(() => expect(samples.at(-1)?.lost.get('0000:01:00.0')).toBe(reason));
  // As it is without the one: the stand-in tells rows only to those who name GPUs.
  gpus.show([
    { says: `Unable to determine the device handle for GPU 0000:01:00.0: ${reason}` },
    {},
    {},
  ]);
  await soon(() => expect(lastBusIds()).toEqual(['0000:02:00.0', '0000:03:00.0']));
  expect(samples.at(-1)?.lost.get('0000:01:00.0')).toBe(reason);
  expect(gpus.calls().at(-1)).toContain('-i 0000:02:00.0,0000:03:00.0');
});

test('a machine without nvidia-smi is asked once', async () => {
  vi.stubEnv('PATH', folder);
  feed.start();
  await soon(() => expect(troubles).toEqual(['nvidia-smi cannot be started: ENOENT']));
});
