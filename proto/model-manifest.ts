/**
 * A model's manifest in the words in which people write it. What those may be, and what is checked, is in
 * read-manifest.ts.
 */
import {
  ChannelOrder,
  ModelKind,
  type ModelManifest,
  OutputForm,
  PairLayout,
  PictureFit,
  TimestepForm,
} from './gen/furrow/v1/model.ts';

export const KINDS = {
  upscale: ModelKind.MODEL_KIND_UPSCALE,
  interpolate: ModelKind.MODEL_KIND_INTERPOLATE,
  detect: ModelKind.MODEL_KIND_DETECT,
  classify: ModelKind.MODEL_KIND_CLASSIFY,
} as const;

export const CHANNELS = {
  rgb: ChannelOrder.CHANNEL_ORDER_RGB,
  bgr: ChannelOrder.CHANNEL_ORDER_BGR,
  luma: ChannelOrder.CHANNEL_ORDER_LUMA,
} as const;

export const LAYOUTS = {
  split: PairLayout.PAIR_LAYOUT_SPLIT,
  concat6: PairLayout.PAIR_LAYOUT_CONCAT6,
  concat7: PairLayout.PAIR_LAYOUT_CONCAT7,
  concat11: PairLayout.PAIR_LAYOUT_CONCAT11,
} as const;

export const TIMESTEPS = {
  none: TimestepForm.TIMESTEP_FORM_NONE,
  scalar: TimestepForm.TIMESTEP_FORM_SCALAR,
  plane: TimestepForm.TIMESTEP_FORM_PLANE,
} as const;

export const FITS = {
  stretch: PictureFit.PICTURE_FIT_STRETCH,
  'letterbox-top-left': PictureFit.PICTURE_FIT_LETTERBOX_TOP_LEFT,
  'letterbox-centre': PictureFit.PICTURE_FIT_LETTERBOX_CENTRE,
  crop: PictureFit.PICTURE_FIT_CROP,
} as const;

export const DETECTION_FORMS = {
  yolox: OutputForm.OUTPUT_FORM_YOLOX,
  'scores-and-boxes': OutputForm.OUTPUT_FORM_SCORES_AND_BOXES,
} as const;

export const CLASS_FORMS = {
  probabilities: OutputForm.OUTPUT_FORM_PROBABILITIES,
  logits: OutputForm.OUTPUT_FORM_LOGITS,
} as const;

/** As people write it: only what counts for its kind, and what is set. */
export function jsonOf(manifest: ModelManifest): { readonly [field: string]: unknown } {
  const { licence, origin, inputs, outputs, mean, deviation, sizeMultiple } = manifest;
  const kind = nameOf(KINDS, manifest.kind);
  const { scale, halo, width, height, fill, labels, maxBatch } = manifest;
  const isPictures = kind === 'detect' || kind === 'classify';
  return {
    kind,
    licence,
    ...(origin !== '' && { origin }),
    ...(inputs.length > 0 && { inputs }),
    ...(outputs.length > 0 && { outputs }),
    ...(manifest.channels !== ChannelOrder.CHANNEL_ORDER_UNSPECIFIED && {
      channels: nameOf(CHANNELS, manifest.channels),
    }),
    ...(mean.length > 0 && { mean }),
    ...(deviation.length > 0 && { deviation }),
    ...(sizeMultiple > 0 && { sizeMultiple }),
    ...(kind === 'upscale' && { scale, halo }),
    ...(kind === 'interpolate' && {
      pairLayout: nameOf(LAYOUTS, manifest.pairLayout),
      timestep: nameOf(TIMESTEPS, manifest.timestep),
    }),
    ...(isPictures && {
      width,
      height,
      fit: nameOf(FITS, manifest.fit),
      fill,
      outputForm: nameOf({ ...DETECTION_FORMS, ...CLASS_FORMS }, manifest.outputForm),
      ...(labels.length > 0 && { labels }),
      maxBatch: Math.max(1, maxBatch),
    }),
  };
}

/** One that is not known has a name that nobody takes for another. */
function nameOf(names: Readonly<Record<string, number>>, value: number): string | undefined {
  if (value === 0) return undefined;
  return Object.keys(names).find((name) => names[name] === value) ?? `number ${value}`;
}
