/**
 * The recipe `stabilize`: `transcode`, but that the camera's motion is measured in all pieces, smoothed over the
 * whole film at once, and each piece encoded with the moves that are its own.
 */
import type { AudioEncoding, File, StepSpec, VideoEncoding } from '../domain/task.ts';
import { pieceScratchBytes } from './film-chain.ts';
import { withProxy, type WithProxy } from './proxy.ts';
import {
  demand,
  invalid,
  isWhole,
  MIB,
  output,
  outputsOf,
  quote,
  type RecipePlan,
  stallsAfter,
} from './recipe.ts';
import { transcodeSteps } from './transcode.ts';

/** What a user asks for; absent, empty and zero fields take the defaults. */
export interface StabilizeRequest {
  readonly source?: File | undefined;
  readonly video?: VideoEncoding | undefined;
  readonly audio?: AudioEncoding | undefined;
  readonly film: string;
  readonly pieceMs: number;
  readonly smoothingMs: number;
  readonly shakiness: number;
  readonly edges: string;
  readonly zoomMilliPercent: number;
  readonly withProxy?: WithProxy | undefined;
}

const DEFAULT_SMOOTHING_MS = 500;
const DEFAULT_SHAKINESS = 5;
const EDGES = ['crop', 'black'];
const ATTRIBUTES = ['tool:ffmpeg', 'filter:vidstabdetect'];

export function stabilizeSteps(request: StabilizeRequest): RecipePlan {
  const { source, video, audio, film, pieceMs } = request;
  const smoothingMs = request.smoothingMs || DEFAULT_SMOOTHING_MS;
  const shakiness = request.shakiness || DEFAULT_SHAKINESS;
  const edges = request.edges || 'crop';
  if (!isWhole(smoothingMs, 20, 20_000)) {
    return invalid(`smoothing ${smoothingMs} ms is out of range: use 20 to 20000`);
  }
  if (!isWhole(shakiness, 1, 10)) return invalid(`shakiness ${shakiness} is none: use 1 to 10`);
  if (!EDGES.includes(edges)) {
    return invalid(`edges ${quote(edges)} are not known: use ${EDGES.join(' or ')}`);
  }
  if (!isWhole(request.zoomMilliPercent, 0, 30_000)) {
    return invalid(`zoom of ${request.zoomMilliPercent / 1000} % is out of range: use 0 to 30`);
  }
  const plan = transcodeSteps({ source, video, audio, film, pieceMs });
  if (plan.state === 'invalid' || source === undefined) return plan;
  const steady = plan.steps.flatMap((step) =>
    step.task?.kind?.$case === 'encode' ? [heldStill(step)] : [step],
  );
  const { zoomMilliPercent } = request;
  const smoothing = { smoothingMs, zoomMilliPercent, crop: edges === 'crop', shakiness };
  const steps = [...steady, detectStep(source, shakiness), smoothStep(smoothing)];
  return withProxy({ state: 'ok', steps }, source, request.withProxy, ['detect']);
}

function heldStill(step: StepSpec): StepSpec {
  const kind = step.task?.kind;
  if (kind?.$case !== 'encode') return step;
  return {
    ...step,
    dependsOn: [...step.dependsOn, 'smooth'],
    task: { kind: { ...kind, value: { ...kind.value, steady: true } } },
    inputs: [...step.inputs, outputsOf('smooth', 'moves.json')],
    demand: step.demand && {
      ...step.demand,
      attributes: [...step.demand.attributes, ...ATTRIBUTES.slice(1)],
    },
  };
}

function detectStep(source: File, shakiness: number): StepSpec {
  return {
    name: 'detect',
    dependsOn: ['split'],
    parameters: { kind: { $case: 'forEach', value: { step: 'split', pattern: 'piece-*' } } },
    task: { kind: { $case: 'detectMotion', value: { shakiness } } },
    inputs: [{ kind: { $case: 'item', value: true } }, outputsOf('split', 'plan.json')],
    outputs: [output('motion-*'), output('edge-*')],
    demand: demand(1000, 512 * MIB, pieceScratchBytes(source), ATTRIBUTES),
    limits: stallsAfter(300_000),
  };
}

type Smoothing = (StepSpec['task'] & {
  readonly kind: { readonly $case: 'smoothMotion' };
})['kind']['value'];

function smoothStep(smoothing: Smoothing): StepSpec {
  return {
    name: 'smooth',
    dependsOn: ['split', 'detect'],
    parameters: undefined,
    task: { kind: { $case: 'smoothMotion', value: smoothing } },
    inputs: [
      outputsOf('split', 'plan.json'),
      outputsOf('detect', 'motion-*'),
      outputsOf('detect', 'edge-*'),
    ],
    outputs: [output('moves.json')],
    demand: demand(1000, 512 * MIB, 1024 * MIB, ATTRIBUTES),
    limits: stallsAfter(600_000),
  };
}
