/**
 * A DAG spelled out in JSON: the protocol's StepList as proto JSON writes it, with a name. Read
 * strictly, so that a misspelt field is an error that says where it is, and not a default. An input may
 * also be `{"path": "scene.blend"}`, a file of this machine, which is uploaded.
 */
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import type { File, Step } from '../proto/gen/furrow/v1/step.ts';
import type { Task } from '../proto/gen/furrow/v1/task.ts';

const uint32 = z.number().int().min(0).max(4_294_967_295);
/** Proto JSON writes 64-bit numbers as text, people as numbers. */
const uint64 = z
  .union([z.number(), z.string().regex(/^\d+$/, 'must be a whole number').transform(Number)])
  .pipe(z.number().int('must be a whole number up to 9007199254740991').min(0));
const strings = z.array(z.string());

const file = z.strictObject({
  name: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits'),
  sizeBytes: uint64.default(0),
});

const video = z.strictObject({
  encoder: z.string().default(''),
  crf: uint32.default(0),
  preset: z.string().default(''),
  width: uint32.default(0),
  height: uint32.default(0),
  threads: uint32.default(0),
  toSdr: z.boolean().optional(),
  bitrateBps: uint64.optional(),
  targetSsim: z.number().optional(),
  maxBitrateBps: uint32.optional(),
});

const retime = z.strictObject({
  rateNum: uint32.default(0),
  rateDen: uint32.default(0),
  factor: uint32.default(0),
  between: z.boolean().default(false),
});
const deinterlace = z.strictObject({
  always: z.boolean().default(false),
  eachField: z.boolean().default(false),
});

const audio = z.strictObject({
  encoder: z.string().default(''),
  bitrateBps: uint32.default(0),
  tracks: z
    .strictObject({ first: z.boolean().default(false), languages: strings.default([]) })
    .optional(),
});
const filmOfSource = z.strictObject({ source: z.string(), film: z.string() });

/** The kinds of a oneof, each a field of its own in JSON. */
const taskKinds = {
  command: z.strictObject({
    argv: strings.min(1, 'must name a program'),
    environment: z.record(z.string(), z.string()).default({}),
    checkpoint: z.boolean().optional(),
    network: z.boolean().optional(),
  }),
  noop: z.strictObject({}),
  split: z.strictObject({
    source: z.string(),
    pieceMs: uint32.default(0),
    retime: retime.optional(),
    deinterlace: deinterlace.optional(),
    leadFrames: uint32.optional(),
    tailFrames: uint32.optional(),
    unitsAtOnce: uint32.optional(),
    pieceBy: z.enum(['time', 'scene']).optional(),
  }),
  encode: z.strictObject({ video: video.optional() }),
  measure: z.strictObject({ video: video.optional() }),
  planRates: z.strictObject({ bitrateBps: uint64 }),
  findQuality: z.strictObject({
    source: z.string(),
    video: video.optional(),
    targetSsim: z.number(),
  }),
  audio: z.strictObject({ source: z.string(), audio: audio.optional() }),
  concat: filmOfSource,
  proveFilm: filmOfSource,
};

const parameterKinds = {
  count: uint32.min(1),
  values: z.strictObject({ values: strings }),
  forEach: z.strictObject({ step: z.string(), pattern: z.string() }),
  fileList: z.strictObject({ list: file, perUnit: uint32, count: uint32, filesBytes: uint64 }),
};

const inputKinds = {
  file,
  outputs: z.strictObject({ step: z.string(), pattern: z.string() }),
  item: z.literal(true),
  path: z.string().min(1),
};

/** An object with exactly one of these fields. */
function oneOf(kinds: Readonly<Record<string, z.ZodType>>, extra: Record<string, z.ZodType> = {}) {
  const names = Object.keys(kinds);
  const optional = Object.fromEntries(names.map((name) => [name, kinds[name]!.optional()]));
  return z.strictObject({ ...optional, ...extra }).superRefine((value, context) => {
    const given = names.filter((name) => (value as Record<string, unknown>)[name] !== undefined);
    if (given.length === 1) return;
    const found = given.length === 0 ? 'none is there' : `there are ${given.join(' and ')}`;
    context.addIssue({
      code: 'custom',
      message: `needs exactly one of ${names.join(', ')}; ${found}`,
    });
  });
}

