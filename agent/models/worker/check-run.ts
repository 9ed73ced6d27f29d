/**
 * The work `check`: the model is run once on a made picture, and what it makes is held against its manifest. What
 * is wrong fails the work in one line; what is right is told.
 */
import { ModelKind } from '../../../proto/gen/furrow/v1/model.ts';
import type { CheckedRun, CheckWork, FrameSize, TensorFacts } from '../model-work.ts';
import { channelsOf } from './channels.ts';
import { findingsOf } from './detections.ts';
import { PictureLooker } from './infer-pictures.ts';
import { type LoadedModel, type ModelOutput, refuseOther } from './load-model.ts';
import { PairFeeds } from './pair-feeds.ts';
import { tileOf } from './planes.ts';
import { WorkFailure } from './work-failure.ts';
import type { WorkContext } from './works.ts';

const USUAL_SIDE = 256;

export async function checkRun(
  model: LoadedModel,
  work: CheckWork,
  context: WorkContext,
): Promise<void> {
  const { kind, scale } = model.manifest;
  const size = sizeOf(model, work);
  const startMs = performance.now();
  const made = await makeOf(model, size, context);
  const runMs = performance.now() - startMs;
  context.notePeak(made.pixels, 0);
  const outputs = made.outputs.map(([name, { data, dims }]) => ({
    name,
    dims,
    ...rangeOf(name, data),
  }));
  const [, first] = made.outputs[0]!;
  if (kind === ModelKind.MODEL_KIND_UPSCALE) refuseScale(first, size, scale);
  refuseLabels(model, first);
  if (isLooking(model)) refuseFindings(model, made);
  const value: CheckedRun = { ...size, runMs, outputs };
  context.tell({ event: 'result', value });
}

interface Made {
  readonly outputs: readonly (readonly [name: string, output: ModelOutput])[];
  readonly pixels: number;
}

function makeOf(model: LoadedModel, size: FrameSize, context: WorkContext): Promise<Made> {
  if (isLooking(model)) return makeLook(model, size, context);
  return model.manifest.kind === ModelKind.MODEL_KIND_INTERPOLATE
    ? makePair(model, size)
    : makeOne(model, size);
}

function isLooking({ manifest: { kind } }: LoadedModel): boolean {
  return kind === ModelKind.MODEL_KIND_DETECT || kind === ModelKind.MODEL_KIND_CLASSIFY;
}

/** All that it finds, however unsure it is. */
const LOOK = { kind: 'infer', batch: 1, threshold: 0, most: 1 } as const;

async function makeLook(model: LoadedModel, size: FrameSize, context: WorkContext): Promise<Made> {
  const looker = new PictureLooker(model, LOOK, context);
  const area = size.width * size.height;
  const planes = looker.newPicture();
  picture(size, 0).forEach((value, at) => {
    planes[(at % 3) * area + Math.floor(at / 3)] = value;
  });
  const outputs = await looker.run([planes]);
  return { outputs: outputs.map((output) => [output.name, output]), pixels: area };
}

/** As the work `infer` will read it. */
function refuseFindings({ manifest }: LoadedModel, { outputs }: Made): void {
  const views = outputs.map(([name, { data, dims }]) => ({ name, data, dims }));
  findingsOf(manifest, views, 1, LOOK);
}

async function makePair(model: LoadedModel, size: FrameSize): Promise<Made> {
  const feeds = new PairFeeds(model, size);
  const frame = new Uint8ClampedArray(size.width * size.height * 3);
  const [a, b] = [0, 8].map((shift) => feeds.planesOf(picture(size, shift)));
  await feeds.between(a!, b!, 0.5, frame);
  const data = Float32Array.from(frame, (value) => value / 255);
  const output = { data, dims: [1, 3, feeds.padded.height, feeds.padded.width] };
  return { outputs: [[model.outputs[0]!.name, output]], pixels: feeds.pixels };
}

async function makeOne(model: LoadedModel, size: FrameSize): Promise<Made> {
  const { inputs, outputs, channels } = model;
  refuseOther('input', inputs[0], channels);
  if (inputs.length !== 1) {
    const message = `the model has ${inputs.length} inputs, and its manifest asks for one picture: mend the manifest's kind or inputs`;
    throw new WorkFailure('invalid-input', message);
  }
  const area = size.width * size.height;
  const data = new Float32Array(area * channels);
  const bytes = picture(size, 0);
  for (const [i, { offset, floats }] of channelsOf(model.manifest).entries()) {
    const into = data.subarray(i * area, (i + 1) * area);
    tileOf({ values: bytes, offset, step: 3, ...size }, floats, { x: 0, y: 0 }, size, into);
  }
  const shape = [1, channels, size.height, size.width];
  const made = await model.run({ [inputs[0]!.name]: model.tensor(data, shape) });
  return { outputs: outputs.map(({ name }) => [name, made[name]!]), pixels: area };
}

/**
 * What looks at pictures has a size of its own. Others' is as asked for, else as the model itself says; a multiple of what
 * it takes.
 */
function sizeOf(model: LoadedModel, { width, height }: CheckWork): FrameSize {
  const { manifest, inputs } = model;
  if (isLooking(model)) return { width: manifest.width, height: manifest.height };
  const multiple = Math.max(1, manifest.sizeMultiple);
  const [high, wide] = fixedSides(inputs[0]);
  const upTo = (side: number): number => Math.ceil(side / multiple) * multiple;
  return {
    width: upTo(width || wide || USUAL_SIDE),
    height: upTo(height || high || USUAL_SIDE),
  };
}

function fixedSides(input: TensorFacts | undefined): readonly [number, number] {
  const [, , height, width] = input?.shape ?? [];
  return [typeof height === 'number' ? height : 0, typeof width === 'number' ? width : 0];
}

/** Of rgb24, with edges and slopes: something that a network has something to do with. */
function picture({ width, height }: FrameSize, shift: number): Uint8Array {
  const bytes = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = (y * width + x) * 3;
      const isDark = (Math.floor((x + shift) / 16) + Math.floor(y / 16)) % 2 === 0;
      bytes[at] = isDark ? 40 : 200;
      bytes[at + 1] = (x * 255) / width;
      bytes[at + 2] = (y * 255) / height;
    }
  }
  return bytes;
}

function rangeOf(
  name: string,
  data: Float32Array,
): { readonly least: number; readonly most: number } {
  let [least, most] = [Infinity, -Infinity];
  for (const value of data) {
    if (!Number.isFinite(value)) {
      const message = `the model makes values that are no numbers (NaN or infinite) in ${name}: it is broken, or was exported with too few bits`;
      throw new WorkFailure('bad-output', message);
    }
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return { least, most };
}

function refuseScale({ dims }: ModelOutput, { width, height }: FrameSize, scale: number): void {
  const [, , high, wide] = dims;
  if (wide === width * scale && high === height * scale) return;
  const message = `the model makes [${dims.join(', ')}] of ${width}x${height}, and its manifest says scale ${scale}: mend the manifest`;
  throw new WorkFailure('invalid-input', message);
}

/** Where labels are given, there are as many as the model has classes. */
function refuseLabels({ manifest }: LoadedModel, { dims }: ModelOutput): void {
  const { kind, labels } = manifest;
  if (kind !== ModelKind.MODEL_KIND_CLASSIFY || labels.length === 0) return;
  const classes = dims.at(-1);
  if (classes === labels.length) return;
  const message = `the model has ${classes} classes, and its manifest names ${labels.length} labels: mend the manifest`;
  throw new WorkFailure('invalid-input', message);
}
