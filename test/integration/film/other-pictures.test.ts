/** Films whose pictures are not just their source's: of fields, and of another dynamic range. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SplitTask, VideoEncoding } from '../../../proto/gen/furrow/v1/task.ts';
import {
  Clips,
  frameNumbers,
  fromGray,
  frameSeconds,
  probeLines,
  type ClipKind,
} from '../../support/clips.ts';
import { FilmChain, type ChainResult } from '../../support/film-chain.ts';

const run = promisify(execFile);
const numbers = (from: number, count: number, step = 1): number[] =>
  Array.from({ length: count }, (_, i) => from + i * step);

describe('other pictures', () => {
  let clips: Clips;
  let chain: FilmChain;
  beforeAll(async () => {
    clips = await Clips.open();
    chain = await FilmChain.open();
  });
  afterAll(async () => {
    await chain.close();
    await clips.close();
  });
  afterEach(() => chain.refuseRunning());

  const make = async (
    kind: ClipKind,
    video: Partial<VideoEncoding>,
    split: Partial<SplitTask> = {},
    film = 'film.mp4',
  ): Promise<ChainResult> => {
    const made = await chain.transcode(await clips.path(kind), { video, split, film });
    expect(made).toMatchObject({ step: 'proof', outcome: { state: 'succeeded' } });
    return made;
  };

  const fieldNumbers = async (film: string): Promise<number[]> =>
    (await frameNumbers(film)).map(fromGray);

  test('fields that the header says nothing of are found, and each frame becomes a picture', async () => {
    const deinterlace = { always: false, eachField: false };
    const made = await make('interlaced', {}, { deinterlace });
    expect(made.runs.get('split')?.log).toContain('interlaced.mp4 is interlaced, top field first');
    expect(await fieldNumbers(made.film)).toEqual(numbers(0, 75, 2));
  });

  test('each field becomes a picture, across pieces', async () => {
    const deinterlace = { always: true, eachField: true };
    const made = await make('interlaced', {}, { deinterlace });
    expect(await fieldNumbers(made.film)).toEqual(numbers(0, 150));
    const at = await frameSeconds(made.film);
    expect(Math.max(...at.map((seconds, i) => Math.abs(seconds - i / 50)))).toBeLessThan(1e-4);
  });

  test('each field a picture, at another rate', async () => {
    const deinterlace = { always: true, eachField: true };
    const retime = { rateNum: 25, rateDen: 1, factor: 0, between: false };
    const made = await make('interlaced', {}, { deinterlace, retime });
    expect(await fieldNumbers(made.film)).toEqual(numbers(0, 75, 2));
  });

  test('whole pictures are left alone', async () => {
    const made = await make('closed-gop', {}, { deinterlace: { always: false, eachField: true } });
    expect(made.runs.get('split')?.log).toContain('closed.mp4 is not interlaced');
    expect(await frameNumbers(made.film)).toEqual(numbers(0, 100));
  });

  const colours = async (film: string): Promise<string> =>
    (
      await probeLines(
        film,
        'v:0',
        'stream=pix_fmt,color_range,color_space,color_transfer,color_primaries',
      )
    ).join();
  const sideData = async (film: string): Promise<string> => {
    const what = ['-show_frames', '-read_intervals', '%+#1', '-show_entries', 'frame_side_data'];
    return (await run('ffprobe', ['-v', 'error', ...what, film])).stdout;
  };

  test.each([
    ['libx265', 'film.mp4'],
    ['libsvtav1', 'film.mkv'],
  ])('%s keeps ten bits, colours and what HDR10 says of the display', async (encoder, film) => {
    const preset = encoder === 'libx265' ? 'ultrafast' : '12';
    const made = await make('hdr10', { encoder, preset }, {}, film);
    expect(await colours(made.film)).toBe('yuv420p10le,tv,bt2020nc,smpte2084,bt2020');
    const said = await sideData(made.film);
    expect(said).toMatch(/max_luminance=(10000000\/10000|256000\/256)/);
    expect(said).toMatch(/max_content=1000\nmax_average=400/);
  });

  test('a high dynamic range becomes a standard one', async () => {
    const made = await make('hdr10', { toSdr: true });
    expect(await colours(made.film)).toBe('yuv420p,tv,bt709,bt709,bt709');
    expect(await sideData(made.film)).not.toContain('max_luminance');
    // Peak white of the source is far beyond what standard range shows: it is compressed and not cut off.
    expect(await frameNumbers(made.film)).toEqual(numbers(0, 50));
  });

  test('a standard range stays as it is', async () => {
    const made = await make('closed-gop', { toSdr: true });
    expect(await frameNumbers(made.film)).toEqual(numbers(0, 100));
  });
});
