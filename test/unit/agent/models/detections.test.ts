import { expect, test } from 'vitest';
import { findingsOf, type OutputView } from '../../../../agent/models/worker/detections.ts';
import { ModelManifest, OutputForm } from '../../../../proto/gen/furrow/v1/model.ts';

const rules = { threshold: 0.3, most: 10 };
const manifest = (over: Partial<ModelManifest>): ModelManifest => ({
  ...ModelManifest.fromPartial({ width: 64, height: 32 }),
  ...over,
});
const output = (dims: readonly number[], values: Iterable<number>, name = 'y'): OutputView => ({
  name,
  dims,
  data: Float32Array.from(values),
});

/** A row of YOLOX: where it is in its cell, the logarithm of its size, whether it is, and its classes. */
const CLASSES = 2;
const ROW = 5 + CLASSES;
/** 8x4 cells of 8 pixels, 4x2 of 16, 2x1 of 32. */
const ROWS = 32 + 8 + 2;
const yolox = manifest({ outputForm: OutputForm.OUTPUT_FORM_YOLOX });

function yoloxOutput(
  pictures: number,
  rows: Readonly<Record<number, readonly number[]>>[],
): OutputView {
  const data = new Float32Array(pictures * ROWS * ROW);
  rows.forEach((of, picture) => {
    for (const [row, values] of Object.entries(of)) {
      data.set(values, (picture * ROWS + Number(row)) * ROW);
    }
  });
  return output([pictures, ROWS, ROW], data);
}

test('YOLOX: boxes lie in their cells of each stride, and scores are the product', () => {
  const row = (score: number, first: number, second: number) => [
    0.5,
    0.5,
    0,
    Math.log(2),
    score,
    first,
    second,
  ];
  const found = findingsOf(
    yolox,
    [yoloxOutput(2, [{ 9: row(0.9, 0.1, 1), 33: row(0.5, 0.8, 0) }, { 41: row(1, 0.7, 0.2) }])],
    2,
    rules,
  );
  // Cell 9 of stride 8 is in column 1 and row 1; 33 is the second of stride 16; 41 the second of stride 32.
  expect(found).toEqual([
    [
      { classIndex: 1, score: expect.closeTo(0.9, 5) as number, box: close([8, 4, 16, 20]) },
      { classIndex: 0, score: expect.closeTo(0.4, 5) as number, box: close([16, -8, 32, 24]) },
    ],
    [{ classIndex: 0, score: expect.closeTo(0.7, 5) as number, box: close([32, -16, 64, 48]) }],
  ]);
});

const close = (values: readonly number[]) =>
  values.map((value) => expect.closeTo(value, 4) as number);

test('boxes of one class on each other are one thing; of two classes they are two', () => {
  // All centres at 12, 12: from cell 0 by 1.5, from cell 1 by 0.5.
  const at = (x: number, first: number, second: number) => [x, 1.5, 0, 0, 1, first, second];
  const rows = { 0: at(1.5, 0.6, 0), 1: at(0.5, 0.9, 0), 2: at(-0.5, 0, 0.5) };
  const [found] = findingsOf(yolox, [yoloxOutput(1, [rows])], 1, rules);
  expect(found?.map(({ classIndex, score }) => [classIndex, Math.round(score * 10) / 10])).toEqual([
    [0, 0.9],
    [1, 0.5],
  ]);
  expect(findingsOf(yolox, [yoloxOutput(1, [rows])], 1, { ...rules, most: 1 })[0]).toHaveLength(1);
});

test('scores and boxes: the background is no finding, boxes are parts of the picture', () => {
  const form = manifest({ outputForm: OutputForm.OUTPUT_FORM_SCORES_AND_BOXES });
  const scores = output([1, 3, 2], [0.9, 0.1, 0.2, 0.8, 0.4, 0.6], 'scores');
  const boxes = output([1, 3, 4], [0, 0, 1, 1, 0.25, 0.5, 0.5, 1, 0.5, 0, 1, 0.5], 'boxes');
  expect(findingsOf(form, [scores, boxes], 1, rules)).toEqual([
    [
      { classIndex: 0, score: expect.closeTo(0.8, 5) as number, box: [16, 16, 32, 32] },
      { classIndex: 0, score: expect.closeTo(0.6, 5) as number, box: [32, 0, 64, 16] },
    ],
  ]);
  expect(() => findingsOf(form, [boxes, scores], 1, rules)).toThrow(/mend the manifest/);
});

test('classes: the surest first, as they are or as logits', () => {
  const probabilities = manifest({ outputForm: OutputForm.OUTPUT_FORM_PROBABILITIES });
  const of = (form: ModelManifest) =>
    findingsOf(form, [output([2, 3], [0.1, 0.7, 0.2, 0.5, 0, 0.5])], 2, {
      threshold: 0.15,
      most: 2,
    });
  expect(of(probabilities).map((row) => row.map(({ classIndex }) => classIndex))).toEqual([
    [1, 2],
    [0, 2],
  ]);
  const logits = manifest({ outputForm: OutputForm.OUTPUT_FORM_LOGITS });
  const [sure] = findingsOf(logits, [output([1, 2], [1000, 0])], 1, { threshold: 0, most: 5 });
  expect(sure).toEqual([
    { classIndex: 0, score: 1 },
    { classIndex: 1, score: 0 },
  ]);
});

test('what does not fit, and what is no number, is said', () => {
  expect(() =>
    findingsOf(yolox, [output([1, 3, ROW], new Float32Array(3 * ROW))], 1, rules),
  ).toThrow(/is \[1, 3, 7\], and YOLOX at 64x32 makes \[1, 42, 5 \+ classes\]: mend the manifest/);
  const broken = yoloxOutput(1, [{ 0: [NaN, 0, 0, 0, 1, 1, 0] }]);
  expect(() => findingsOf(yolox, [broken], 1, rules)).toThrow(/no numbers/);
  expect(() => findingsOf(manifest({}), [broken], 1, rules)).toThrow(/outputForm/);
});
