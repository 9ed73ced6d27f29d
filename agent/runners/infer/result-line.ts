/** One line of `results.jsonl`: what was found in a picture or a frame, or why it was not looked at. */
import { z } from 'zod';
import type { ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import type { Finding } from '../../models/model-work.ts';
import { originalBox, type PictureSize } from './picture-fit.ts';

const box = z.tuple([z.number(), z.number(), z.number(), z.number()]);
const foundSchema = z.strictObject({
  label: z.string(),
  class: z.number().int().nonnegative(),
  score: z.number().min(0),
  /** Left, top, right, bottom in pixels of the picture; absent where the model only classifies. */
  box: box.optional(),
});

const side = z.number().int().positive();
const seen = { width: side, height: side, found: z.array(foundSchema) };
const pictureSchema = z.strictObject({ image: z.string(), ...seen });
const frameSchema = z.strictObject({
  /** From 0, of the whole film. */
  frame: z.number().int().nonnegative(),
  /** Seconds from the film's first frame. */
  time: z.number().nonnegative(),
  ...seen,
});
const failedSchema = z.strictObject({ image: z.string(), error: z.string().min(1) });
const failedFrameSchema = z.strictObject({
  frame: z.number().int().nonnegative(),
  time: z.number().nonnegative(),
  error: z.string().min(1),
});

const lineSchema = z.union([failedSchema, pictureSchema, failedFrameSchema, frameSchema]);

export type ResultLine = z.infer<typeof lineSchema>;
export type Found = z.infer<typeof foundSchema>;

export function textOf(line: ResultLine): string {
  return `${JSON.stringify(line)}\n`;
}

/** Undefined when the text is no such line. */
export function parseResultLine(text: string): ResultLine | undefined {
  try {
    return resultLineOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Undefined when the value is no result. */
export function resultLineOf(value: unknown): ResultLine | undefined {
  return lineSchema.safeParse(value).data;
}

/** With labels, and boxes in the original's pixels. */
export function foundIn(
  manifest: ModelManifest,
  picture: PictureSize,
  findings: readonly Finding[],
): Found[] {
  return findings.map(({ classIndex, score, box: inModel }) => ({
    label: manifest.labels[classIndex] ?? `class ${classIndex}`,
    class: classIndex,
    score: Math.round(score * 10_000) / 10_000,
    ...(inModel && { box: [...originalBox(manifest, picture, inModel)] }),
  }));
}
