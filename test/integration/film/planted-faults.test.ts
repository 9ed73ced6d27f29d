/** The proof must notice what a broken farm, disk or person might do to a film. */
import { open, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Clips, ffmpeg } from '../../support/clips.ts';
import { FilmChain, type ChainResult } from '../../support/film-chain.ts';

type Spoil = (directory: string, film: string) => Promise<void>;

describe('the proof', () => {
  let clips: Clips;
  let chain: FilmChain;
  let made: ChainResult;
  beforeAll(async () => {
    clips = await Clips.open();
    chain = await FilmChain.open();
    made = await chain.transcode(await clips.path('closed-gop'));
  });
  afterAll(async () => {
    await chain.close();
    await clips.close();
  });

  const finding = async (spoil: Spoil): Promise<string> => {
    const outcome = await chain.proveSpoilt(made, spoil);
    if (outcome.state !== 'failed') throw new Error('the fault went unnoticed');
    expect(outcome.kind).toBe('bad-output');
    return outcome.message;
  };

  test('two chunks swapped', async () => {
    const swap: Spoil = (directory, film) =>
      rejoin(directory, film, (chunks) => [chunks[1]!, chunks[0]!, ...chunks.slice(2)]);
    expect(await finding(swap)).toMatch(/frames 0 to \d+ are not those of piece-00000|is at/);
  });

  test('a chunk dropped', async () => {
    const drop: Spoil = (directory, film) =>
      rejoin(directory, film, (chunks) => chunks.slice(0, -1));
    expect(await finding(drop)).toMatch(/it has \d+ frames, the source 100/);
  });

  test('a chunk doubled', async () => {
    const double: Spoil = (directory, film) =>
      rejoin(directory, film, (chunks) => [chunks[0]!, ...chunks]);
    expect(await finding(double)).toMatch(/it has \d+ frames, the source 100/);
  });

  test('the file cut short', async () => {
    const cut: Spoil = async (directory, film) => {
      const path = join(directory, film);
      await truncate(path, Math.floor((await stat(path)).size * 0.8));
    };
    expect(await finding(cut)).toMatch(/film\.mp4/);
  });

  test('a byte flipped in the middle', async () => {
    const flip: Spoil = async (directory, film) => {
      const path = join(directory, film);
      const file = await open(path, 'r+');
      await file.write(Buffer.alloc(64, 0x5a), 0, 64, Math.floor((await stat(path)).size / 2));
      await file.close();
    };
    expect(await finding(flip)).toMatch(/are not those of|does not decode/);
  });

  test('audio moved by 200 ms', async () => {
    const shift: Spoil = (directory, film) =>
      remux(directory, film, (path) => [
        ['-i', path, '-itsoffset', '0.2', '-i', path, '-map', '0:v', '-map', '1:a'],
        ['-c', 'copy'],
      ]);
    expect(await finding(shift)).toMatch(/start of audio 0 is \d{3} ms late/);
  });

  test('audio left out', async () => {
    const mute: Spoil = (directory, film) =>
      remux(directory, film, (path) => [['-i', path, '-map', '0:v', '-c', 'copy']]);
    expect(await finding(mute)).toMatch(/0 audio tracks, the source 1/);
  });

  test('frames at other times', async () => {
    const stretch: Spoil = (directory, film) =>
      remux(directory, film, (path) => [
        ['-i', path, '-map', '0', '-c', 'copy'],
        ['-bsf:v', 'setts=pts=PTS+if(gt(N\\,50)\\,256\\,0):dts=DTS'],
      ]);
    expect(await finding(stretch)).toMatch(/frame \d+ is at/);
  });

  test("two pictures of a chunk shown in each other's place", async () => {
    const swap: Spoil = (directory, film) =>
      remux(directory, film, (path) => [
        ['-i', path, '-map', '0', '-c', 'copy'],
        [
          '-bsf:v',
          'setts=pts=if(eq(N\\,51)\\,NEXT_PTS\\,if(eq(N\\,52)\\,PREV_INPTS\\,PTS)):dts=DTS',
        ],
      ]);
    expect(await finding(swap)).toMatch(/frames \d+ to \d+ are not those of piece-0000\d/);
  });

  test('takes the seals of older agents', async () => {
    const forgetOrder: Spoil = async (directory) => {
      const seals = (await readdir(directory)).filter((name) => name.startsWith('seal-'));
      expect(seals).not.toHaveLength(0);
      for (const name of seals) {
        const text = await readFile(join(directory, name), 'utf8');
        const older = text.replace(/"orderSha256":"[0-9a-f]+",/, '');
        expect(older).not.toBe(text);
        await writeFile(join(directory, name), older);
      }
    };
    expect(await chain.proveSpoilt(made, forgetOrder)).toEqual({ state: 'succeeded' });
  });

  test('decodes the audio of the source where nobody says when it begins and ends', async () => {
    const forgetAudio: Spoil = (directory) => rm(join(directory, 'audio.json'));
    expect(await chain.proveSpoilt(made, forgetAudio)).toEqual({ state: 'succeeded' });
  });
});

async function rejoin(
  directory: string,
  film: string,
  order: (chunks: readonly string[]) => readonly string[],
): Promise<void> {
  const chunks = (await readdir(directory)).filter((name) => name.startsWith('chunk-')).sort();
  const list = join(directory, 'spoilt.ffconcat');
  const lines = order(chunks).map((name) => `file '${join(directory, name)}'\n`);
  await writeFile(list, `ffconcat version 1.0\n${lines.join('')}`);
  await remux(directory, film, (path) => [
    ['-f', 'concat', '-safe', '0', '-auto_convert', '0', '-i', list, '-i', path],
    ['-map', '0:v', '-map', '1:a', '-c', 'copy'],
  ]);
}

async function remux(
  directory: string,
  film: string,
  args: (path: string) => readonly (readonly string[])[],
): Promise<void> {
  const path = join(directory, film);
  const spoilt = join(directory, `spoilt-${film}`);
  await ffmpeg([...args(path).flat(), spoilt]);
  await rename(spoilt, path);
}
