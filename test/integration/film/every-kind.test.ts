/** Real ffmpeg on films of every awkward kind: exactly the source's frames, at its times, in sync. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  Clips,
  frameNumbers,
  frameSeconds,
  probeLines,
  type ClipKind,
} from '../../support/clips.ts';
import { FilmChain, type ChainOptions, type ChainResult } from '../../support/film-chain.ts';

interface Case {
  readonly kind: ClipKind;
  readonly frames: number;
  readonly chunks: number;
  readonly options?: ChainOptions;
  /** Undoes what the film does to the source's picture, for reading its frame numbers. */
  readonly turnBack?: string;
}

const CASES: readonly Case[] = [
  { kind: 'closed-gop', frames: 100, chunks: 4 },
  { kind: 'open-gop', frames: 100, chunks: 4 },
  { kind: 'open-gop', frames: 100, chunks: 4, options: { video: { encoder: 'libx265' } } },
  { kind: 'open-gop-hevc', frames: 100, chunks: 4 },
  { kind: 'variable-rate', frames: 80, chunks: 3 },
  { kind: 'variable-rate', frames: 80, chunks: 3, options: { film: 'film.mkv' } },
  { kind: 'silent', frames: 75, chunks: 3 },
  { kind: 'late-audio', frames: 100, chunks: 4 },
  { kind: 'late-picture', frames: 75, chunks: 3 },
  { kind: 'odd-size', frames: 75, chunks: 3 },
  { kind: 'rotated', frames: 100, chunks: 4, turnBack: 'transpose=clock' },
  { kind: 'edit-list', frames: 67, chunks: 3 },
  { kind: 'one-frame', frames: 1, chunks: 1 },
  { kind: 'everything', frames: 100, chunks: 4, options: { film: 'film.mkv' } },
  // A frame is shorter than AAC's lead-in, which Matroska cannot hide.
  { kind: 'sixty', frames: 120, chunks: 2, options: { film: 'film.mkv' } },
  { kind: 'transport-stream', frames: 100, chunks: 4 },
  { kind: 'without-times', frames: 100, chunks: 1 },
  { kind: 'ten-bit', frames: 50, chunks: 2, options: { video: { encoder: 'libx265' } } },
  {
    kind: 'silent',
    frames: 75,
    chunks: 3,
    options: { film: 'film.webm', video: { encoder: 'libvpx-vp9', preset: '8', crf: 40 } },
  },
];

