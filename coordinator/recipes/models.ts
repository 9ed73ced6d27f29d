/** How recipes come from a model's name to what a unit is given: pure, the farm's models are handed in. */
import {
  type FarmModel,
  kindNameOf,
  type ModelKindName,
  type ModelManifest,
  type UnitModel,
} from '../domain/model.ts';
import type { Farm } from '../domain/farm.ts';
import { memoriesOf, type ModelMemory } from '../domain/model-memory.ts';
import type { Input } from '../domain/task.ts';
import { fileInput, invalid, quote, type RecipePlan } from './recipe.ts';

/** What the farm knows of its models, by name. */
export type KnownModels = ReadonlyMap<string, KnownModel>;

interface KnownModel extends FarmModel {
  /** What it was seen to take, by provider; none while nobody saw it. */
  readonly memory?: readonly ModelMemory[];
}

export function knownModels({
  models,
  modelMemory,
}: Pick<Farm, 'models' | 'modelMemory'>): KnownModels {
  if (modelMemory.size === 0) return models;
  const known = [...models.values()].map((model) => {
    return { ...model, memory: memoriesOf(modelMemory, model.file.sha256) };
  });
  return new Map(known.map((model) => [model.name, model]));
}

/** Under which a unit finds its model; no recipe gives a file of the user's that name. */
export const MODEL_FILE = 'model.onnx';

/** A model that a step may use: `unit` goes into its task, `input` among its inputs. */
export interface ChosenModel {
  readonly state: 'ok';
  readonly unit: UnitModel & { readonly manifest: ModelManifest };
  readonly input: Input;
  readonly sizeBytes: number;
  /** What it was seen to take, by provider. */
  readonly memory: readonly ModelMemory[];
}

/** Any of these kinds will do. The fault names the models that there are. */
export function chooseModel(
  models: KnownModels,
  name: string,
  ...kinds: readonly ModelKindName[]
): ChosenModel | (RecipePlan & { readonly state: 'invalid' }) {
  const model = models.get(name);
  const kind = model && kindNameOf(model.manifest);
  if (model === undefined || kind === undefined || !kinds.includes(kind)) {
    return invalid(`${whatIsWrong(name, kind)}: ${whatThereIs(models, kinds)}`);
  }
  const { sha256, sizeBytes } = model.file;
  return {
    state: 'ok',
    unit: { name, file: MODEL_FILE, sha256, manifest: model.manifest },
    input: fileInput({ name: MODEL_FILE, sha256, sizeBytes }),
    sizeBytes,
    memory: model.memory ?? [],
  };
}

function whatIsWrong(name: string, kind: ModelKindName | undefined): string {
  if (name === '') return 'no model is named';
  return kind === undefined
    ? `the farm has no model named ${quote(name)}`
    : `the model ${quote(name)} is one to ${kind}`;
}

const MOST_NAMED = 20;

function whatThereIs(models: KnownModels, kinds: readonly ModelKindName[]): string {
  const names = [...models.values()]
    .filter(({ manifest }) => kinds.includes(kindNameOf(manifest) ?? 'upscale'))
    .map(({ name }) => name)
    .toSorted();
  const what = kinds.join(' or ');
  if (names.length === 0) {
    return `it has none to ${what} yet, add one with furrow models add FILE --manifest FILE.json`;
  }
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : '';
  return `those to ${what} are ${names.slice(0, MOST_NAMED).join(', ')}${more}`;
}
