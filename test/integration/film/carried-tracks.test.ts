/** What lies around a picture: chosen, carried as the container can hold it, and proven. */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Clips, ffmpeg, probeLines } from '../../support/clips.ts';
import { FilmChain, type ChainResult } from '../../support/film-chain.ts';

let clips: Clips;
let chain: FilmChain;
let everything: string;
beforeAll(async () => {
  clips = await Clips.open();
  chain = await FilmChain.open();
  everything = await clips.path('everything');
});
afterAll(async () => {
  await chain.close();
  await clips.close();
});

test('one language in QuickTime, which says it in its own way, and without what it cannot hold', async () => {
  const made = await chain.transcode(everything, {
    film: 'film.mov',
    pieceMs: 4000,
    audio: { encoder: 'aac', bitrateBps: 0, tracks: { first: false, languages: ['fr'] } },
  });
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(await probeLines(made.film, 'a', 'stream=codec_name:stream_tags=language')).toEqual([
    'aac,fra',
  ]);
  expect(made.runs.get('audio')?.log).toContain('1 of 2 audio tracks are left out, as asked');
  expect(made.runs.get('concat')?.log).toContain(
    '1 attachments left out: only .mkv has a place for them',
  );
});

test('a language that is not there names those that are', async () => {
  const made = await chain.transcode(everything, {
    pieceMs: 4000,
    audio: { encoder: 'aac', bitrateBps: 0, tracks: { first: false, languages: ['jpn'] } },
  });
  expect(made.step).toBe('audio');
  expect(made.outcome).toEqual({
    state: 'failed',
    kind: 'invalid-input',
    message: 'everything.mkv has no audio in jpn: it has und, fre',
  });
});

test('a timecode goes into Matroska, which has another name for it, and out of it', async () => {
  const coded = join(clips.directory, 'coded.mov');
  const plain = await clips.path('silent');
  await ffmpeg(['-i', plain, '-c', 'copy', '-timecode', '01:02:03:04', coded]);
  const matroska = await chain.transcode(coded, { film: 'film.mkv', pieceMs: 4000 });
  expect(matroska.outcome).toEqual({ state: 'succeeded' });
  const back = await chain.transcode(matroska.film, { film: 'back.mov', pieceMs: 4000 });
  expect(back.outcome).toEqual({ state: 'succeeded' });
  expect(await probeLines(back.film, 'v', 'stream_tags=timecode')).toEqual(['01:02:03:04']);
});

describe('the proof notices', () => {
  let made: ChainResult;
  beforeAll(async () => {
    made = await chain.transcode(everything, {
      film: 'film.mkv',
      pieceMs: 4000,
      audio: { encoder: 'copy', bitrateBps: 0 },
    });
  });

  test('nothing where nothing is wrong', () => {
    expect(made.outcome).toEqual({ state: 'succeeded' });
  });

  /** The film copied with other options; `$` is the test's folder. */
  const finding = async (...options: readonly string[]): Promise<string> => {
    const outcome = await chain.proveSpoilt(made, async (directory, film) => {
      const path = join(directory, film);
      await writeFile(
        join(directory, 'later.txt'),
        ';FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=2500\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=2500\nEND=4000\n',
      );
      const spoilt = join(directory, `spoilt-${film}`);
      const here = options.map((option) => option.replace('$', directory));
      await ffmpeg(['-i', path, ...here, '-c', 'copy', spoilt]);
      await rename(spoilt, path);
    });
    if (outcome.state !== 'failed') throw new Error('the fault went unnoticed');
    expect(outcome.kind).toBe('bad-output');
    return outcome.message;
  };

  test('a language that was lost', async () => {
    const lost = ['-map', '0', '-metadata:s:a:1', 'language=eng'];
    expect(await finding(...lost)).toMatch(/number 1 is aac 1 ch eng, not aac 1 ch fre/);
  });

  test('subtitles that were lost', async () => {
    expect(await finding('-map', '0', '-map', '-0:s')).toMatch(
      /subtitles: .*number 0 is missing, not subrip und/,
    );
  });

  test('a subtitle that is not said', async () => {
    const cut = ['-itsoffset', '0', '-t', '1.8', '-i', '$/film.mkv', '-map', '0', '-map', '-0:s'];
    expect(await finding(...cut, '-map', '1:s')).toMatch(/texts or pictures.*number 0 is 1, not 2/);
  });

  test('an attachment that was lost', async () => {
    expect(await finding('-map', '0', '-map', '-0:t')).toMatch(/0 attachments, the source 1/);
  });

  test('a chapter that begins elsewhere', async () => {
    const moved = ['-i', '$/later.txt', '-map', '0', '-map_chapters', '1'];
    expect(await finding(...moved)).toMatch(/chapter 1 begins 0\.500 s off/);
  });
});
