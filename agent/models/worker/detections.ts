/**
 * From what a model says of a batch of pictures to what is in them: which outputs mean what is in its manifest.
 * Pure. Boxes are in pixels of the model's own picture.
 */
import { type ModelManifest, OutputForm } from '../../../proto/gen/furrow/v1/model.ts';
import type { Finding } from '../model-work.ts';
import { WorkFailure } from './work-failure.ts';

export interface OutputView {
  readonly name: string;
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

export interface FindingRules {
  /** Findings below are left out: 0 to 1. */
  readonly threshold: number;
  /** Most findings in a picture. */
  readonly most: number;
}

/** Boxes of one class that share more of their area are of one thing. */
const SAME_THING = 0.45;
const YOLOX_STRIDES = [8, 16, 32];
/** Numbers before the classes' in a row: a box, and whether anything is there. */
const YOLOX_HEAD = 5;

/** What is in each of the first `pictures` of the batch, surest first. WorkFailure where shapes do not fit. */
export function findingsOf(
  manifest: ModelManifest,
  outputs: readonly OutputView[],
  pictures: number,
  rules: FindingRules,
): readonly (readonly Finding[])[] {
  const [first, second] = outputs;
  if (first === undefined) throw misfit('the model has no outputs');
  switch (manifest.outputForm) {
    case OutputForm.OUTPUT_FORM_YOLOX:
      return perPicture(pictures, (picture) => yoloxBoxes(manifest, first, picture, rules));
    case OutputForm.OUTPUT_FORM_SCORES_AND_BOXES:
      return perPicture(pictures, (picture) =>
        scoredBoxes(manifest, first, second, picture, rules),
      );
    case OutputForm.OUTPUT_FORM_PROBABILITIES:
      return perPicture(pictures, (picture) => topOf(rowOf(first, picture), rules));
    case OutputForm.OUTPUT_FORM_LOGITS:
      return perPicture(pictures, (picture) => topOf(softmax(rowOf(first, picture)), rules));
    default:
      throw misfit('its manifest does not say how its outputs are read (outputForm)');
  }
}

function perPicture<T>(pictures: number, of: (picture: number) => T): readonly T[] {
  return Array.from({ length: pictures }, (_, picture) => of(picture));
}

function yoloxBoxes(
  { width, height }: ModelManifest,
  output: OutputView,
  picture: number,
  rules: FindingRules,
): readonly Finding[] {
  const [, rows = 0, row = 0] = output.dims;
  const wanted = YOLOX_STRIDES.reduce((sum, stride) => sum + cells(width, height, stride), 0);
  if (output.dims.length !== 3 || rows !== wanted || row <= YOLOX_HEAD) {
    throw misfit(
      `its output ${output.name} is [${output.dims.join(', ')}], and YOLOX at ${width}x${height} makes [1, ${wanted}, 5 + classes]`,
    );
  }
  const found: Finding[] = [];
  const { data } = output;
  let at = picture * rows * row;
  for (const stride of YOLOX_STRIDES) {
    const columns = Math.floor(width / stride);
    const count = cells(width, height, stride);
    for (let cell = 0; cell < count; cell += 1, at += row) {
      // No class is surer than that anything is there: most cells are done with.
      if (data[at + 4]! < rules.threshold) continue;
      const { score, classIndex } = best(data, at + YOLOX_HEAD, at + row, data[at + 4]!);
      if (score < rules.threshold) continue;
      const x = (data[at]! + (cell % columns)) * stride;
      const y = (data[at + 1]! + Math.floor(cell / columns)) * stride;
      const w = Math.exp(data[at + 2]!) * stride;
      const h = Math.exp(data[at + 3]!) * stride;
      const box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2] as const;
      found.push(checked({ classIndex, score, box }));
    }
  }
  return distinct(found, rules);
}

function cells(width: number, height: number, stride: number): number {
  return Math.floor(width / stride) * Math.floor(height / stride);
}

function scoredBoxes(
  { width, height }: ModelManifest,
  scores: OutputView,
  boxes: OutputView | undefined,
  picture: number,
  rules: FindingRules,
): readonly Finding[] {
  const [, rows = 0, classes = 0] = scores.dims;
  const fits = scores.dims.length === 3 && boxes?.dims.length === 3;
  if (!fits || boxes.dims[1] !== rows || boxes.dims[2] !== 4 || classes < 2) {
    throw misfit(
      'its outputs are not scores [1, n, classes], the background first, and boxes [1, n, 4]: say in its manifest which is which (outputs)',
    );
  }
  const found: Finding[] = [];
  for (let i = 0; i < rows; i += 1) {
    const at = (picture * rows + i) * classes;
    const { score, classIndex } = best(scores.data, at + 1, at + classes, 1);
    if (score < rules.threshold) continue;
    const b = (picture * rows + i) * 4;
    const [left, top, right, bottom] = boxes.data.subarray(b, b + 4);
    const box = [left! * width, top! * height, right! * width, bottom! * height] as const;
    found.push(checked({ classIndex, score, box }));
  }
  return distinct(found, rules);
}

/** The class with the highest number of `data[from … until]`, times `factor`. */
function best(
  data: Float32Array,
  from: number,
  until: number,
  factor: number,
): { readonly score: number; readonly classIndex: number } {
  let at = from;
  for (let i = from + 1; i < until; i += 1) if (data[i]! > data[at]!) at = i;
  return { score: data[at]! * factor, classIndex: at - from };
}

/** Of boxes of one class that lie on each other the surest. */
function distinct(found: readonly Finding[], { most }: FindingRules): readonly Finding[] {
  const kept: Finding[] = [];
  for (const finding of found.toSorted(bySureness)) {
    const isKnown = kept.some(
      (other) => other.classIndex === finding.classIndex && share(other, finding) > SAME_THING,
    );
    if (!isKnown) kept.push(finding);
    if (kept.length === most) break;
  }
  return kept;
}

/** How much of the area of both together both cover: 0 to 1. */
function share({ box: a }: Finding, { box: b }: Finding): number {
  if (a === undefined || b === undefined) return 0;
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / (area(a) + area(b) - both);
}

function area([left, top, right, bottom]: NonNullable<Finding['box']>): number {
  return (right - left) * (bottom - top);
}

/** One number for each class of a picture, whatever shape it is given in. */
function rowOf({ data, dims }: OutputView, picture: number): Float32Array {
  const classes = data.length / (dims[0] || 1);
  return data.subarray(picture * classes, (picture + 1) * classes);
}

function softmax(logits: Float32Array): Float32Array {
  const highest = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  const powers = logits.map((value) => Math.exp(value - highest));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

function topOf(probabilities: Float32Array, { threshold, most }: FindingRules): readonly Finding[] {
  const found = Array.from(probabilities, (score, classIndex) => checked({ classIndex, score }));
  return found
    .filter(({ score }) => score >= threshold)
    .toSorted(bySureness)
    .slice(0, most);
}

/** Equal ones in the order of their classes, then as the model has them: the same on every machine. */
function bySureness(a: Finding, b: Finding): number {
  return b.score - a.score || a.classIndex - b.classIndex;
}

function checked(finding: Finding): Finding {
  if ([finding.score, ...(finding.box ?? [])].every(Number.isFinite)) return finding;
  throw new WorkFailure(
    'bad-output',
    'the model makes values that are no numbers (NaN or infinite): it is broken, or was exported with too few bits',
  );
}

function misfit(what: string): WorkFailure {
  return new WorkFailure('invalid-input', `${what}: mend the manifest`);
}
