/**
 * Models that the farm keeps by name. A model's file is a blob that stays while the model is there; jobs that use it
 * name the file among their inputs, so that taking a model away harms none of them. The types have the shape of
 * furrow.v1's messages, as `task.ts` says.
 */
import type { ModelAdded } from './facts.ts';
import type { Farm } from './farm.ts';
import type { File } from './task.ts';

/** Numbers of `ModelKind`. */
export const MODEL_KINDS = { upscale: 1, interpolate: 2, detect: 3, classify: 4 } as const;

/** Number of `TimestepForm`: the model is not told the time. */
export const TIMESTEP_NONE = 1;

export type ModelKindName = keyof typeof MODEL_KINDS;

/** As furrow.v1.ModelManifest says, field by field; enumerations are the protocol's numbers. */
export interface ModelManifest {
  readonly kind: number;
  readonly licence: string;
  readonly origin: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly channels: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  readonly sizeMultiple: number;
  readonly scale: number;
  readonly halo: number;
  readonly pairLayout: number;
  readonly timestep: number;
  readonly width: number;
  readonly height: number;
  readonly fit: number;
  readonly fill: number;
  readonly outputForm: number;
  readonly labels: readonly string[];
  readonly maxBatch: number;
}

/** A model as a unit is given it. */
export interface UnitModel {
  readonly name: string;
  /** Among the unit's inputs. */
  readonly file: string;
  readonly sha256: string;
  readonly manifest: ModelManifest | undefined;
}

/** Which model a task uses. */
export interface ModelUse {
  readonly model: UnitModel | undefined;
  /** Of onnxruntime; empty for a GPU's where the unit has one, else cpu. */
  readonly provider: string;
}

/** A model that the farm keeps. */
export interface FarmModel {
  readonly name: string;
  /** Its name is that which it was added under, for people. */
  readonly file: File;
  readonly manifest: ModelManifest;
  readonly addedAtMs: number;
}

export function addModel(farm: Farm, { name, file, manifest, atMs }: ModelAdded): void {
  // Set anew, so that the map's order is the order of their times.
  farm.models.delete(name);
  farm.models.set(name, { name, file, manifest, addedAtMs: atMs });
}

/** Every field by its name: two that say the same have the same image. */
export function imageOfModel({ name, file, manifest, addedAtMs }: FarmModel): unknown {
  return [name, file.name, file.sha256, file.sizeBytes, addedAtMs, imageOfManifest(manifest)];
}

export function isSameManifest(a: ModelManifest, b: ModelManifest): boolean {
  return JSON.stringify(imageOfManifest(a)) === JSON.stringify(imageOfManifest(b));
}

function imageOfManifest(manifest: ModelManifest): unknown {
  const { kind, licence, origin, inputs, outputs, channels, mean, deviation } = manifest;
  const { sizeMultiple, scale, halo, pairLayout, timestep, width, height } = manifest;
  const { fit, fill, outputForm, labels, maxBatch } = manifest;
  const tensors = [kind, licence, origin, inputs, outputs, channels, mean, deviation, sizeMultiple];
  const pictures = [scale, halo, pairLayout, timestep, width, height, fit, fill];
  return [tensors, pictures, outputForm, labels, maxBatch];
}

export function kindNameOf({ kind }: Pick<ModelManifest, 'kind'>): ModelKindName | undefined {
  const names = Object.keys(MODEL_KINDS) as ModelKindName[];
  return names.find((name) => MODEL_KINDS[name] === kind);
}
