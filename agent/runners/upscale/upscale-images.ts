/**
 * Makes a unit's pictures larger by a model, one after the other through the same process, and proves each: its
 * size, that it decodes, and that it shows what its source shows. What a picture has of transparency is scaled
 * without the model.
 */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ChannelOrder, type ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import type { UpscaleImagesTask } from '../../../proto/gen/furrow/v1/task_upscale.ts';
import type { Check } from '../../../kit/proof-report.ts';
import { type FrameSize, PIPE_IN, PIPE_OUT } from '../../models/model-work.ts';
import { throughModel } from '../../models/through-model.ts';
import { upscalingManifest } from '../../models/upscaling-manifest.ts';
import { FilmFault, processFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { compareThumbs, THUMB_FILTER } from '../film/picture-likeness.ts';
import { pictureFault } from '../infer/picture-fault.ts';
import { strictness } from '../infer/picture-kind.ts';
import { isTurned, UPRIGHT } from '../infer/picture-orientation.ts';
import { provenFile, writeProof } from '../proof-report.ts';
import { lookAtPicture, pictureInput, type PictureFacts } from './picture-facts.ts';
import {
  beyondFormat,
  type PictureFormat,
  pictureFormatOf,
  writingOptions,
} from './picture-format.ts';

type Attempt = FilmAttempt<UpscaleImagesTask>;

export const upscaleImagesRunner = filmRunner('upscaleImages', upscaleImages, { usesModel: true });

/** Where results lie: they keep their names, which the unit's directory has already. */
const FOLDER = 'large';
const SOURCE_THUMB = 'thumbs-source.gray';
const MADE_THUMB = 'thumbs-made.gray';
/** Two ffmpeg processes with a picture each. */
const FFMPEG_BYTES = 128 * 2 ** 20;
const EXACT = 'flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp';

async function upscaleImages(attempt: Attempt): Promise<void> {
  const { work, task, context } = attempt;
  const manifest = upscalingManifest(task.use?.model);
  const checks: Check[] = [];
  const made: string[] = [];
  for (const [i, { name }] of work.files.entries()) {
    const facts = await lookAtPicture(attempt, name);
    const format = pictureFormatOf(task, facts);
    const output = `${FOLDER}/${format.nameOf(name)}`;
    await mkdir(dirname(join(work.directory, output)), { recursive: true });
    await enlarge(attempt, { facts, manifest, format, output }, (part) => {
      context.progress((i + part) / work.files.length, Math.ceil((i + part) * 100), name);
    });
    checks.push(...(await proven(attempt, facts, manifest, output)));
    made.push(output);
  }
  const files = await Promise.all(made.map((name) => provenFile(work.directory, name)));
  const report = `${String(work.unit).padStart(6, '0')}.proof.json`;
  await writeProof(work.directory, { files, checks, name: report });
  const finding = checks.find((check) => check.finding !== undefined)?.finding;
  if (finding !== undefined) throw new FilmFault('bad-output', finding);
  context.progress(1, work.files.length * 100, '');
}

interface Enlarging {
  readonly facts: PictureFacts;
  readonly manifest: ModelManifest;
  readonly format: PictureFormat;
  readonly output: string;
}

async function enlarge(
  attempt: Attempt,
  enlarging: Enlarging,
  onPart: (part: number) => void,
): Promise<void> {
  const { task, context } = attempt;
  const { facts, manifest } = enlarging;
  const size = shownSize(facts);
  const pixels = size.width * size.height;
  const large = largeSize(facts, manifest);
  const beyond = beyondFormat(enlarging.format.format, large);
  if (beyond !== undefined) {
    const what = `${facts.name} would become ${large.width}x${large.height}`;
    throw new FilmFault('invalid-input', `${what}, ${beyond}`);
  }
  const times = { timeBase: { num: 1, den: 1 }, first: 0, runs: [] };
  await throughModel(context, {
    request: {
      model: task.use!.model!,
      provider: task.use!.provider,
      reservedBytes: FFMPEG_BYTES + large.width * large.height * 16,
    },
    otherBytes: (pixels + large.width * large.height) * 3,
    workOf: (roomPixels) => ({ kind: 'upscale', ...size, frames: 1, times, roomPixels }),
    feed: (signal) => decode(attempt, enlarging, size, signal),
    drain: (signal) => encode(attempt, enlarging, signal),
    onTold: (told) => {
      if (told.event === 'progress') onPart(Math.min(1, told.done));
    },
  });
}

async function decode(
  { media }: Attempt,
  { facts, manifest }: Enlarging,
  { width, height }: FrameSize,
  signal: AbortSignal,
): Promise<void> {
  const upright = [...UPRIGHT[facts.orientation], 'null'].join(',');
  const range = isLuma(manifest) ? ':out_range=pc,format=yuv444p' : ',format=rgb24';
  const graph =
    `[0:v:0]${upright},split[picture][copy];` +
    `[picture]scale=${width}:${height}:${EXACT}${range}[frames];[copy]${THUMB_FILTER}[thumbs]`;
  const one = ['-frames:v', '1', '-f', 'rawvideo'];
  const run = await media.ffmpeg(
    [withStrictness(facts)],
    [
      { name: { file: PIPE_IN }, options: ['-filter_complex', graph, '-map', '[frames]', ...one] },
      { name: { file: SOURCE_THUMB }, options: ['-map', '[thumbs]', ...one] },
    ],
    undefined,
    { signal },
  );
  if (run.ok && run.complaints.length === 0) return;
  const isPictures = !signal.aborted && run.result.exitCode !== null;
  if (!isPictures) throw processFault(run, `decoding ${facts.name}`);
  throw new FilmFault('invalid-input', `${facts.name}: ${pictureFault(run.complaints)}`);
}

/** What is cut off or altered is no picture that anybody wants larger. */
function withStrictness(facts: PictureFacts): ReturnType<typeof pictureInput> {
  const input = pictureInput(facts);
  return {
    ...input,
    options: ['-noautorotate', ...strictness(facts.kind), ...(input.options ?? [])],
  };
}

async function encode(
  { media }: Attempt,
  { facts, manifest, format, output }: Enlarging,
  signal: AbortSignal,
): Promise<void> {
  const { width, height } = largeSize(facts, manifest);
  const keepsAlpha = facts.hasAlpha && format.hasAlpha;
  const from = isLuma(manifest) ? ':in_range=pc' : '';
  const colour = `[0:v:0]scale=${EXACT}${from}:out_range=pc,format=${format.pixels}`;
  const upright = [...UPRIGHT[facts.orientation], 'format=rgba', 'alphaextract'].join(',');
  const graph = keepsAlpha
    ? `${colour}[colour];[1:v:0]${upright},scale=${width}:${height}:flags=bicubic[alpha];` +
      '[colour][alpha]alphamerge[picture]'
    : `${colour}[picture]`;
  const run = await media.ffmpeg(
    [
      { name: PIPE_OUT, pipe: true, options: ['-f', 'nut'] },
      ...(keepsAlpha ? [{ ...pictureInput(facts) }] : []),
    ],
    [
      {
        name: { file: output },
        options: [
          '-filter_complex',
          graph,
          '-map',
          '[picture]',
          '-frames:v',
          '1',
          ...writingOptions(format),
        ],
      },
    ],
    undefined,
    { limitMs: Infinity, signal },
  );
  if (!run.ok) throw processFault(run, `writing ${output}`);
}

async function proven(
  { media, work }: Attempt,
  facts: PictureFacts,
  manifest: ModelManifest,
  output: string,
): Promise<readonly Check[]> {
  const made = await lookAtPicture({ media, work }, output).catch((error: Error) => {
    throw new FilmFault('bad-output', `what was made of ${facts.name}: ${error.message}`);
  });
  const { width, height } = largeSize(facts, manifest);
  const expected = `${width}x${height}`;
  const found = `${made.width}x${made.height}`;
  const run = await media.ffmpeg(
    [withStrictness(made)],
    [
      {
        name: { file: MADE_THUMB },
        options: ['-vf', THUMB_FILTER, '-frames:v', '1', '-f', 'rawvideo'],
      },
    ],
  );
  if (!run.ok || run.complaints.length > 0) {
    const said = run.complaints[0] ?? 'it ends too soon';
    throw new FilmFault('bad-output', `${output} does not decode: ${said}`);
  }
  const thumbs = [SOURCE_THUMB, MADE_THUMB].map((name) => join(work.directory, name));
  const [source, large] = await Promise.all(thumbs.map((path) => readFile(path)));
  const likeness = compareThumbs(source!, large!);
  for (const path of thumbs) await rm(path);
  return [
    {
      check: `size of ${output}`,
      expected,
      found,
      finding: found === expected ? undefined : `${output} is ${found}, not ${expected}`,
    },
    {
      check: `${output} against its source (mean difference in grey levels)`,
      expected: 'at most 20',
      found: Number(likeness.meanDifference.toFixed(3)),
      finding: likeness.fault === undefined ? undefined : `${output} shows another picture`,
    },
  ];
}

function shownSize({ width, height, orientation }: PictureFacts): FrameSize {
  return isTurned(orientation) ? { width: height, height: width } : { width, height };
}

function largeSize(facts: PictureFacts, { scale }: ModelManifest): FrameSize {
  const { width, height } = shownSize(facts);
  return { width: width * scale, height: height * scale };
}

function isLuma({ channels }: ModelManifest): boolean {
  return channels === ChannelOrder.CHANNEL_ORDER_LUMA;
}
