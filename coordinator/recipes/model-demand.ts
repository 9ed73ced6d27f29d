/**
 * What a unit needs for the model that it uses, beside its other needs: by what agents saw the model take, else a
 * guess. A little too little is no harm where a model works in tiles, which are cut to what there is; and what a
 * wrong figure asks for is never more than a few times the guess, so that units are placed, and the figure heals.
 */
import { type ModelMemory, ONNX_PROVIDERS } from '../domain/model-memory.ts';
import type { Demand } from '../domain/task.ts';
import type { ChosenModel } from './models.ts';
import { isWhole, MIB, quote } from './recipe.ts';

/** Onnxruntime and its process, before any picture. */
const RUNTIME_BYTES = 256 * MIB;
/** A loaded model, against its file. */
const LOADED = 3;
/** Pictures at full HD with room; what is larger is learned by the farm. */
const PICTURES_BYTES = 1024 * MIB;
/** Its context alone takes some hundred MiB. */
const VRAM_BYTES = 2048 * MIB;
/** Of that, before any picture. */
const VRAM_BASE_BYTES = 600 * MIB;
/** What is seen may be a little less than what is needed: agents take the same margin. */
const MARGIN = 1.15;
/** Agents take no less for a runtime, whatever a small model left of it. */
const LEAST_BASE_BYTES = 160 * MIB;
const LEAST_PICTURES_BYTES = 128 * MIB;
/** A larger tile would hardly be faster: most of it is kept. */
const WHOLE_FRAME = 2 ** 21;
/** Of a smaller one most is thrown away, as its surroundings. */
const LEAST_TILE = 2 ** 16;
/** Most times the guess: of pictures in tiles, and of such as cannot be cut. */
const MOST_TILED = 2;
const MOST_WHOLE = 4;

/** What a user says of units that make pictures larger; absent, empty and zero fields take the defaults. */
export interface ModelWishes {
  readonly provider: string;
  readonly cpus: number;
  readonly ramBytes: number;
  readonly vramBytes: number;
}

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
  if (provider === '' || (ONNX_PROVIDERS as readonly string[]).includes(provider)) return undefined;
  return `provider ${quote(provider)} is not known: use ${ONNX_PROVIDERS.join(', ')}, or leave it out`;
}

/** An empty provider is the processor, until somebody asks for another. */
export function withModel(demand: Demand, model: ChosenModel, provider: string): Demand {
  const onGpu = isOnGpu(provider);
  const guess = {
    baseBytes: RUNTIME_BYTES + LOADED * model.sizeBytes,
    picturesBytes: PICTURES_BYTES,
  };
  return {
    ...demand,
    ramBytes: demand.ramBytes + ramOfModel(model, provider, 0, guess),
    scratchBytes: demand.scratchBytes + model.sizeBytes,
    ...(onGpu && { gpus: 1, vramBytes: vramOfModel(model, provider) }),
    attributes: [...demand.attributes, `onnx:${provider || 'cpu'}`],
  };
}

interface RamGuess {
  /** With the model loaded. */
  readonly baseBytes: number;
  /** Beyond it. */
  readonly picturesBytes: number;
}

/** Bytes of main memory. `pixels`: so many go through it at once; 0 where pictures are cut into tiles. */
export function ramOfModel(
  { memory }: ChosenModel,
  provider: string,
  pixels: number,
  guess: RamGuess,
): number {
  const known = memoryOn(memory, provider);
  if (known === undefined) return guess.baseBytes + guess.picturesBytes;
  const baseBytes =
    known.baseBytes === 0
      ? guess.baseBytes
      : Math.ceil(Math.max(known.baseBytes, LEAST_BASE_BYTES) * MARGIN);
  // On a GPU the pixels lie there.
  if (isOnGpu(provider)) return baseBytes + guess.picturesBytes;
  return baseBytes + bytesOfPictures(known, pixels, guess.picturesBytes);
}

function vramOfModel({ memory, sizeBytes }: ChosenModel, provider: string): number {
  const known = memoryOn(memory, provider);
  if (known === undefined) return VRAM_BYTES + LOADED * sizeBytes;
  const guess = VRAM_BYTES - VRAM_BASE_BYTES;
  return VRAM_BASE_BYTES + LOADED * sizeBytes + bytesOfPictures(known, 0, guess);
}

function bytesOfPictures({ pixelBytes }: ModelMemory, pixels: number, guessBytes: number): number {
  const each = pixelBytes * MARGIN;
  const wanted =
    pixels > 0
      ? Math.min(each * pixels, guessBytes * MOST_WHOLE)
      : Math.min(
          Math.max(Math.min(each * WHOLE_FRAME, guessBytes), each * LEAST_TILE),
          guessBytes * MOST_TILED,
        );
  return Math.ceil(Math.max(wanted, LEAST_PICTURES_BYTES) / MIB) * MIB;
}

function memoryOn(memory: readonly ModelMemory[], provider: string): ModelMemory | undefined {
  return memory.find((known) => known.provider === (provider || 'cpu'));
}

function isOnGpu(provider: string): boolean {
  return provider !== '' && provider !== 'cpu' && provider !== 'coreml';
}
