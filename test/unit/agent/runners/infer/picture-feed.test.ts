/** What goes into the pipe, with the real ffmpeg, and with one that ends in the middle. */
import { execFileSync } from 'node:child_process';
import {
  createReadStream,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PIPE_IN } from '../../../../../agent/models/model-work.ts';
import { MemorySampler } from '../../../../../agent/process/memory-sampler.ts';
import { ProcessRecords } from '../../../../../agent/process/process-records.ts';
import { runProcess } from '../../../../../agent/process/run-process.ts';
import { VramUse } from '../../../../../agent/process/vram-use.ts';
import {
  feedPictures,
  type FedPictures,
  type Picture,
} from '../../../../../agent/runners/infer/picture-feed.ts';
import { pictureKindOf } from '../../../../../agent/runners/infer/picture-kind.ts';
import { orientationOf } from '../../../../../agent/runners/infer/picture-orientation.ts';
import { readPicture } from '../../../../../agent/runners/infer/read-picture.ts';
import type { ProcessRequest, RunnerContext } from '../../../../../agent/runners/runner.ts';
import { bytesOf, tiffHeader, withOrientation } from '../../../../support/exif.ts';
import { ModelManifest, PictureFit } from '../../../../../proto/gen/furrow/v1/model.ts';

const SIDE = 8;
const manifest = ModelManifest.fromPartial({
  width: SIDE,
  height: SIDE,
  fit: PictureFit.PICTURE_FIT_STRETCH,
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-feed-'));
  execFileSync('mkfifo', [join(folder, PIPE_IN)]);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function contextOf(run: RunnerContext['run']): RunnerContext {
  const notUsed = (): never => {
    throw new Error('it is not used');
  };
  const signal = new AbortController().signal;
  return { signal, run, progress: notUsed, log: () => undefined, lendModel: notUsed };
}

function realRun(request: ProcessRequest): ReturnType<RunnerContext['run']> {
  const records = new ProcessRecords(join(folder, 'processes'));
  const host = { records, sampler: new MemorySampler(new VramUse()) };
  const { signal } = new AbortController();
  return runProcess(host, request, { signal, log: () => undefined });
}

async function fed(
  run: RunnerContext['run'],
  pictures: readonly Picture[],
): Promise<FedPictures & { bytes: Buffer }> {
  const chunks: Buffer[] = [];
  const reader = createReadStream(join(folder, PIPE_IN));
  reader.on('data', (chunk) => chunks.push(chunk as Buffer));
  const read = once(reader, 'close');
  const { signal } = new AbortController();
  try {
    const result = await feedPictures(
      { context: contextOf(run), directory: folder, manifest, signal },
      pictures,
    );
    await read;
    return { ...result, bytes: Buffer.concat(chunks) };
  } finally {
    reader.destroy();
  }
}

/** Grey of this brightness, under a name that tells nothing. */
function draw(index: number, ending: string, grey: number, width: number): Picture {
  const name = `picture ${index}`;
  const hex = grey.toString(16).padStart(2, '0');
  const source = `color=0x${hex}${hex}${hex}:s=${width}x10,format=rgb24`;
  const path = join(folder, `drawn.${ending}`);
  execFileSync('ffmpeg', [
    '-v',
    'error',
    '-y',
    '-f',
    'lavfi',
    '-i',
    source,
    '-frames:v',
    '1',
    path,
  ]);
  execFileSync('mv', [path, join(folder, name)]);
  const kind = pictureKindOf(execFileSync('head', ['-c', '16', join(folder, name)]));
  if (kind === undefined) throw new Error(`${ending} is of no kind`);
  return { index, name, kind, orientation: 1, layout: '' };
}

test('pictures of several kinds and sizes, good and bad, in one pipe', async () => {
  const pictures = [
    draw(0, 'png', 10, 30),
    draw(1, 'jpg', 60, 40),
    draw(2, 'png', 110, 31),
    draw(3, 'bmp', 160, 50),
    draw(4, 'png', 210, 32),
    draw(5, 'tif', 230, 33),
  ];
  truncateSync(join(folder, pictures[2]!.name), 60);
  const { fed: went, lost, bytes } = await fed(realRun, pictures);
  expect(went.map(({ index, width }) => [index, width])).toEqual([
    [0, 30],
    [4, 32],
    [1, 40],
    [3, 50],
    [5, 33],
  ]);
  expect([...lost.keys()]).toEqual([2]);
  const each = SIDE * SIDE * 3;
  expect(bytes).toHaveLength(went.length * each);
  const greys = went.map((_, position) => bytes[position * each]!);
  [10, 210, 60, 160, 230].forEach((grey, i) => expect(Math.abs(greys[i]! - grey)).toBeLessThan(3));
});

test('where not one is good, all are lost and nothing else is', async () => {
  const pictures = [draw(0, 'png', 10, 30), draw(1, 'png', 20, 30), draw(2, 'png', 30, 30)];
  for (const { name } of pictures) truncateSync(join(folder, name), 50);
  const { fed: went, lost, bytes } = await fed(realRun, pictures);
  expect(went).toEqual([]);
  expect([...lost.keys()]).toEqual([0, 1, 2]);
  expect(bytes).toHaveLength(0);
});

test('those that are lost for the same reason, one after the other, end nothing', async () => {
  const pictures = [0, 1, 2, 3].map((index) => draw(index, 'webp', 10 + index, 30));
  for (const { name } of pictures.slice(1)) truncateSync(join(folder, name), 40);
  const { fed: went, lost } = await fed(realRun, pictures);
  expect(went.map(({ index }) => index)).toEqual([0]);
  expect([...lost.keys()]).toEqual([1, 2, 3]);
});

/** Eight pixels of this number, and what it means. */
function smallTiff(number: number, meaning: number, palette: readonly number[]): Buffer {
  const [wide, high, bits, compression, photometric] = [256, 257, 258, 259, 262];
  const [offset, perPixel, rows, bytes, colours] = [273, 277, 278, 279, 320];
  const given = { [wide]: 4, [high]: 2, [bits]: 8, [compression]: 1, [photometric]: meaning };
  const strip = { [offset]: 0, [perPixel]: 1, [rows]: 2, [bytes]: 8 };
  const tags = { ...given, ...strip, ...(palette.length > 0 && { [colours]: palette }) };
  const start = tiffHeader(tags).length;
  return Buffer.concat([tiffHeader({ ...tags, [offset]: start }), Buffer.alloc(8, number)]);
}

test('a gray TIFF is gray, whatever palette the one before it had', async () => {
  const red = Array.from({ length: 768 }, (_, i) => (i < 256 ? 65_535 : 0));
  const held: Picture[] = [];
  for (const [index, bytes] of [smallTiff(9, 3, red), smallTiff(9, 1, [])].entries()) {
    const name = `tiff ${index}`;
    writeFileSync(join(folder, name), bytes);
    const read = await readPicture(join(folder, name));
    if ('error' in read) throw new Error(read.error);
    held.push({ index, name, ...read });
  }
  const { fed: went, bytes } = await fed(realRun, held);
  expect(went.map(({ index }) => index)).toEqual([0, 1]);
  const plane = SIDE * SIDE;
  // Green, blue, red: of red, and of a dark gray.
  const shown = [0, 1, 2, 3, 4, 5].map((i) => bytes[i * plane]!);
  [0, 0, 255, 9, 9, 9].forEach((level, i) => expect(Math.abs(shown[i]! - level)).toBeLessThan(3));
});

const ended = {
  stdoutTail: [],
  stderrTail: [],
  peakRamBytes: 0,
  peakVramBytes: 0,
  memoryEnd: null,
};
const pictures: readonly Picture[] = [0, 1, 2].map((index) => ({
  index: index + 5,
  name: `p${index}`,
  kind: 'png',
  orientation: 1,
  layout: '',
}));
const SHOWN = '[Parsed_showinfo_0 @ 0x1] n:   0 pts:      0 pts_time:0 fmt:rgb24 sar:1/1 s:9x9 i:P';

test('one that ends ffmpeg is named: all begins anew without it', async () => {
  for (const { name } of pictures) writeFileSync(join(folder, name), '');
  const crash: RunnerContext['run'] = async ({ onStderrLine }) => {
    onStderrLine?.(SHOWN);
    onStderrLine?.('[png @ 0x1] something odd');
    return { ...ended, exitCode: null, signal: 'SIGSEGV' };
  };
  await expect(fed(crash, pictures)).rejects.toMatchObject({
    name: 'PictureCrash',
    index: 6,
    message: expect.stringContaining('SIGSEGV') as string,
  });
});

test('an ffmpeg that lacks what it needs is the machine’s fault', async () => {
  for (const { name } of pictures) writeFileSync(join(folder, name), '');
  const lacking: RunnerContext['run'] = async ({ onStderrLine }) => {
    onStderrLine?.("Unrecognized option 'fps_mode'.");
    return { ...ended, exitCode: 1, signal: null };
  };
  await expect(fed(lacking, pictures)).rejects.toMatchObject({ kind: 'infrastructure' });
});

test('a picture is looked at as it was seen, however the camera was held', async () => {
  // White at the left of its top, on black, 40 by 20.
  const source = 'color=black:s=40x20,format=rgb24,drawbox=x=0:y=0:w=20:h=10:color=white:t=fill';
  const path = join(folder, 'held.jpg');
  execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', source, '-frames:v', '1', path]);
  const jpeg = readFileSync(path);
  /** Where white is: left or right, top or bottom. */
  const corners: Record<number, string> = {
    1: 'lt',
    2: 'rt',
    3: 'rb',
    4: 'lb',
    5: 'lt',
    6: 'rt',
    7: 'rb',
    8: 'lb',
  };
  const held: Picture[] = [];
  for (const [index, key] of Object.keys(corners).entries()) {
    const name = `held ${key}`;
    const bytes = withOrientation(jpeg, Number(key));
    writeFileSync(join(folder, name), bytes);
    const orientation = await orientationOf(bytesOf(bytes), 'jpg');
    held.push({ index, name, kind: 'jpg', orientation, layout: '' });
  }
  const { fed: went, bytes } = await fed(realRun, held);
  expect(went).toHaveLength(8);
  went.forEach(({ index, width, height }, position) => {
    const key = index + 1;
    expect([width, height]).toEqual(key < 5 ? [40, 20] : [20, 40]);
    // The first of its three planes.
    const at = (x: number, y: number): number => bytes[(position * 3 * SIDE + y) * SIDE + x]!;
    const found = [
      ['lt', at(1, 1)],
      ['rt', at(SIDE - 2, 1)],
      ['lb', at(1, SIDE - 2)],
      ['rb', at(SIDE - 2, SIDE - 2)],
    ] as const;
    const white = found.filter(([, value]) => value > 128).map(([corner]) => corner);
    expect(white).toEqual([corners[key]]);
  });
});
