/**
 * What a model takes where one of onnxruntime's providers runs it, as agents saw it: kept in the journal, for the
 * demands of the jobs to come and for agents that never ran it. It rises with what is seen and falls slowly, so that
 * neither one odd unit nor an older runtime is believed for long.
 */
import type { ModelUse, UnitModel } from './model.ts';
import type { Task } from './task.ts';

/** The shape of furrow.v1.ModelMemory. */
export interface ModelMemory {
  readonly sha256: string;
  readonly provider: string;
  /** For each pixel that goes through it at once: of main memory, or of a GPU's where that runs it. */
  readonly pixelBytes: number;
  /** Of main memory, with the model loaded and before any picture; 0 when unknown. */
  readonly baseBytes: number;
}

/** What one attempt showed of its model. */
export interface SeenMemory extends ModelMemory {
  /** Memory ran out to the end: it takes at least so much, and more. */
  readonly ranOut: boolean;
}

export type ModelMemories = ReadonlyMap<string, ModelMemory>;

/** onnxruntime's own names. */
export const ONNX_PROVIDERS = ['cpu', 'cuda', 'tensorrt', 'dml', 'coreml', 'webgpu'] as const;

/** A larger figure fades with each unit that takes less. */
const FADING = 0.9;
/** What was too little is not known to be too little by how much. */
const RISE = 1.5;
/** More is nobody's: a picture of 64 pixels would take all of a machine. */
const MOST_PIXEL_BYTES = 2 ** 24;
const MOST_BASE_BYTES = 2 ** 40;
/** A change of so much is worth a place in the journal. */
const NEWS_SHARE = 0.08;
/** Pairs of model and provider that are kept. */
const MOST_KEPT = 2_048;
const MOST_AT_ONCE = 100;

export function memoryKeyOf({
  sha256,
  provider,
}: Pick<ModelMemory, 'sha256' | 'provider'>): string {
  return `${sha256} ${provider}`;
}

/** Undefined for what no model takes. */
export function credible(seen: SeenMemory): SeenMemory | undefined {
  const { sha256, provider, pixelBytes, baseBytes, ranOut } = seen;
  if (!(ONNX_PROVIDERS as readonly string[]).includes(provider)) return undefined;
  if (!(pixelBytes > 0 && pixelBytes <= MOST_PIXEL_BYTES)) return undefined;
  if (!(baseBytes >= 0 && baseBytes <= MOST_BASE_BYTES)) return undefined;
  return { sha256, provider, pixelBytes, baseBytes: Math.ceil(baseBytes), ranOut };
}

/** With what one more attempt showed. */
export function withSeen(before: ModelMemory | undefined, seen: SeenMemory): ModelMemory {
  const { sha256, provider, ranOut } = seen;
  const known = before?.pixelBytes ?? 0;
  const pixelBytes = Math.max(seen.pixelBytes, known * (ranOut ? RISE : FADING));
  const baseBytes = Math.max(seen.baseBytes, Math.floor((before?.baseBytes ?? 0) * FADING));
  return { sha256, provider, pixelBytes: Math.min(pixelBytes, MOST_PIXEL_BYTES), baseBytes };
}

function isMemoryNews(before: ModelMemory | undefined, now: ModelMemory): boolean {
  if (before === undefined) return true;
  const differs = (was: number, is: number): boolean => Math.abs(is - was) > was * NEWS_SHARE;
  return differs(before.pixelBytes, now.pixelBytes) || differs(before.baseBytes, now.baseBytes);
}

export function keepMemories(known: Map<string, ModelMemory>, news: Iterable<ModelMemory>): void {
  for (const memory of news) {
    const key = memoryKeyOf(memory);
    // Set anew, so that the map's order is the order of their times.
    known.delete(key);
    known.set(key, memory);
  }
  for (const oldest of known.keys()) {
    if (known.size <= MOST_KEPT) break;
    known.delete(oldest);
  }
}

/** Of one model's file, by provider. */
export function memoriesOf(known: ModelMemories, sha256: string): readonly ModelMemory[] {
  return ONNX_PROVIDERS.flatMap((provider) => known.get(memoryKeyOf({ sha256, provider })) ?? []);
}

/** The model that a step's units use; undefined when they use none. */
export function modelOfTask(task: Task | undefined): UnitModel | undefined {
  switch (task?.kind?.$case) {
    case 'upscale':
    case 'upscaleImages':
    case 'interpolate':
    case 'checkModel': {
      const { use }: { readonly use: ModelUse | undefined } = task.kind.value;
      return use?.model;
    }
    case 'inferPictures':
    case 'inferFrames':
      return task.kind.value.looking?.model;
    default:
      return undefined;
  }
}

/** Of the model that the task uses, by provider. */
export function memoriesOfTask(
  known: ModelMemories,
  task: Task | undefined,
): readonly ModelMemory[] {
  const model = known.size === 0 ? undefined : modelOfTask(task);
  return model === undefined ? [] : memoriesOf(known, model.sha256);
}

/** What results show of models since the journal heard of it: soft, until it hears again. */
export class SeenMemories {
  readonly #seen = new Map<string, ModelMemory>();

  note(known: ModelMemories, seen: SeenMemory): void {
    const key = memoryKeyOf(seen);
    const before = this.#seen.get(key) ?? known.get(key);
    if (before === undefined && this.#seen.size >= MOST_KEPT) return;
    this.#seen.set(key, withSeen(before, seen));
  }

  /** What is worth the journal's while; the rest goes on adding up. */
  news(known: ModelMemories): ModelMemory[] {
    const news: ModelMemory[] = [];
    for (const [key, memory] of this.#seen) {
      if (isMemoryNews(known.get(key), memory)) news.push(memory);
      if (news.length === MOST_AT_ONCE) break;
    }
    return news;
  }

  /** The journal has these. */
  learned(memories: Iterable<ModelMemory>): void {
    for (const memory of memories) this.#seen.delete(memoryKeyOf(memory));
  }
}
