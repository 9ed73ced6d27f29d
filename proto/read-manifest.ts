/**
 * Reads a model's manifest. What may stand in it is said here and nowhere else: the CLI reads files by it, and the
 * coordinator holds what comes over gRPC to it.
 */
import { z } from 'zod';
import type { ModelManifest } from './gen/furrow/v1/model.ts';
import {
  CHANNELS,
  CLASS_FORMS,
  DETECTION_FORMS,
  FITS,
  jsonOf,
  KINDS,
  LAYOUTS,
  TIMESTEPS,
} from './model-manifest.ts';

const MAX_SIDE = 8192;
const MAX_LABELS = 10_000;

function text(most: number) {
  const rule = `must be one line of at most ${most} characters`;
  return z
    .string({ error: rule })
    .max(most, rule)
    .regex(/^\P{Cc}*$/u, rule);
}

function whole(from: number, to: number) {
  const rule = `must be a whole number from ${from} to ${to}`;
  return z.number({ error: rule }).int(rule).min(from, rule).max(to, rule);
}

function oneOf<const Names extends Readonly<Record<string, number>>>(names: Names) {
  const keys = Object.keys(names) as (keyof Names & string)[];
  return z.enum(keys, { error: `must be one of ${keys.join(', ')}` });
}

/** One number for all channels, or one for each. */
function perChannel(otherwise: number, check: (value: number) => boolean, what: string) {
  const rule = `must be ${what}, or a list of one for each channel`;
  const one = z.number({ error: rule }).refine(check, rule);
  const many = z.union(
    [one.transform((value) => [value]), z.array(one).min(1, rule).max(3, rule)],
    {
      error: rule,
    },
  );
  return many.default([otherwise]);
}

const tensorNames = z
  .array(text(200), { error: 'must be a list of names' })
  .max(16, 'must be at most 16 names')
  .default([]);

const common = {
  licence: text(100).min(1, 'must name the licence, such as "MIT"'),
  origin: text(500).default(''),
  inputs: tensorNames,
  outputs: tensorNames,
  mean: perChannel(0, Number.isFinite, 'a number'),
  deviation: perChannel(255, (value) => Number.isFinite(value) && value > 0, 'a number above 0'),
  sizeMultiple: whole(1, 256).default(1),
};

const { luma: _luma, ...COLOURS } = CHANNELS;

const pictureFields = {
  ...common,
  channels: oneOf(COLOURS).default('rgb'),
  width: whole(1, MAX_SIDE),
  height: whole(1, MAX_SIDE),
  fit: oneOf(FITS),
  fill: whole(0, 255).default(0),
  labels: z
    .array(text(200), { error: 'must be a list of names' })
    .max(MAX_LABELS, `must be at most ${MAX_LABELS} names`)
    .default([]),
  maxBatch: whole(1, 1024).default(1),
};

const FORMS = {
  upscale: z.strictObject({
    kind: z.literal('upscale'),
    ...common,
    channels: oneOf(CHANNELS).default('rgb'),
    scale: whole(2, 8),
    halo: whole(0, 1024),
  }),
  interpolate: z.strictObject({
    kind: z.literal('interpolate'),
    ...common,
    channels: oneOf(COLOURS).default('rgb'),
    pairLayout: oneOf(LAYOUTS),
    timestep: oneOf(TIMESTEPS),
  }),
  detect: z.strictObject({
    kind: z.literal('detect'),
    ...pictureFields,
    outputForm: oneOf(DETECTION_FORMS),
  }),
  classify: z.strictObject({
    kind: z.literal('classify'),
    ...pictureFields,
    outputForm: oneOf(CLASS_FORMS),
  }),
} as const;

export type ManifestForm = z.infer<(typeof FORMS)[keyof typeof FORMS]>;

export type ReadManifest =
  | { readonly state: 'ok'; readonly form: ManifestForm; readonly manifest: ModelManifest }
  /** `fault` is one line that names the field and what it may be. */
  | { readonly state: 'invalid'; readonly fault: string };

/** From a value as JSON has it. */
export function readManifest(value: unknown): ReadManifest {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return invalid('it must be an object such as { "kind": "upscale", … }');
  }
  const kinds = Object.keys(FORMS);
  const kind = (value as { readonly kind?: unknown }).kind;
  const form = kinds.find((name) => name === kind) as keyof typeof FORMS | undefined;
  if (form === undefined) {
    return invalid(
      `kind ${kind === undefined ? 'is missing: it ' : ''}must be one of ${kinds.join(', ')}`,
    );
  }
  const read = FORMS[form].safeParse(value);
  if (!read.success) return invalid(faultOf(read.error, value, form));
  const fault = faultBetween(read.data);
  if (fault !== undefined) return invalid(fault);
  return { state: 'ok', form: read.data, manifest: toMessage(read.data) };
}

/** From the message, whoever sent it: its defaults are filled in, and it is held to the same rules. */
export function checkManifest(manifest: ModelManifest): ReadManifest {
  return readManifest(jsonOf(manifest));
}

function toMessage(form: ManifestForm): ModelManifest {
  const { kind, channels, ...shared } = form;
  const nothing = { scale: 0, halo: 0, pairLayout: 0, timestep: 0 };
  const noPictures = {
    width: 0,
    height: 0,
    fit: 0,
    fill: 0,
    outputForm: 0,
    labels: [],
    maxBatch: 0,
  };
  const base = {
    ...nothing,
    ...noPictures,
    ...shared,
    kind: KINDS[kind],
    channels: CHANNELS[channels],
  };
  switch (form.kind) {
    case 'upscale':
      return { ...base, ...noPictures, pairLayout: 0, timestep: 0 };
    case 'interpolate': {
      const { pairLayout, timestep } = form;
      return {
        ...base,
        ...noPictures,
        pairLayout: LAYOUTS[pairLayout],
        timestep: TIMESTEPS[timestep],
      };
    }
    case 'detect':
    case 'classify': {
      const forms = { ...DETECTION_FORMS, ...CLASS_FORMS };
      return { ...base, ...nothing, fit: FITS[form.fit], outputForm: forms[form.outputForm] };
    }
  }
}

/** What two fields say together. */
function faultBetween(form: ManifestForm): string | undefined {
  const channels = form.channels === 'luma' ? 1 : 3;
  for (const [field, values] of Object.entries({ mean: form.mean, deviation: form.deviation })) {
    if (values.length !== 1 && values.length !== channels) {
      return `${field} has ${values.length} numbers for ${channels} channels: give one, or one for each`;
    }
  }
  if (form.kind !== 'interpolate') return undefined;
  const { pairLayout, timestep } = form;
  const isInside = pairLayout === 'concat7' || pairLayout === 'concat11';
  if (isInside && timestep !== 'plane') {
    return `timestep must be plane with pairLayout ${pairLayout}, of which it is a channel`;
  }
  return undefined;
}

function faultOf(error: z.ZodError, value: object, kind: keyof typeof FORMS): string {
  const [issue] = error.issues;
  if (issue === undefined) return 'it cannot be read';
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(FORMS[kind].shape).join(', ');
    return `${JSON.stringify(issue.keys[0])} is no field of a model that is to ${kind}: use ${known}`;
  }
  const [field] = issue.path;
  const isMissing = typeof field === 'string' && !(field in value);
  return `${issue.path.join('.')} ${isMissing ? 'is missing: it ' : ''}${issue.message}`;
}

const invalid = (fault: string): ReadManifest => ({ state: 'invalid', fault });
