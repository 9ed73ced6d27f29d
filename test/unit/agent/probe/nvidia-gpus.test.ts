/** Whose memory it is and which GPUs may be used, as the stand-in nvidia-smi plays it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { VramUse } from '../../../../agent/process/vram-use.ts';
import { NvidiaGpus } from '../../../../agent/probe/nvidia-gpus.ts';
import type { Gpu } from '../../../../proto/gen/furrow/v1/agent_service.ts';
import { TestGpus, uuidOf } from '../../../support/gpus.ts';

const MIB = 1024 * 1024;
const OURS = 4242;
const FOREIGN = 999;
/** What the stand-in's healthy card uses, and keeps for itself, rounded up to a step. */
const IDLE_BYTES = 576 * MIB;

vi.setConfig({ testTimeout: 40_000 });

let folder: string;
let stage: TestGpus;
let gpus: NvidiaGpus | undefined;
/** VRAM booked by units, by GPU id. */
let booked: Map<string, number>;
let vram: VramUse;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-gpus-'));
  stage = new TestGpus(folder);
  for (const [name, value] of Object.entries(stage.environment)) vi.stubEnv(name, value);
  booked = new Map();
  vram = new VramUse();
});

afterEach(() => {
  gpus?.stop();
  stage.beWell();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

async function start(recoveryMs = 300): Promise<void> {
  gpus = await NvidiaGpus.start({
    use: {
      isOurs: (pid) => pid === OURS,
      noteVram: (uses) => vram.note(uses),
      bookedVramBytes: () => booked,
    },
    changed: () => undefined,
    feed: { intervalMs: 100, silenceLimitMs: 2_000, firstPauseMs: 50 },
    recoveryMs,
  });
}

const soon = (check: () => void): Promise<void> =>
  vi.waitFor(check, { timeout: 20_000, interval: 20 });

function gpu(index = 0): Gpu {
  const found = gpus?.listing.gpus.find(({ id }) => id === uuidOf(index));
  if (found === undefined) throw new Error(`there is no GPU ${index}`);
  return found;
}

const used = (mib: number): { 'memory.used': string; 'memory.free': string } => ({
  'memory.used': String(mib),
  'memory.free': String(12288 - 254 - mib),
});

test('without units all that is used is foreign, and nobody asks whose it is', async () => {
  stage.show([{}]);
  stage.showApps(`${OURS}, ${uuidOf(0)}, 4000`);
  await start();
  expect(gpu()).toMatchObject({
    name: 'NVIDIA GeForce RTX 3060',
    driver: '550.54.14',
    vramTotalBytes: 12288 * MIB,
    vramForeignBytes: IDLE_BYTES,
    vramOursBytes: 0,
    unusableReason: '',
    temperatureCelsius: 40,
    powerWatts: 20,
  });
  stage.show([used(6000)]);
  await soon(() => expect(gpu().vramForeignBytes).toBe(6272 * MIB));
  expect(stage.calls().filter((call) => call.includes('apps'))).toEqual([]);
});

test('what our units use is not foreign; a game beside them is', async () => {
  stage.show([{}]);
  await start();
  booked.set(uuidOf(0), 5000 * MIB);
  stage.showApps(`${OURS}, ${uuidOf(0)}, 4000`, `${FOREIGN}, ${uuidOf(0)}, 50`);
  stage.show([used(4300)]);
  await soon(() => expect(gpu().vramOursBytes).toBe(3968 * MIB));
  await soon(() => expect(gpu().vramForeignBytes).toBe(IDLE_BYTES));
  stage.showApps(`${OURS}, ${uuidOf(0)}, 4000`, `${FOREIGN}, ${uuidOf(0)}, 5050`);
  stage.show([used(9300)]);
  await soon(() => expect(gpu().vramForeignBytes).toBe(5568 * MIB));
  booked.clear();
  stage.show([used(5300)]);
  stage.showApps(`${FOREIGN}, ${uuidOf(0)}, 5050`);
  await soon(() => {
    expect(gpu().vramOursBytes).toBe(0);
    expect(gpu().vramForeignBytes).toBe(5568 * MIB);
  });
});

test('where memory by process is not told, ours is what came since, up to what is booked', async () => {
  stage.show([{}]);
  await start();
  booked.set(uuidOf(0), 3000 * MIB);
  stage.showApps(`${OURS}, ${uuidOf(0)}, [N/A]`, `${FOREIGN}, ${uuidOf(0)}, [N/A]`);
  stage.show([used(2300)]);
  await soon(() => expect(gpu().vramOursBytes).toBe(1984 * MIB));
  expect(gpu().vramForeignBytes).toBe(IDLE_BYTES);
  // A game: more than units booked cannot be theirs.
  stage.show([used(8300)]);
  await soon(() => expect(gpu().vramForeignBytes).toBe(5568 * MIB));
  expect(gpu().vramOursBytes).toBe(2944 * MIB);
});

test('a GPU that is lost is unusable with its reason, the other one works on; it comes back', async () => {
  stage.show([{}, {}]);
  await start();
  const lost = '[GPU is lost]';
  stage.show([{ 'memory.used': lost, 'memory.free': lost, 'memory.total': lost }, {}]);
  await soon(() => expect(gpu(0).unusableReason).toBe('GPU is lost'));
  expect(gpu(0).vramTotalBytes).toBe(12288 * MIB);
  expect(gpu(1).unusableReason).toBe('');
  expect(await gpus?.faultOf([uuidOf(0)], 100)).toBe('NVIDIA GeForce RTX 3060: GPU is lost');
  expect(await gpus?.faultOf([uuidOf(1)], 100)).toBeNull();
  stage.show([{}, {}]);
  await soon(() => expect(gpu(0).unusableReason).toMatch(/^answers again/));
  await soon(() => expect(gpu(0).unusableReason).toBe(''));
});

test('one that is not listed any more is unusable', async () => {
  stage.show([{}, {}]);
  await start();
  stage.show([{}]);
  await soon(() => expect(gpu(1).unusableReason).toMatch(/^it is gone/));
  expect(gpu(0).unusableReason).toBe('');
});

test('a unit that fails before the driver says why waits for its word', async () => {
  stage.show([{}]);
  await start();
  const fault = gpus?.faultOf([uuidOf(0)], 20_000);
  stage.show([{ 'utilization.gpu': '[GPU requires reset]' }]);
  expect(await fault).toBe('NVIDIA GeForce RTX 3060: GPU requires reset');
});

test('a driver that hangs makes all of them unusable', async () => {
  stage.show([{}, {}]);
  await start();
  stage.hang();
  const reason = 'nvidia-smi does not answer: the driver hangs';
  await soon(() => expect(gpu(0).unusableReason).toBe(reason));
  expect(gpu(1).unusableReason).toBe(reason);
});

test('parts of a card, and memory that is not told, are shown and not booked', async () => {
  stage.show([
    { 'mig.mode.current': 'Enabled' },
    { 'memory.total': '[N/A]', 'memory.used': '[N/A]', 'memory.free': '[N/A]' },
  ]);
  await start();
  expect(gpus?.listing.gpus).toEqual([]);
  expect(gpus?.listing.others.map(({ unusableReason }) => unusableReason)).toEqual([
    expect.stringContaining('MIG'),
    'nvidia-smi does not tell how much memory it has',
  ]);
});

test('one that is given up stays so', async () => {
  stage.show([{}]);
  await start();
  gpus?.giveUp([uuidOf(0)], 'a process holds it');
  stage.show([used(400)]);
  await new Promise((settle) => setTimeout(settle, 600));
  expect(gpu().unusableReason).toBe('a process holds it');
});

test('what processes have together is told of the GPU where they have most', async () => {
  stage.show([{}, {}]);
  booked.set(uuidOf(0), 3000 * MIB);
  const [one, other] = [uuidOf(0), uuidOf(1)];
  stage.showApps(
    `1, ${one}, 100`,
    `2, ${one}, 50`,
    `2, ${other}, 120`,
    `3, ${one}, 999`,
    `4, ${one}, [N/A]`,
  );
  await start();
  await soon(() => expect(vram.bytesOf(new Set([1, 2, 4]))).toBe(150 * MIB));
  expect(vram.bytesOf(new Set([4]))).toBe(0);
});

test('the busiest GPU but those of units: what is ill, or no figure, says nothing', async () => {
  stage.show([
    { 'utilization.gpu': '93' },
    { 'utilization.gpu': '12' },
    { 'utilization.gpu': '[N/A]' },
    { 'utilization.gpu': '99', gpu_recovery_action: 'Reboot' },
  ]);
  await start();
  expect(gpus?.busiestBut(new Set())).toBe(93);
  expect(gpus?.busiestBut(new Set([uuidOf(0)]))).toBe(12);
  expect(gpus?.busiestBut(new Set([uuidOf(0), uuidOf(1)]))).toBeUndefined();
});
