/** Films of more than eight bits through models: nothing of their depth, their colours and their HDR10 data is lost. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { codedFilters, readFrames } from '../../../agent/runners/film/model-frames.ts';
import type { FilmPlan } from '../../../agent/runners/film/film-plan.ts';
import { ffmpeg, probeLines } from '../../support/clips.ts';
import { type ChainResult, FilmChain } from '../../support/film-chain.ts';
import { upscaler } from '../../support/model-tree.ts';
import { manifestFrom } from '../../support/models.ts';
import { blendModel, nearestModel } from '../../support/onnx-models.ts';

const run = promisify(execFile);

let folder: string;
let chain: FilmChain;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'furrow-depth-'));
  chain = await FilmChain.open();
});
afterAll(async () => {
  await chain.close();
  await rm(folder, { recursive: true });
});

const LEVELS = 'max-cll=1000,400';
const DISPLAY =
  'master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)';

/** Six small frames of moving slopes, in ten bits, as x265 codes them. */
async function clip(name: string, colour: readonly string[], more: string): Promise<string> {
  const path = join(folder, name);
  const tags = `range=tv:color_primaries=${colour[0]}:color_trc=${colour[1]}:colorspace=${colour[2]}`;
  const slopes = `geq=lum='200+X*6+N*8':cb='480+Y':cr='500+X/2'`;
  const source = `nullsrc=s=64x48:r=10:d=0.6,format=yuv420p10le,${slopes}`;
  // What a source of lavfi says of its colours is lost on the way.
  const coding = ['-vf', `setparams=${tags}`, '-c:v', 'libx265', '-crf', '4'];
  const parameters = ['-x265-params', `log-level=none${more}`];
  await ffmpeg(['-f', 'lavfi', '-i', source, ...coding, ...parameters, path]);
  return path;
}

const hdr10 = (): Promise<string> =>
  clip('hdr10.mkv', ['bt2020', 'smpte2084', 'bt2020nc'], `:hdr10=1:${LEVELS}:${DISPLAY}`);

interface ProofFile {
  readonly checks: readonly { check: string; expected: unknown; found: unknown; ok: boolean }[];
}

async function proofOf(directory: string): Promise<ProofFile['checks']> {
  const text = await readFile(join(directory, 'proof.json'), 'utf8');
  return (JSON.parse(text) as ProofFile).checks;
}

/** How far the brightness of each frame, on average and at most, is from the source's; codes of ten bits. */
async function lumaOff(path: string, film: string, each: number, size: string) {
  const luma = async (file: string, filter: string): Promise<number[]> => {
    const graph = `${filter}scale=${size}:flags=neighbor,format=yuv444p10le`;
    const argv = ['-v', 'error', '-i', file, '-vf', graph, '-fps_mode', 'passthrough'];
    const options = { encoding: 'buffer' } as const;
    const { stdout } = await run('ffmpeg', [...argv, '-f', 'rawvideo', '-'], options);
    const values = Array.from({ length: stdout.length / 2 }, (_, i) => stdout.readUInt16LE(i * 2));
    const [width = 0, height = 0] = size.split(':').map(Number);
    return values.filter((_, i) => Math.floor(i / (width * height)) % 3 === 0);
  };
  const source = await luma(path, '');
  const made = await luma(film, `select='not(mod(n\\,${each}))',`);
  expect(made.length).toBe(source.length);
  const off = made.map((value, i) => Math.abs(value - source[i]!));
  const fine = made.filter((value) => value % 4 !== 0).length / made.length;
  return {
    mean: off.reduce((sum, value) => sum + value, 0) / off.length,
    most: Math.max(...off),
    fine,
  };
}

const X265 = { encoder: 'libx265', crf: 4, preset: 'fast' };

test('HDR10 through upscale: ten bits, colours and light levels are there, and the proof says so', async () => {
  const file = nearestModel(2);
  const path = await hdr10();
  const upscale = { model: upscaler(file), file };
  const made = await chain.transcode(path, { upscale, film: 'film.mkv', video: X265 });
  expect(made.outcome).toEqual({ state: 'succeeded' });
  const entries = 'stream=pix_fmt,color_range,color_space,color_transfer,color_primaries';
  expect(await probeLines(made.film, 'v:0', entries)).toEqual([
    'yuv420p10le,tv,bt2020nc,smpte2084,bt2020',
  ]);
  const checks = (await proofOf(made.directory)).map(({ check, found, ok }) => [check, found, ok]);
  expect(checks).toContainEqual(['bits of each value', 10, true]);
  const colours = 'tv, bt2020nc, smpte2084, bt2020';
  expect(checks).toContainEqual(['colour: range, space, transfer, primaries', colours, true]);
  const data = `${DISPLAY.replace('master-display=', '')} 1000,400`;
  expect(checks).toContainEqual(["HDR10's display and light levels", data, true]);
  const off = await lumaOff(path, made.film, 1, '64:48');
  expect(off.mean).toBeLessThan(1);
  expect(off.fine).toBeGreaterThan(0.5);
  expect([...made.runs.values()].flatMap(({ log }) => log).join('\n')).toMatch(
    /is HDR.*coded values/,
  );

  // A proof that cannot fail proves nothing.
  const seal = join('seal-00000.json');
  const spoilt = await chain.proveSpoilt(made, async (directory) => {
    const text = await readFile(join(directory, seal), 'utf8');
    await writeFile(join(directory, seal), text.replace('"1000,400"', '"4000,400"'));
  });
  expect(spoilt).toMatchObject({
    kind: 'bad-output',
    message: expect.stringContaining('HDR10 data') as string,
  });
  const shallow = await chain.proveSpoilt(made, async (directory) => {
    const text = await readFile(join(directory, seal), 'utf8');
    await writeFile(join(directory, seal), text.replace('"yuv420p10le"', '"yuv420p"'));
  });
  expect(shallow).toMatchObject({ message: expect.stringContaining('10 bits') as string });
});

