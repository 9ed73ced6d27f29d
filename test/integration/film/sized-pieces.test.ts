/**
 * Real ffmpeg on pieces that are sized for the agents at hand, and on pieces that begin with scenes: at whatever
 * frame they begin, the film has exactly the source's frames.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Clips } from '../../support/clips.ts';
import { FilmChain, type ChainResult } from '../../support/film-chain.ts';

const run = promisify(execFile);

interface Plan {
  readonly pieces: readonly { readonly firstFrame: number; readonly frames: number }[];
}

async function startsOf({ directory }: ChainResult): Promise<number[]> {
  const plan = JSON.parse(await readFile(join(directory, 'plan.json'), 'utf8')) as Plan;
  return plan.pieces.map(({ firstFrame }) => firstFrame);
}

async function framesProven({ directory }: ChainResult): Promise<unknown> {
  const proof = JSON.parse(await readFile(join(directory, 'proof.json'), 'utf8')) as {
    readonly checks: readonly { readonly check: string; readonly found: unknown }[];
  };
  return proof.checks.find(({ check }) => check === 'frames')?.found;
}

describe('pieces', () => {
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

  /** Three scenes of about two seconds, or of so many times as much; nobody told the encoder where they begin. */
  async function threeScenes(times = 1): Promise<string> {
    const path = join(clips.directory, `scenes-${times}.mp4`);
    const scenes = ['testsrc2', 'mandelbrot', 'smptebars'].flatMap((source) => [
      '-f',
      'lavfi',
      '-i',
      `${source}=size=320x180:rate=25`,
    ]);
    const each = [47, 53, 47].map(
      (frames, i) => `[${i}:v]trim=end_frame=${frames * times},setsar=1[s${i}]`,
    );
    const graph = `${each.join(';')};[s0][s1][s2]concat=n=3,format=yuv420p[v]`;
    const coding = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '1000', '-bf', '2'];
    const told = ['-x264-params', 'scenecut=0', '-y', path];
    const made = ['-filter_complex', graph, '-map', '[v]'];
    await run('ffmpeg', ['-v', 'error', ...scenes, ...made, ...coding, ...told]);
    return path;
  }

  test('by scene begin where the picture changes, keyframe or not', async () => {
    const result = await chain.transcode(await threeScenes(), {
      split: { pieceBy: 'scene', pieceMs: 2000 },
      video: { preset: 'ultrafast' },
    });
    expect(result.outcome).toEqual({ state: 'succeeded' });
    expect(await startsOf(result)).toEqual([0, 47, 100]);
  });

  test('for several agents begin at any frame where keyframes are too far apart', async () => {
    const result = await chain.transcode(await threeScenes(5), {
      split: { unitsAtOnce: 2 },
      video: { preset: 'ultrafast' },
    });
    expect(result.outcome).toEqual({ state: 'succeeded' });
    const starts = await startsOf(result);
    expect(starts.length).toBe(2);
    expect(starts[1]).toBeGreaterThan(250);
    expect(await framesProven(result)).toBe(735);
  });

  test('by scene, for several agents: exactly the frames of the source', async () => {
    const source = await threeScenes();
    const result = await chain.transcode(source, {
      split: { pieceBy: 'scene', unitsAtOnce: 2 },
      video: { preset: 'ultrafast' },
    });
    expect(result.outcome).toEqual({ state: 'succeeded' });
    expect(await framesProven(result)).toBe(147);
  });
});
