/** What a unit needs for the model that it uses, beside its other needs. */
import type { Demand } from '../domain/task.ts';
import type { ChosenModel } from './models.ts';
import { isWhole, MIB, quote } from './recipe.ts';

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

/** What a user says of units that make pictures larger; absent, empty and zero fields take the defaults. */
export interface ModelWishes {
  readonly provider: string;
  readonly cpus: number;
  readonly ramBytes: number;
  readonly vramBytes: number;
}

/** More threads help one model less and less; more units help as many times. */
export const DEFAULT_MODEL_CPUS = 2;
const MAX_CPUS = 64;
const LEAST_RAM_BYTES = 512 * MIB;

export function faultOfWishes({ cpus, ramBytes, provider }: ModelWishes): string | undefined {
  if (cpus !== 0 && !isWhole(cpus, 1, MAX_CPUS)) {
    return `cpus ${cpus} is out of range: use 1 to ${MAX_CPUS}`;
  }
  if (ramBytes !== 0 && ramBytes < LEAST_RAM_BYTES) {
    return `${Math.floor(ramBytes / MIB)} MiB of memory is too little for any model: give ${LEAST_RAM_BYTES / MIB} MiB at least`;
  }
  return faultOfProvider(provider);
}

export function wishedProvider({ provider, vramBytes }: ModelWishes): string {
  return provider || (vramBytes > 0 ? 'cuda' : 'cpu');
}

/** What a unit needs beside its own needs, for the model and by what the user says. */
export function withWishes(own: Demand, model: ChosenModel, wishes: ModelWishes): Demand {
  const { ramBytes, vramBytes } = wishes;
  return {
    ...withModel(own, model, wishedProvider(wishes)),
    ...(ramBytes > 0 && { ramBytes }),
    ...(vramBytes > 0 && { gpus: 1, vramBytes }),
  };
}

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