const step = z.strictObject({
  name: z.string(),
  insteadOf: z.string().optional(),
  dependsOn: strings.default([]),
  parameters: oneOf(parameterKinds).optional(),
  task: oneOf(taskKinds),
  inputs: z.array(oneOf(inputKinds, { name: z.string().optional() })).default([]),
  outputs: z
    .array(
      z.strictObject({
        pattern: z.string(),
        keep: z.boolean().default(false),
        optional: z.boolean().default(false),
      }),
    )
    .default([]),
  demand: z
    .strictObject({
      cpuMillis: uint32.default(0),
      ramBytes: uint64.default(0),
      gpus: uint32.default(0),
      vramBytes: uint64.default(0),
      scratchBytes: uint64.default(0),
      encoderSessions: uint32.default(0),
      attributes: strings.default([]),
      wholeGpus: z.boolean().optional(),
      tickets: z.record(z.string(), uint32).default({}),
    })
    .optional(),
  limits: z
    .strictObject({
      maxAttempts: uint32.default(0),
      runTimeoutMs: uint32.default(0),
      stallTimeoutMs: uint32.default(0),
      startTimeoutMs: uint32.optional(),
    })
    .optional(),
});

const spec = z.strictObject({
  name: z.string().optional(),
  priority: z.number().int().min(-1000).max(1000).optional(),
  steps: z.array(step).min(1, 'needs at least one step'),
});

/** A local file that an input names. */
interface LocalInput {
  /** Absolute. */
  readonly path: string;
  /** Under which the unit sees it; undefined for its own. */
  readonly name: string | undefined;
}

export interface StepsSpec {
  readonly name: string | undefined;
  readonly priority: number | undefined;
  /** Every local file once, in order. */
  readonly localInputs: readonly LocalInput[];
  /** The steps, given the uploaded local files in the same order. */
  readonly steps: (uploaded: readonly File[]) => Step[];
}

/**
 * `from` is how errors call the text, and what paths in it are relative to its folder. FurrowError:
 * invalid SPEC_NOT_JSON, SPEC_INVALID (names the path of the wrong field).
 */
export function parseStepsSpec(text: string, from: string): StepsSpec {
  const parsed = spec.safeParse(parseJson(text, from));
  if (!parsed.success) {
    const message = `${from}: ${parsed.error.issues.slice(0, 3).map(issueText).join('; ')}`;
    throw new FurrowError('invalid', 'SPEC_INVALID', message);
  }
  const { name, priority, steps } = parsed.data;
  const locals = new Map<string, LocalInput>();
  for (const input of steps.flatMap((step) => step.inputs)) {
    const local = localInputOf(input, from);
    if (local) locals.set(keyOf(local), local);
  }
  const keys = [...locals.keys()];
  return {
    name,
    priority,
    localInputs: [...locals.values()],
    steps: (uploaded) =>
      steps.map((step) => {
        const fileOf = (local: LocalInput): File => uploaded[keys.indexOf(keyOf(local))]!;
        return {
          ...step,
          parameters: step.parameters && { kind: kindOf(step.parameters) },
          task: { kind: kindOf(step.task) } as Task,
          inputs: step.inputs.map((input) => {
            const local = localInputOf(input, from);
            if (local) return { kind: { $case: 'file', value: fileOf(local) } };
            const { name: _name, ...kinds } = input;
            return { kind: kindOf(kinds) };
          }),
        } as Step;
      }),
  };
}

function parseJson(text: string, from: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FurrowError('invalid', 'SPEC_NOT_JSON', `${from} is not JSON: ${messageOf(error)}`);
  }
}

/** `steps[0].demand.cpuMilis: unknown field`. */
function issueText(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    const where = issue.keys.map((key) => pathText([...issue.path, key])).join(', ');
    return `${where}: unknown field`;
  }
  const message = issue.message.replace(/^Invalid input: /, '');
  return `${pathText(issue.path) || 'the document'}: ${message}`;
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
}

function localInputOf(
  input: Readonly<Record<string, unknown>>,
  from: string,
): LocalInput | undefined {
  const { path, name } = input;
  if (typeof path !== 'string') return undefined;
  return { path: resolve(dirname(from), path), name: name as string | undefined };
}

const keyOf = ({ path, name }: LocalInput): string => JSON.stringify([path, name]);

/** Proto JSON's one field of a oneof as ts-proto's `{$case, value}`. */
function kindOf(kinds: Readonly<Record<string, unknown>>): { $case: string; value: unknown } {
  const [$case, value] = Object.entries(kinds).find(([, value]) => value !== undefined)!;
  return { $case, value };
}
