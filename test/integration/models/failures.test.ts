/**
 * Whatever a model does, the agent's memory is where it was, and nothing is left: two hundred failures of
 * every kind in a row, each through real processes.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { readProcess } from '../../../agent/process/process-table.ts';
import { throughModel } from '../../../agent/models/through-model.ts';
import { FilmFault } from '../../../agent/runners/film/film-fault.ts';
import type { RunnerContext, UnitWork } from '../../../agent/runners/runner.ts';
import type { UnitModel } from '../../../proto/gen/furrow/v1/model.ts';
import { unitWork } from '../../support/film-chain.ts';
import { ModelTree, upscaler } from '../../support/model-tree.ts';
import {
  blankModel,
  endlessModel,
  failingModel,
  hugeModel,
  hungryModel,
  nanModel,
  nearestModel,
} from '../../support/onnx-models.ts';

const MIB = 2 ** 20;
const SIZE = { width: 96, height: 64 };
const FRAME_BYTES = SIZE.width * SIZE.height * 3;
const FRAMES = 4;
const FAILURES = 200;
/** Each starts a process or two: half a minute alone, minutes beside others. */
const TEST_LIMIT_MS = 600_000;

let root: string;
let tree: ModelTree;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'furrow-models-'));
  tree = new ModelTree(root, { proven: () => ['onnx:cpu', 'onnx:cuda'] });
});

afterAll(async () => {
  await tree.close();
  await rm(root, { recursive: true, force: true });
});

interface Failure {
  readonly name: string;
  readonly file: Buffer;
  readonly model?: Partial<UnitModel>;
  readonly manifest?: Parameters<typeof upscaler>[1];
  readonly provider?: string;
  readonly ramBytes?: number;
  /** Frames that come; all by default. */
  readonly fed?: number;
  /** Shell words that take what comes. */
  readonly drain?: string;
  /** Sent to the worker at its first progress. */
  readonly signal?: NodeJS.Signals;
  readonly kind: FilmFault['kind'];
  readonly message: RegExp;
}

const good = nearestModel(2);
const endless = 1_000_000;

const KINDS: readonly Failure[] = [
  {
    name: 'a file that is no model',
    file: randomBytes(5_000),
    kind: 'invalid-input',
    message: /made: the model cannot be loaded: .*; give a whole ONNX file/,
  },
  {
    name: 'half a model',
    file: good.subarray(0, good.length / 2),
    kind: 'invalid-input',
    message: /cannot be loaded/,
  },
  {
    name: 'another model than was registered',
    file: good,
    model: { sha256: 'ab'.repeat(32) },
    kind: 'invalid-input',
    message: /has the hash [0-9a-f]{64}, not abab/,
  },
  {
    name: 'a model of one channel',
    file: nearestModel(2, [1, 1, 'h', 'w']),
    kind: 'invalid-input',
    message:
      /input is float32 \[1, 1, h, w\], and its manifest asks for float32 \[1, 3, height, width\]/,
  },
  {
    name: 'a model of another scale',
    file: nearestModel(3),
    kind: 'invalid-input',
    message: /makes \[1, 3, 192, 288\] of \[1, 3, 64, 96\], and its manifest says scale 2/,
  },
  {
    name: 'a manifest that names another input',
    file: good,
    manifest: { inputs: ['picture'] },
    kind: 'invalid-input',
    message: /names an input picture; the model has x/,
  },
  {
    name: 'a model that fails when it runs',
    file: failingModel(),
    kind: 'failed',
    message: /the model failed: .*Reshape/,
  },
  {
    name: 'a model that makes no numbers',
    file: nanModel(2),
    kind: 'bad-output',
    message: /no numbers \(NaN or infinite\)/,
  },
  {
    name: 'a model that makes nothing',
    file: blankModel(2),
    kind: 'bad-output',
    message: /blank picture/,
  },
  {
    name: 'a provider whose libraries are missing',
    file: good,
    provider: 'cuda',
    kind: 'infrastructure',
    message: /cuda does not work here: .*install its libraries/,
  },
  {
    name: 'too little memory for the smallest tile',
    // 800 MB for the smallest tile.
    file: hungryModel(2, 400_000),
    ramBytes: 200 * MIB,
    kind: 'out-of-memory',
    message: /memory/,
  },
  {
    name: 'a model that wants a hundred gigabytes',
    file: hugeModel(2, 1_200),
    ramBytes: 600 * MIB,
    kind: 'out-of-memory',
    message: /memory.*too little even for the smallest tile of this model/,
  },
  {
    name: 'a worker that is killed',
    file: good,
    signal: 'SIGKILL',
    kind: 'failed',
    message: /ended by itself \(signal SIGKILL\).*choose another provider/,
  },
  {
    name: 'a worker that aborts',
    file: good,
    signal: 'SIGABRT',
    kind: 'failed',
    message: /ended by itself \(signal SIGABRT\)/,
  },
  {
    name: 'a worker that crashes',
    file: good,
    signal: 'SIGSEGV',
    kind: 'failed',
    message: /ended by itself \(signal SIGSEGV\)/,
  },
  {
    name: 'frames that end too soon',
    file: good,
    fed: 2.5,
    kind: 'failed',
    message: /ended in the middle of one/,
  },
  {
    name: 'what takes the frames ends',
    file: good,
    drain: 'head -c 1000 frames.out >/dev/null',
    kind: 'failed',
    message: /what takes the frames has ended/,
  },
];

