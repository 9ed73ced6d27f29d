/** Pictures and a film through a model on a real farm: what is found, what is not, and what a user reads of it. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  decoded,
  hasSharedPhotos,
  openBareYolox,
  SHARED_MODELS,
  SHARED_PHOTOS,
} from '../support/looking.ts';
import { startUpFarm, type UpFarm } from '../support/up-farm.ts';

/**
 * ONNX: x, float n×3×32×32, through GlobalAveragePool and Flatten to y, n×3: how red, green and blue a picture is.
 * IR 8, opset 17.
 */
const COLOURS =
  'CAg6ZgoZCgF4EgFwIhFHbG9iYWxBdmVyYWdlUG9vbAoPCgFwEgF5IgdGbGF0dGVuEgRtYWRlWhwKAXgSFwoVCAESEQoD' +
  'EgFuCgIIAwoCCCAKAgggYhQKAXkSDwoNCAESCQoDEgFuCgIIA0ICEBE=';
const MANIFEST = {
  kind: 'classify',
  licence: 'CC0-1.0',
  channels: 'rgb',
  width: 32,
  height: 32,
  fit: 'stretch',
  outputForm: 'probabilities',
  labels: ['red', 'green', 'blue'],
  maxBatch: 4,
};

interface Line {
  readonly image?: string;
  readonly frame?: number;
  readonly time?: number;
  readonly width?: number;
  readonly height?: number;
  readonly error?: string;
  readonly found?: readonly { label: string; score: number; box?: readonly number[] }[];
}

let farm: UpFarm;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-infer-'));
  farm = await startUpFarm({ agents: 2 });
  writeFileSync(join(folder, 'colours.onnx'), Buffer.from(COLOURS, 'base64'));
  await addModel(join(folder, 'colours.onnx'), MANIFEST, 'colours');
});

