/** Who is to blame, and what is tried again: with a model that does as it is told. */
import { expect, test } from 'vitest';
import type { LentModel, WorkEnd } from '../../../../agent/models/lent-model.ts';
import { type PicturesWork, throughModel } from '../../../../agent/models/through-model.ts';
import { FilmFault } from '../../../../agent/runners/film/film-fault.ts';
import type { RunnerContext } from '../../../../agent/runners/runner.ts';

interface Rig {
  readonly context: RunnerContext;
  readonly rooms: number[];
  readonly givenBack: boolean[];
  readonly lines: string[];
}

/** `smaller`: of each work, what it says that it went down to before its end. */
function rig(ends: readonly WorkEnd[], smaller: readonly (number | undefined)[] = []): Rig {
  const [rooms, givenBack, lines]: [number[], boolean[], string[]] = [[], [], []];
  const left = [...ends];
  const model: LentModel = {
    inputs: [],
    outputs: [],
    roomPixels: () => 100_000,
    work: async (work, onTold) => {
      const roomPixels = smaller[rooms.length];
      if (roomPixels !== undefined) onTold({ event: 'smaller', roomPixels });
      rooms.push(work.kind === 'upscale' ? work.roomPixels : 0);
      return left.shift()!;
    },
    wakeWaiting: () => undefined,
    giveBack: async (isWell) => void givenBack.push(isWell),
  };
  const context: RunnerContext = {
    signal: new AbortController().signal,
    progress: () => undefined,
    log: (line) => lines.push(line),
    run: () => Promise.reject(new Error('nothing is run')),
    lendModel: async () => model,
  };
  return { context, rooms, givenBack, lines };
}

function pictures(more: Partial<PicturesWork> = {}): PicturesWork {
  const times = { timeBase: { num: 1, den: 1 }, first: 0, runs: [] };
  return {
    request: {
      model: { name: 'm', file: 'f', sha256: '', manifest: undefined },
      provider: '',
      reservedBytes: 0,
    },
    otherBytes: 0,
    workOf: (roomPixels) => ({
      kind: 'upscale',
      width: 1,
      height: 1,
      frames: 1,
      times,
      roomPixels,
    }),
    feed: async () => undefined,
    drain: async () => undefined,
    onTold: () => undefined,
    ...more,
  };
}

const done: WorkEnd = { state: 'done', peak: null };
const failed = (more: Partial<WorkEnd & { state: 'failed' }>): WorkEnd => ({
  state: 'failed',
  kind: 'failed',
  message: 'it failed',
  mayShrink: false,
  ...more,
});

test('it is given back, and kept only when all went well', async () => {
  const well = rig([done]);
  await throughModel(well.context, pictures());
  expect(well.givenBack).toEqual([true]);
  const ill = rig([failed({ kind: 'bad-output' })]);
  await expect(throughModel(ill.context, pictures())).rejects.toMatchObject({ kind: 'bad-output' });
  expect(ill.givenBack).toEqual([false]);
});

test('a process that memory ended is followed by one with half the room', async () => {
  const out = failed({ kind: 'out-of-memory', message: 'too much', mayShrink: true });
  const { context, rooms, givenBack, lines } = rig([out, out, done]);
  await throughModel(context, pictures());
  expect(rooms).toEqual([100_000, 50_000, 25_000]);
  expect(givenBack).toEqual([false, false, true]);
  expect(lines[0]).toBe('too much; again with 50000 pixels at once');
});

test('where a process went down and failed at last, a new one begins there', async () => {
  const out = failed({ kind: 'out-of-memory', mayShrink: true });
  const { context, rooms } = rig([out, out, done], [25_000]);
  await throughModel(context, pictures());
  expect(rooms).toEqual([100_000, 25_000, 12_500]);
});

test('below the least room the unit fails as it is, for a larger box', async () => {
  const out = failed({ kind: 'out-of-memory', mayShrink: true });
  const { context, rooms } = rig(Array.from({ length: 20 }, () => out));
  await expect(throughModel(context, pictures())).rejects.toMatchObject({ kind: 'out-of-memory' });
  expect(rooms.at(-1)).toBeGreaterThanOrEqual(256);
  expect(rooms.length).toBe(9);
});

test('a broken pipe tells of who held its other end', async () => {
  const feed = (): Promise<never> =>
    Promise.reject(new FilmFault('invalid-input', 'clip is damaged'));
  const drain = (): Promise<never> => Promise.reject(new FilmFault('failed', 'no encoder'));
  const ofFeed = rig([failed({ echoOf: 'feed' })]);
  await expect(throughModel(ofFeed.context, pictures({ feed, drain }))).rejects.toThrow(/damaged/);
  const ofDrain = rig([failed({ echoOf: 'drain' })]);
  await expect(throughModel(ofDrain.context, pictures({ feed, drain }))).rejects.toThrow(/encoder/);
  const own = rig([failed({ message: 'the model is broken' })]);
  await expect(throughModel(own.context, pictures({ feed, drain }))).rejects.toThrow(/model is/);
  const late = rig([done]);
  await expect(throughModel(late.context, pictures({ drain }))).rejects.toThrow(/encoder/);
});