test(
  `${FAILURES} failures leave no memory and no process behind, and say what happened`,
  async () => {
    const collect = collector();
    const measured: { readonly heap: number; readonly files: number }[] = [];
    for (let done = 0; done < FAILURES; done += 4) {
      const four = [0, 1, 2, 3].map((i) => KINDS[(done + i) % KINDS.length]!);
      await Promise.all(four.map((failure) => failOnce(failure)));
      expect({ done, running: tree.running }).toEqual({ done, running: 0 });
      collect();
      const { heapUsed, external, arrayBuffers } = process.memoryUsage();
      const files = (await readdir('/proc/self/fd')).length;
      measured.push({ heap: heapUsed + external + arrayBuffers, files });
    }
    expect(await readdir(join(root, 'models'))).toEqual([]);
    expect(tree.pool.idleCount).toBe(0);
    const [before, after] = [measured[5]!, measured.at(-1)!];
    expect(after.heap - before.heap).toBeLessThan(4 * MIB);
    expect(after.files).toBeLessThanOrEqual(before.files + 2);
  },
  TEST_LIMIT_MS,
);

test('a model that never comes back is ended with its unit, at once', async () => {
  const directory = await mkdtemp(join(root, 'attempt-'));
  const file = endlessModel(2);
  await writeFile(join(directory, 'model.onnx'), file);
  const work = unitWork(directory, { $case: 'noop', value: {} });
  const stalled = new AbortController();
  const context = tree.context(work, stalled.signal);
  const failure = { name: 'endless', file, kind: 'failed', message: /./ } as const;
  const run = send(work, context, upscaler(file), failure, '');
  const ended = run.then(
    () => 'done',
    (error: Error) => error.message,
  );
  // It has its first frame by then, and thinks.
  const cpuTicks = async (): Promise<number> =>
    readProcess((await workerOf(directory)) ?? 0)?.cpuTicks ?? 0;
  await vi.waitFor(async () => expect(await cpuTicks()).toBeGreaterThan(100), {
    timeout: 60_000,
    interval: 50,
  });
  const environment = await readFile(`/proc/${await workerOf(directory)}/environ`, 'utf8');
  // The runtime would tell its maker of each model.
  expect(environment.split('\0')).toContain('ORT_DISABLE_TELEMETRY=1');
  stalled.abort(new Error('no progress for 600 s'));
  expect(await ended).toContain('no progress');
  await vi.waitFor(() => expect(tree.running).toBe(0), { timeout: 20_000 });
  expect(context.counters).toEqual([]);
  expect((await readdir(directory)).filter((name) => name.startsWith('frames'))).toEqual([]);
});

async function failOnce(failure: Failure): Promise<void> {
  const { name, file, manifest, model, provider = '', kind, message, ramBytes = 0 } = failure;
  const directory = await mkdtemp(join(root, 'attempt-'));
  await writeFile(join(directory, 'model.onnx'), file);
  const unit = { ...upscaler(file, manifest), ...model };
  const made = unitWork(directory, { $case: 'noop', value: {} });
  const work = { ...made, demand: { ...made.demand, ramBytes } };
  const run = send(work, tree.context(work), unit, failure, provider);
  const error = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof FilmFault)) throw new Error(`${name}: ${String(error)}`);
  // Neither pipes nor anything half-made.
  const left = (await readdir(directory)).filter((one) => one.startsWith('frames'));
  expect({ name, kind: error.kind, message: error.message, left }).toEqual({
    name,
    kind,
    message: expect.stringMatching(message) as string,
    left: [],
  });
  expect(error.message).not.toContain('\n');
  await rm(directory, { recursive: true });
}

async function send(
  work: UnitWork,
  context: RunnerContext,
  model: UnitModel,
  { fed, drain = 'cat frames.out >/dev/null', signal }: Failure,
  provider: string,
): Promise<void> {
  const frames = signal === undefined ? FRAMES : endless;
  const sh = (script: string, end: AbortSignal): Promise<unknown> =>
    context.run({ program: 'sh', args: ['-c', script], cwd: work.directory, signal: end });
  // A picture with shapes: the rows of a text file.
  const picture = `yes "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG" | head -c ${Math.round((fed ?? frames) * FRAME_BYTES)} >frames.in`;
  await throughModel(context, {
    request: { model, provider, reservedBytes: 0 },
    otherBytes: FRAME_BYTES * 5,
    workOf: (roomPixels) => ({
      kind: 'upscale',
      ...SIZE,
      frames,
      times: { timeBase: { num: 1, den: 25 }, first: 0, runs: [[1, frames - 1]] },
      roomPixels,
    }),
    feed: (end) => sh(picture, end),
    drain: (end) => sh(drain, end),
    onTold: (told) => {
      if (told.event !== 'progress' || signal === undefined) return;
      void signalWorker(work.directory, signal).catch(() => undefined);
    },
  });
}

async function signalWorker(directory: string, signal: NodeJS.Signals): Promise<void> {
  const pid = await workerOf(directory);
  if (pid !== undefined) process.kill(pid, signal);
}

/** That which has our pipe in its own folder. */
async function workerOf(directory: string): Promise<number | undefined> {
  const { ino } = await stat(join(directory, 'frames.in')).catch(() => ({ ino: -1 }));
  for (const name of await readdir(join(root, 'processes'))) {
    const record = await readFile(join(root, 'processes', name), 'utf8').catch(() => '{}');
    const { pid = 0 } = JSON.parse(record) as { pid?: number };
    const folder = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (!folder.startsWith(join(root, 'models'))) continue;
    const its = await stat(join(folder, 'frames.in')).catch(() => undefined);
    if (its?.ino === ino) return pid;
  }
  return undefined;
}

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  return () => {
    gc();
    gc();
  };
}