afterAll(async () => {
  await farm?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function addModel(path: string, manifest: object, name: string): Promise<void> {
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  const options = ['--manifest', join(folder, 'manifest.json'), '--name', name];
  const { exitCode, stderr } = await farm.cli(['models', 'add', path, ...options]);
  expect(stderr).toBe('');
  expect(exitCode).toBe(0);
}

async function infer(source: string, model: string, ...options: readonly string[]) {
  const out = mkdtempSync(join(folder, 'out-'));
  const run = await farm.cli(['submit', 'infer', source, '--model', model, '-o', out, ...options]);
  return { ...run, out };
}

function linesIn(out: string): Line[] {
  const text = readFileSync(join(out, 'results.jsonl'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

function draw(name: string, source: string, ...options: readonly string[]): string {
  const path = join(folder, name);
  execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', source, ...options, '-y', path]);
  return path;
}

test('each picture of a folder has its line, in order; broken ones say why and harm no other', async () => {
  const pictures = join(folder, 'pictures');
  mkdirSync(join(pictures, 'deep'), { recursive: true });
  const wanted: Line[] = [];
  const size = (n: number) => ({ width: 20 + n * 7, height: 90 - n * 5 });
  const names = ['red', 'green', 'blue'];
  const kinds = ['png', 'jpg', 'bmp', 'tif', 'webp'];
  for (let n = 0; n < 14; n += 1) {
    const { width, height } = size(n);
    const colour = names[n % 3]!;
    const image = `${n % 2 === 0 ? '' : 'deep/'}${String(n).padStart(2, '0')}.${kinds[n % kinds.length]}`;
    const hex = { red: '0xff0000', green: '0x00ff00', blue: '0x0000ff' }[colour]!;
    draw(`pictures/${image}`, `color=${hex}:s=${width}x${height},format=rgb24`, '-frames:v', '1');
    wanted.push({ image, width, height, found: [{ label: colour, score: 1 }] });
  }
  const broken = (name: string): string => join(pictures, name);
  draw('pictures/03x.png', 'testsrc=s=300x200', '-frames:v', '1');
  truncateSync(broken('03x.png'), 2_000);
  draw('pictures/05x.jpg', 'testsrc=s=300x200', '-frames:v', '1');
  truncateSync(broken('05x.jpg'), 3_000);
  writeFileSync(broken('07x.jpg'), '');
  writeFileSync(broken('09x.png'), '#EXTM3U\n#EXTINF:1,\n/etc/passwd\n');
  draw('pictures/11x.png', 'color=red:s=9000x9000', '-frames:v', '1');
  // No picture by its name: left out, and said so.
  writeFileSync(broken('notes.txt'), 'hello');
  const failed = ['03x.png', '05x.jpg', '07x.jpg', '09x.png', '11x.png'];
  for (const image of failed) wanted.push({ image, error: expect.any(String) as string });

  const { exitCode, stderr, out } = await infer(
    pictures,
    'colours',
    '--threshold',
    '0.5',
    '--per-unit',
    '5',
    '--format',
    'both',
  );
  expect(exitCode).toBe(0);
  expect(stderr).toContain(
    '1 files are left out: they are no pictures by their names, or no files',
  );
  const lines = linesIn(out);
  const byName = (a: Line, b: Line): number => (a.image! < b.image! ? -1 : 1);
  expect(lines.map(({ image }) => image)).toEqual(
    wanted.toSorted(byName).map(({ image }) => image),
  );
  expect(lines.map(withoutNoise)).toEqual(wanted.toSorted(byName).map(withoutNoise));
  expect(await rowsIn(out)).toEqual(lines.map(rowOfLine));
  const reasons = Object.fromEntries(
    lines.flatMap(({ image, error }) => (error ? [[image, error]] : [])),
  );
  expect(reasons).toMatchObject({
    '03x.png': expect.stringMatching(/cannot be decoded/) as string,
    '05x.jpg': expect.stringMatching(/cannot be decoded/) as string,
    '07x.jpg': 'it is empty',
    '09x.png': expect.stringMatching(/no picture of a known kind/) as string,
    '11x.png': expect.stringMatching(/9000x9000/) as string,
  });
  const csv = readFileSync(join(out, 'failures.csv'), 'utf8').trimEnd().split('\r\n');
  expect(csv).toHaveLength(1 + failed.length);
  expect(JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8'))).toMatchObject({
    images: 19,
    failed: 5,
    found: 14,
    labels: [
      { label: 'green', pictures: 5, found: 5 },
      { label: 'red', pictures: 5, found: 5 },
      { label: 'blue', pictures: 4, found: 4 },
    ],
  });
  expect(JSON.parse(readFileSync(join(out, 'proof.json'), 'utf8'))).toMatchObject({ ok: true });
});

async function rowsIn(out: string): Promise<object[]> {
  return parquetReadObjects({ file: await asyncBufferFromFile(join(out, 'results.parquet')) });
}

/** Of a model that knows no boxes. */
function rowOfLine({ width, height, error, ...rest }: Line): object {
  return { ...rest, width: width ?? null, height: height ?? null, error: error ?? null };
}

/** Coding leaves a colour a little less pure. */
function withoutNoise(line: Line): Line {
  return {
    ...line,
    ...(line.error !== undefined && { error: 'it fails' }),
    ...(line.found && { found: line.found.map(({ label }) => ({ label, score: 1 })) }),
  };
}

test('a film: one row for the first frame of each stretch, at its own time', async () => {
  const film = draw('two.mp4', 'color=red:s=64x48:r=10:d=1', '-c:v', 'libx264', '-g', '5');
  draw('green.mp4', 'color=0x00ff00:s=64x48:r=10:d=1', '-c:v', 'libx264', '-g', '5');
  writeFileSync(join(folder, 'both.txt'), "file 'two.mp4'\nfile 'green.mp4'\n");
  const both = join(folder, 'both.mp4');
  execFileSync('ffmpeg', [
    '-v',
    'error',
    '-f',
    'concat',
    '-i',
    join(folder, 'both.txt'),
    '-c',
    'copy',
    both,
  ]);
  expect(film).toContain('two.mp4');
  const { exitCode, stderr, out } = await infer(
    both,
    'colours',
    '--threshold',
    '0.5',
    '--every',
    '500ms',
    '--format',
    'parquet',
  );
  expect(stderr).not.toContain('furrow:');
  expect(exitCode).toBe(0);
  expect(existsSync(join(out, 'results.jsonl'))).toBe(false);
  const rows = (await rowsIn(out)) as Line[];
  expect(rows.map(({ frame, time, found }) => [frame, time, found?.[0]?.label])).toEqual([
    [0, 0, 'red'],
    [5, 0.5, 'red'],
    [10, 1, 'green'],
    [15, 1.5, 'green'],
  ]);
});

test.each([
  ['each frame', '1ms', 250],
  ['every other one', '80ms', 125],
])('a film with more frames than ffmpeg takes terms: %s', async (_what, every, count) => {
  const film = draw('long.mp4', 'color=red:s=64x48:r=25:d=10', '-c:v', 'libx264', '-g', '300');
  const { exitCode, stderr, out } = await infer(film, 'colours', '--every', every);
  expect(stderr).not.toContain('furrow:');
  expect(exitCode).toBe(0);
  const step = 250 / count;
  expect(linesIn(out).map((line) => line.frame)).toEqual(
    Array.from({ length: count }, (_, n) => n * step),
  );
});

test('what cannot be done is said before anything is sent', async () => {
  const missing = await infer(folder, 'none');
  expect(missing.exitCode).not.toBe(0);
  expect(missing.stderr).toContain(
    'the farm has no model named "none": those to detect or classify are colours',
  );
  const nothing = join(folder, 'nothing');
  mkdirSync(nothing);
  expect((await infer(nothing, 'colours')).stderr).toMatch(/there are no pictures in .*nothing/);
  const planned = await farm.cli(['submit', 'infer', folder, '--model', 'colours', '--dry-run']);
  expect(planned.stdout).toContain('join');
});

test.skipIf(!hasSharedPhotos)('real photos: as a bare loop finds it', async () => {
  const manifest = join(import.meta.dirname, '..', '..', 'examples', 'models');
  const read = (name: string) => JSON.parse(readFileSync(join(manifest, name), 'utf8')) as object;
  await addModel(join(SHARED_MODELS, 'yolox_nano.onnx'), read('yolox_nano.json'), 'yolox');
  await addModel(
    join(SHARED_MODELS, 'ultraface-rfb-320.onnx'),
    read('ultraface-rfb-320.json'),
    'faces',
  );
  const { exitCode, out } = await infer(SHARED_PHOTOS, 'yolox');
  expect(exitCode).toBe(0);
  const lines = linesIn(out);
  const best = Object.fromEntries(lines.map(({ image, found }) => [image, found?.[0]?.label]));
  expect(best).toEqual({
    'astronaut.png': 'person',
    'chelsea.png': 'cat',
    'coffee.png': 'cup',
    'motorcycle_left.png': 'motorcycle',
    'motorcycle_right.png': 'motorcycle',
    'rocket.jpg': undefined,
  });
  const bare = await openBareYolox(1);
  for (const { image, found } of lines) {
    const { rgb, width, height } = decoded(join(SHARED_PHOTOS, image!));
    const seen = await bare.best(rgb, width, height, 0.3);
    expect(found?.[0]?.label).toBe(seen?.label);
    if (seen === undefined) continue;
    expect(Math.abs(found![0]!.score - seen.score)).toBeLessThan(0.08);
    // Inside the picture, as the farm's are.
    const sides = seen.box.map((side, i) =>
      Math.min(i % 2 === 0 ? width : height, Math.max(0, side)),
    );
    sides.forEach((side, i) => {
      expect(Math.abs(found![0]!.box![i]! - side)).toBeLessThan(0.04 * Math.max(width, height));
    });
  }
  const faces = linesIn((await infer(join(SHARED_PHOTOS, 'astronaut.png'), 'faces')).out);
  expect(faces).toMatchObject([{ image: 'astronaut.png', found: [{ label: 'face' }] }]);
  expect(faces[0]!.found).toHaveLength(1);
});
