/** What a unit needs for the model that it uses, beside its other needs. */
import type { Demand } from '../domain/task.ts';
import type { ChosenModel } from './models.ts';
import { MIB, quote } from './recipe.ts';

/** onnxruntime's own names. */
const PROVIDERS = ['cpu', 'cuda', 'tensorrt', 'dml', 'coreml', 'webgpu'] as const;

/** Onnxruntime and its process, before any picture. */
const RUNTIME_BYTES = 256 * MIB;
/** A loaded model, against its file. */
const LOADED = 3;
/** Pictures at full HD with room; what is larger is learned by the farm. */
const PICTURES_BYTES = 1024 * MIB;
/** Its context alone takes some hundred MiB. */
const VRAM_BYTES = 2048 * MIB;

export function faultOfProvider(provider: string): string | undefined {
  if (provider === '' || (PROVIDERS as readonly string[]).includes(provider)) return undefined;
  return `provider ${quote(provider)} is not known: use ${PROVIDERS.join(', ')}, or leave it out`;
}

/** An empty provider is the processor, until somebody asks for another. */
export function withModel(demand: Demand, model: ChosenModel, provider: string): Demand {
  const onGpu = provider !== '' && provider !== 'cpu' && provider !== 'coreml';
  return {
    ...demand,
    ramBytes: demand.ramBytes + RUNTIME_BYTES + LOADED * model.sizeBytes + PICTURES_BYTES,
    scratchBytes: demand.scratchBytes + model.sizeBytes,
    ...(onGpu && { gpus: 1, vramBytes: VRAM_BYTES + LOADED * model.sizeBytes }),
    attributes: [...demand.attributes, `onnx:${provider || 'cpu'}`],
  };
}