describe('a film in chunks', () => {
  let clips: Clips;
  let chain: FilmChain;
  beforeAll(async () => {
    clips = await Clips.open();
    chain = await FilmChain.open();
  });
  /** Each film is made once, whatever is asked of it. */
  const films = new Map<string, Promise<ChainResult>>();
  const filmOf = async (kind: ClipKind, options: ChainOptions = {}): Promise<ChainResult> => {
    const key = JSON.stringify([kind, options]);
    const film = films.get(key) ?? clips.path(kind).then((path) => chain.transcode(path, options));
    films.set(key, film);
    return film;
  };
  afterAll(async () => {
    await chain.close();
    await clips.close();
  });

  for (const { kind, frames, chunks, options = {}, turnBack } of CASES) {
    const film = options.film ?? 'film.mp4';
    test(`${kind} → ${options.video?.encoder ?? 'libx264'} in ${film}`, async () => {
      const source = await clips.path(kind);
      const result = await filmOf(kind, options);
      expect(result.outcome).toEqual({ state: 'succeeded' });
      expect([...result.runs.keys()].filter((step) => step.startsWith('encode'))).toHaveLength(
        chunks,
      );

      const wanted = await frameNumbers(source);
      expect(wanted).toHaveLength(frames);
      expect(await frameNumbers(result.film, turnBack)).toEqual(wanted);
      if (kind !== 'without-times') await expectSameTimes(source, result.film);
    });
  }

  test('one pass cuts pieces that share no packet, and no others', async () => {
    const wasOnePass = async (kind: ClipKind): Promise<boolean> => {
      const { log = [] } = (await filmOf(kind)).runs.get('split') ?? {};
      return !log.some((line) => line.startsWith('no one pass'));
    };
    expect(await wasOnePass('closed-gop')).toBe(true);
    expect(await wasOnePass('transport-stream')).toBe(true);
    expect(await wasOnePass('open-gop-hevc')).toBe(false);
    expect(await wasOnePass('edit-list')).toBe(false);
  });

  test('a damaged film keeps all its frames, and the proof says where its decoder made some up', async () => {
    const bytes = await readFile(await clips.path('silent'));
    const at = Math.floor(bytes.length / 2);
    for (let i = at; i < at + 40; i += 1) bytes[i] = bytes[i]! ^ 0x5a;
    const damaged = join(clips.directory, 'damaged.mp4');
    await writeFile(damaged, bytes);
    const { outcome, directory } = await chain.transcode(damaged);
    expect(outcome).toEqual({ state: 'succeeded' });
    const proof = JSON.parse(await readFile(join(directory, 'proof.json'), 'utf8')) as object;
    expect(proof).toMatchObject({
      ok: true,
      frames: 75,
      sourceDamage: expect.stringMatching(
        /^in 1 of 3 chunks, first in the one from 00:00:01\.000: error while decod/,
      ) as string,
    });
    const whole = await filmOf('silent');
    const report = await readFile(join(whole.directory, 'proof.json'), 'utf8');
    expect(report).not.toContain('sourceDamage');
  });

  test('progress only grows and ends whole', async () => {
    const result = await filmOf('silent');
    for (const run of result.runs.values()) {
      const counters = run.progress.map((report) => report.counter);
      expect(counters).toEqual([...counters].sort((a, b) => a - b));
      for (const { fraction } of run.progress) expect(fraction).toBeLessThanOrEqual(1);
    }
  });

  test('a turned film is shown upright without metadata', async () => {
    const result = await filmOf('rotated');
    expect(await probeLines(result.film, 'v:0', 'stream=width,height')).toEqual(['180,320']);
  });

  test('an odd size loses one column and one row', async () => {
    const result = await filmOf('odd-size');
    expect(await probeLines(result.film, 'v:0', 'stream=width,height')).toEqual(['320,180']);
  });

  test('ten bits stay ten', async () => {
    const result = await filmOf('ten-bit', {
      video: { encoder: 'libx265' },
    });
    expect(await probeLines(result.film, 'v:0', 'stream=pix_fmt')).toEqual(['yuv420p10le']);
  });

  test('MP4 takes text subtitles, chapters, both audio tracks and their languages', async () => {
    const result = await filmOf('everything');
    expect(result.outcome).toEqual({ state: 'succeeded' });
    expect(await probeLines(result.film, 's', 'stream=codec_name')).toEqual(['mov_text']);
    expect(await probeLines(result.film, 'a', 'stream_tags=language')).toEqual(['und', 'fre']);
    const chapters = await probeLines(result.film, 'v:0', 'chapter=start_time:chapter_tags=title');
    expect(chapters.filter((line) => line !== '')).toEqual(['0.000000,One', '2.000000,Two']);
  });

  test('Matroska takes attachments too', async () => {
    const result = await filmOf('everything', { film: 'film.mkv' });
    expect(await probeLines(result.film, 't', 'stream_tags=filename,mimetype')).toEqual([
      'words.srt,text/plain',
    ]);
  });
});

/** Both counted from the first packet of whatever comes first. */
async function expectSameTimes(source: string, film: string): Promise<void> {
  const [before, after] = [await frameSeconds(source), await frameSeconds(film)];
  // Matroska rounds to a millisecond.
  const tolerance = film.endsWith('.mp4') ? 0.0001 : 0.0011;
  const off = after.map((at, i) => Math.abs(at - after[0]! - (before[i]! - before[0]!)));
  expect(Math.max(...off)).toBeLessThan(tolerance);
  const audioBefore = await audioDelay(source, before[0]!);
  const audioAfter = await audioDelay(film, after[0]!);
  expect(audioAfter === undefined).toBe(audioBefore === undefined);
  expect(Math.abs((audioAfter ?? 0) - (audioBefore ?? 0))).toBeLessThan(1 / 25);
}

async function audioDelay(path: string, firstPicture: number): Promise<number | undefined> {
  const [start] = await probeLines(path, 'a:0', 'stream=start_time');
  return start === undefined ? undefined : Number(start) - firstPicture;
}
