/** Pictures of a film show the frames that their times name. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { thumbnailSteps, type ThumbnailsRequest } from '../../../coordinator/recipes/thumbnails.ts';
import { Clips, probeLines, type ClipKind } from '../../support/clips.ts';
import { FilmChain } from '../../support/film-chain.ts';
import { fileAt, runSteps, type StepsRun } from '../../support/run-steps.ts';

const run = promisify(execFile);

let clips: Clips;
let chain: FilmChain;

beforeAll(async () => {
  clips = await Clips.open();
  chain = await FilmChain.open();
});

afterAll(async () => {
  await chain.refuseRunning();
  await chain.close();
  await clips.close();
});

async function taken(kind: ClipKind, request: Partial<ThumbnailsRequest>): Promise<StepsRun> {
  const source = fileAt(await clips.path(kind));
  return runSteps(chain, thumbnailSteps({ source, format: '', ...request }));
}

/** The number that a frame carries as blocks at its top, read from one tile of a picture. */
async function numberIn(picture: string, x: number, y: number, width: number): Promise<number> {
  const graph = `crop=${width}:4:${x}:${y + 6},scale=10:1:flags=area,format=gray`;
  const { stdout } = await run(
    'ffmpeg',
    ['-v', 'error', '-i', picture, '-vf', graph, '-f', 'rawvideo', '-'],
    {
      encoding: 'buffer',
    },
  );
  return stdout.reduce((sum, level, bit) => sum + (level > 127 ? 2 ** bit : 0), 0);
}

// Four seconds of 25 frames. Of the stream and of the film without times others know no index.
test.each<ClipKind>(['open-gop', 'transport-stream', 'without-times'])(
  'sprites of %s: each cue shows the frame of its time',
  async (kind) => {
    const sprites = { intervalMs: 500, width: 160, columns: 3, rows: 2 };
    const made = await taken(kind, { format: 'png', sprites });
    expect(made.outcome).toEqual({ state: 'succeeded' });
    expect(made.outputs('pictures')).toEqual(
      expect.arrayContaining(['sprite-000.png', 'sprite-001.png', 'thumbnails.vtt']),
    );
    const vtt = await readFile(made.path('pictures', 'thumbnails.vtt'), 'utf8');
    const cues = [...vtt.matchAll(/(\S+) --> (\S+)\n(\S+)#xywh=(\d+),(\d+),160,90/g)];
    expect(cues).toHaveLength(8);
    const last = cues.at(-1)!;
    expect(last.slice(3, 6)).toEqual(['sprite-001.png', '160', '0']);
    // Four seconds or nearly, from where the picture begins.
    const length = secondsOf(last[2]!) - secondsOf(last[1]!);
    expect(length).toBeGreaterThan(0.4);
    expect(length).toBeLessThan(0.501);
    for (const [i, [, , , name = '', x, y]] of cues.entries()) {
      const number = await numberIn(made.path('pictures', name), Number(x), Number(y), 160);
      // At every half second begins frame 12.5 i: the one that is shown is the one before.
      expect(number).toBe(Math.floor(i * 12.5));
    }
  },
);

const secondsOf = (clock: string): number =>
  Number(clock.slice(6)) + 60 * Number(clock.slice(3, 5));

test('the sheet, the poster and their forms', async () => {
  const sheet = { columns: 2, rows: 2, width: 320, withoutTimes: false };
  const made = await taken('rotated', { format: 'webp', sheet, poster: { atMs: 1000 } });
  expect(made.outcome).toEqual({ state: 'succeeded' });
  // Upright: 180 by 320.
  const size = (name: string): Promise<string[]> =>
    probeLines(made.path('pictures', name), 'v:0', 'stream=codec_name,width,height');
  expect(await size('poster.webp')).toEqual(['webp,180,320']);
  expect(await size('sheet.webp')).toEqual(['webp,640,1136']);
  const proof = JSON.parse(await readFile(made.path('proof', 'proof.json'), 'utf8')) as {
    ok: boolean;
  };
  expect(proof.ok).toBe(true);
});

test('a film of one frame has pictures too', async () => {
  const made = await taken('one-frame', {});
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(made.outputs('proof')).toEqual(['proof.json']);
});