/** Twice the frames, by a blend. */
async function doubled(path: string, video: object): Promise<ChainResult> {
  const file = blendModel();
  const manifest = {
    kind: 'interpolate',
    pairLayout: 'concat7',
    timestep: 'plane',
    sizeMultiple: 32,
  };
  const sha256 = createHash('sha256').update(file).digest('hex');
  const model = { name: 'made', file: 'model.onnx', sha256, manifest: manifestFrom(manifest) };
  const retime = { rateNum: 0, rateDen: 0, factor: 2, between: true };
  const split = { retime, tailFrames: 2 };
  return chain.transcode(path, { split, interpolate: { model, file }, film: 'film.mkv', video });
}

test('HDR10 through interpolate', async () => {
  const path = await hdr10();
  const made = await doubled(path, X265);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  const checks = await proofOf(made.directory);
  expect(checks.map(({ check }) => check)).toContain("HDR10's display and light levels");
  expect(await probeLines(made.film, 'v:0', 'stream=pix_fmt')).toEqual(['yuv420p10le']);
  expect((await lumaOff(path, made.film, 2, '64:48')).mean).toBeLessThan(1);
});

test('x264 makes ten bits too, and says that it writes no HDR10 data', async () => {
  const plain = await doubled(await hdr10(), { encoder: 'libx264', crf: 4 });
  expect(plain.outcome).toEqual({ state: 'succeeded' });
  expect(await probeLines(plain.film, 'v:0', 'stream=pix_fmt,profile')).toEqual([
    'High 10,yuv420p10le',
  ]);
  const log = [...plain.runs.values()].flatMap((unit) => unit.log).join('\n');
  expect(log).toContain('libx264 writes no HDR10 data');
});

describe('into a model’s pipe and out of it, without a model', () => {
  const colours = (
    range: string,
    space: string,
    transfer: string,
  ): FilmPlan['source']['colour'] => ({
    range,
    space,
    transfer,
    primaries: 'unknown',
  });
  test.each([
    ['HDR10', colours('tv', 'bt2020nc', 'smpte2084'), 'rgb'],
    ['full range', colours('pc', 'bt2020nc', 'arib-std-b67'), 'rgb'],
    ['HD', colours('tv', 'bt709', 'bt709'), 'rgb'],
    ['nothing said', colours('unknown', 'unknown', 'unknown'), 'rgb'],
    ['brightness alone', colours('tv', 'bt709', 'bt709'), 'luma'],
  ])('%s: no value of ten bits is off by more than one', async (_what, colour, channels) => {
    const source = {
      pixelFormat: 'yuv420p10le',
      orientation: [1, 0, 0, 1],
      colour,
    } as unknown as FilmPlan['source'];
    const manifest = manifestFrom({ kind: 'upscale', channels, scale: 2, halo: 0 });
    const settings = { filters: ['format=yuv420p10le'] };
    const size = { width: 256, height: 144 };
    const { filters, format } = readFrames({ source }, size, manifest);
    const layout = /format=(\w+)$/.exec(format)![1]!;
    const file = (name: string): string => join(folder, `${name}.raw`);
    const raw = (pixels: string): string[] => [
      '-f',
      'rawvideo',
      '-pix_fmt',
      pixels,
      '-s',
      '256x144',
    ];
    // All within what RGB can say: what lies beyond is cut off there, as on any screen.
    const picture = `geq=lum='300+mod(X*3+Y*2,400)':cb='512+(X-64)*0.9':cr='512+(Y-36)*1.2'`;
    const lavfi = `nullsrc=s=256x144:r=1:d=1,format=yuv420p10le,${picture}`;
    await ffmpeg(['-f', 'lavfi', '-i', lavfi, '-f', 'rawvideo', file('a')]);
    await ffmpeg(
      [
        [...raw('yuv420p10le'), '-i', file('a'), '-vf', [...filters, format].join(',')],
        ['-f', 'rawvideo', file('wide')],
      ].flat(),
    );
    const back = codedFilters({ source }, { manifest, settings }).join(',');
    await ffmpeg(
      [
        [...raw(layout), '-i', file('wide'), '-vf', back],
        ['-f', 'rawvideo', '-pix_fmt', 'yuv420p10le', file('b')],
      ].flat(),
    );
    const words = async (name: string): Promise<number[]> => {
      const bytes = await readFile(file(name));
      return Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16LE(i * 2));
    };
    const [a, b] = [await words('a'), await words('b')];
    expect(b.length).toBe(a.length);
    expect(Math.max(...b.map((value, i) => Math.abs(value - a[i]!)))).toBeLessThanOrEqual(1);
  });
});
