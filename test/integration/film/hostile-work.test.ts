/**
 * What a hostile or broken agent could hand to another one is not followed either, and nothing that reads
 * a film runs for ever.
 */
import { copyFile, cp, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { concatRunner } from '../../../agent/runners/film/concat.ts';
import { encodeRunner } from '../../../agent/runners/film/encode.ts';
import { readPackets } from '../../../agent/runners/film/frame-index.ts';
import { MediaProcess } from '../../../agent/runners/film/media-process.ts';
import type { Runner } from '../../../agent/runners/runner.ts';
import type { Task } from '../../../proto/gen/furrow/v1/task.ts';
import { Clips } from '../../support/clips.ts';
import { FilmChain, unitWork, type ChainResult } from '../../support/film-chain.ts';
import { scripts } from '../../support/hostile-films.ts';
import { Traps } from '../../support/traps.ts';

let clips: Clips;
let chain: FilmChain;
let traps: Traps;

beforeAll(async () => {
  clips = await Clips.open();
  chain = await FilmChain.open();
  traps = await Traps.set();
});

afterEach(async () => {
  await traps.refuseSprung();
  await chain.refuseRunning();
});

afterAll(async () => {
  await traps.close();
  await chain.close();
  await clips.close();
});

describe('what another agent made', () => {
  let made: ChainResult;
  beforeAll(async () => {
    made = await chain.transcode(await clips.path('silent'));
  });
  const unit = (runner: Runner, kind: NonNullable<Task['kind']>, spoil: Spoil, item = '') =>
    chain.attempt(
      runner,
      kind,
      async (directory) => {
        await cp(made.directory, directory, { recursive: true });
        await spoil(directory);
      },
      item,
    );
  type Spoil = (directory: string) => Promise<void>;
  const concat = { $case: 'concat', value: { source: 'silent.mp4', film: 'film.mkv' } } as const;
  const script = (): string => scripts(traps.secret, traps.url)['concat script']!;

  test.each([
    ['that names other files', script],
    ['that names itself, for ever', () => "ffconcat version 1.0\nfile 'chunk-00001.mp4'\n"],
    ['that is a playlist', () => scripts(traps.secret, traps.url)['HLS playlist']!],
  ])('a chunk %s', async (_, content) => {
    const outcome = await unit(concatRunner, concat, (directory) =>
      writeFile(join(directory, 'chunk-00001.mp4'), content()),
    );
    expect(outcome).toMatchObject({ state: 'failed', kind: 'bad-output' });
    expect(outcome).toMatchObject({ message: expect.stringMatching(/chunk-00001\.mp4 is not/) });
  });

  test('a piece that is a script', async () => {
    const encode = { $case: 'encode', value: { video: undefined } } as const;
    const spoil = (directory: string): Promise<void> =>
      writeFile(join(directory, 'piece-00001.nut'), script());
    const outcome = await unit(encodeRunner, encode, spoil, 'piece-00001.nut');
    expect(outcome).toMatchObject({ state: 'failed' });
  });

  test('a film whose name leads out of the unit', async () => {
    const film = { $case: 'concat', value: { source: 'silent.mp4', film: '../out.mp4' } } as const;
    const outcome = await unit(concatRunner, film, () => Promise.resolve());
    expect(outcome).toMatchObject({ state: 'failed', kind: 'invalid-input' });
    expect(outcome).toMatchObject({
      message: expect.stringMatching(/^the task names a file "\.\.\/out\.mp4"/),
    });
  });
});

describe('limits of time', () => {
  const media = async (): Promise<MediaProcess> => {
    const directory = await mkdtemp(join(chain.root, 'media-'));
    await copyFile(await clips.path('silent'), join(directory, 'film.mp4'));
    return new MediaProcess(unitWork(directory, concatKind), chain.context());
  };
  const concatKind = { $case: 'noop', value: {} } as const;

  test('a stream without end is ended, and all that came of it', async () => {
    const endless = [{ name: 'film.mp4', options: ['-stream_loop', '-1'] }];
    const nowhere = [{ name: 'null', options: ['-f', 'null'] }] as const;
    const run = (await media()).ffmpeg(endless, nowhere, undefined, { limitMs: 1500 });
    await expect(run).rejects.toMatchObject({
      kind: 'timed-out',
      message: 'reading film.mp4 took longer than its limit of 2 s',
    });
  });

  test('a look that takes too long is the fault of the file', async () => {
    const limits = { look: true, limitMs: 1 };
    const run = (await media()).ffprobeLines('film.mp4', [], () => undefined, limits);
    await expect(run).rejects.toMatchObject({
      kind: 'invalid-input',
      message: expect.stringMatching(/^film\.mp4 takes longer than/) as string,
    });
  });

  test('frames beyond all counting are not counted', async () => {
    const index = readPackets(await media(), 'film.mp4', 'v:0', () => undefined, 20);
    await expect(index).rejects.toMatchObject({
      kind: 'invalid-input',
      message: 'film.mp4 has more than 20 frames, and no more are taken; cut it first',
    });
  });
});
