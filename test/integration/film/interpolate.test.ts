/** Films with frames between those of their source, by a real worker and a made model, read back from the film. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Clips, ffmpeg, frameNumbers, frameSeconds } from '../../support/clips.ts';
import { FilmChain, type ChainOptions, type ChainResult } from '../../support/film-chain.ts';
import { hasSharedModels, sharedModel } from '../../support/model-tree.ts';
import { manifestFrom } from '../../support/models.ts';
import { blendModel } from '../../support/onnx-models.ts';
import type { UnitModel } from '../../../proto/gen/furrow/v1/model.ts';

const run = promisify(execFile);

const CONCAT7 = { kind: 'interpolate', pairLayout: 'concat7', timestep: 'plane', sizeMultiple: 32 };

const SPLIT = { ...CONCAT7, pairLayout: 'split', timestep: 'none' };

function interpolator(file: Buffer, manifest: object = CONCAT7) {
  const model: UnitModel = {
    name: 'made',
    file: 'model.onnx',
    sha256: createHash('sha256').update(file).digest('hex'),
    manifest: manifestFrom(manifest),
  };
  return { model, file };
}

describe('frames in between', () => {
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

  const twice = { rateNum: 0, rateDen: 0, factor: 2, between: true };
  const make = async (
    path: string,
    retime = twice,
    more: ChainOptions = {},
  ): Promise<ChainResult> => {
    const split = { retime, tailFrames: 2 };
    return chain.transcode(path, {
      split,
      pieceMs: 2000,
      interpolate: interpolator(blendModel()),
      ...more,
    });
  };

  test('twice the frames: the source’s stay, in their places, over the seams of pieces', async () => {
    const path = await clips.path('open-gop');
    const made = await make(path);
    expect([made.step, made.outcome]).toEqual(['proof', { state: 'succeeded' }]);
    const [source, film] = [await frameNumbers(path), await frameNumbers(made.film)];
    expect(film.filter((_, n) => n % 2 === 0)).toEqual(source);
    const at = await frameSeconds(made.film);
    const from = await frameSeconds(path);
    expect(at).toHaveLength(2 * from.length);
    at.forEach((seconds, n) => {
      expect(Math.abs(seconds - at[0]! - (n / 2) * 0.04)).toBeLessThan(1e-4);
    });
    const logs = [...made.runs.values()].flatMap(({ log }) => log);
    const told = logs.filter((line) => line.includes('frames as they were'));
    expect(told.length).toBeGreaterThan(1);
  });

  test('60 a second exactly, with its sound', async () => {
    const path = await clips.path('late-audio');
    const made = await make(path, { rateNum: 60, rateDen: 1, factor: 0, between: true });
    expect([made.step, made.outcome]).toEqual(['proof', { state: 'succeeded' }]);
    const at = await frameSeconds(made.film);
    expect(Math.max(...at.map((s, n) => Math.abs(s - at[0]! - n / 60)))).toBeLessThan(1e-4);
    const { checks } = JSON.parse(await readFile(join(made.directory, 'proof.json'), 'utf8')) as {
      checks: { check: string; ok: boolean }[];
    };
    expect(checks.every(({ ok }) => ok)).toBe(true);
    expect(checks.map(({ check }) => check)).toContain('audio tracks');
  });

  test('a source whose times ffmpeg makes up', async () => {
    const made = await make(await clips.path('without-times'));
    expect([made.step, made.outcome]).toEqual(['proof', { state: 'succeeded' }]);
    expect(await frameSeconds(made.film)).toHaveLength(200);
  });

  describe('animation on twos', () => {
    const LKFLOW = { ...SPLIT, timestep: 'scalar', inputs: ['img0', 'img1', 'timestep'] };
    const real = hasSharedModels ? sharedModel('lkflow-interp.onnx') : undefined;
    const model = real === undefined ? interpolator(blendModel()) : interpolator(real, LKFLOW);

    /** Each drawing twice, with the noise of an encoder; ten drawings, the last three for half a second. */
    const onTwos = async (): Promise<string> => {
      const path = join(clips.directory, 'twos.mp4');
      const source = 'testsrc2=s=96x64:r=12:d=1,fps=24,tpad=stop=12:stop_mode=clone';
      const coding = '-c:v libx264 -preset fast -crf 20 -g 8 -pix_fmt yuv420p'.split(' ');
      await ffmpeg(['-f', 'lavfi', '-i', source, ...coding, path]);
      return path;
    };
    /** For each frame of the film but the first, how far it is from the one before: mean grey levels. */
    const changes = async (film: string): Promise<number[]> => {
      const argv = ['-v', 'error', '-i', film, '-fps_mode', 'passthrough', '-pix_fmt', 'gray'];
      const options = { encoding: 'buffer', maxBuffer: 1 << 26 } as const;
      const { stdout } = await run('ffmpeg', [...argv, '-f', 'rawvideo', '-'], options);
      const area = 96 * 64;
      return Array.from({ length: stdout.length / area - 1 }, (_, frame) => {
        let off = 0;
        for (let i = frame * area; i < (frame + 1) * area; i += 1) {
          off += Math.abs(stdout[i]! - stdout[i + area]!);
        }
        return off / area;
      });
    };

    test('moves in every frame, at the same times, over the seams of pieces', async () => {
      const path = await onTwos();
      const split = { retime: twice, leadFrames: 7, tailFrames: 12 };
      const more = { pieceMs: 700, interpolate: model, video: { crf: 10 }, split };
      const made = await make(path, twice, { ...more, smoothDuplicates: true });
      expect([made.step, made.outcome]).toEqual(['proof', { state: 'succeeded' }]);
      const at = await frameSeconds(made.film);
      expect(at).toHaveLength(2 * 36);
      expect(Math.max(...at.map((s, n) => Math.abs(s - at[0]! - n / 48)))).toBeLessThan(1e-4);
      const still = (steps: readonly number[]): number =>
        steps.filter((step) => step < 0.4).length / steps.length;
      const [before, after] = [await changes(path), await changes(made.film)];
      expect(still(before.slice(0, 22))).toBeGreaterThan(0.4);
      expect(still(after.slice(0, 44))).toBeLessThan(0.1);
      // The last picture is a still one.
      expect(Math.max(...after.slice(-20))).toBeLessThan(1);
      const logs = [...made.runs.values()].flatMap(({ log }) => log);
      expect(logs.filter((line) => line.includes('became motion')).length).toBeGreaterThan(1);
    });
  });

  test.each<[string, ReturnType<typeof interpolator>, string]>([
    ['another layout', interpolator(blendModel(), SPLIT), 'mend the manifest'],
    ['a file that is none', interpolator(Buffer.from('\b\t nothing')), 'cannot be loaded'],
  ])('%s fails the unit in one line', async (_what, interpolate, line) => {
    const made = await make(await clips.path('one-frame'), twice, { interpolate });
    const message = expect.stringContaining(line) as string;
    expect(made.outcome).toMatchObject({ state: 'failed', kind: 'invalid-input', message });
  });
});
