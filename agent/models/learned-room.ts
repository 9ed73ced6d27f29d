/**
 * How many bytes a model was seen to take for each pixel that goes through it at once, by model and provider,
 * kept on this machine: the next unit's tiles are as large as its memory allows, and no larger. Of a model that
 * never ran here it is what the farm heard of others.
 */
import { z } from 'zod';
import type { StateFile } from '../state-file.ts';
import type { WorkPeak } from './model-work.ts';

const learnedSchema = z.record(z.string(), z.number().positive());

/** Of a model that nobody saw: more than those that we know take, and a fraction of a careless one. */
const UNSEEN_BYTES_A_PIXEL = 4096;
/** What is seen may be a little less than what is needed. */
const MARGIN = 1.15;
/** An older, larger figure fades: it may have been another runtime's. */
const FADING = 0.9;
/** Small pictures tell of what is there anyway, not of pixels. */
const LEAST_PIXELS = 4096;
/** Node and onnxruntime with a small model. */
const LEAST_BASE_BYTES = 160 * 2 ** 20;
/** What was too little is not known to be too little by how much. */
const RISE = 1.5;
/** More is nobody's, however often memory runs out. */
const MOST_BYTES_A_PIXEL = 2 ** 20;
/** Less is not worth a try: the worker says what is too small. */
const LEAST_ROOM = 1024;
/** Beyond it, buffers would be larger than a runtime takes. */
const MOST_ROOM = 2 ** 26;
const MOST_MODELS = 500;

export interface RoomAsked {
  /** 0 when nobody set a limit. */
  readonly memoryBytes: number;
  /** With the model loaded; 0 when nobody knows. */
  readonly baseBytes: number;
  /** Whole frames and such. */
  readonly otherBytes: number;
  /** Bytes for each pixel, as others saw them. */
  readonly heard?: number | undefined;
}

export class LearnedRoom {
  readonly #file: StateFile;
  readonly #bytesAPixel: Map<string, number>;

  constructor(file: StateFile) {
    this.#file = file;
    this.#bytesAPixel = read(file);
  }

  /** Most pixels at once that fit beside everything else. */
  roomPixels(key: string, { memoryBytes, baseBytes, otherBytes, heard }: RoomAsked): number {
    if (memoryBytes === 0) return MOST_ROOM;
    const left = memoryBytes - Math.max(LEAST_BASE_BYTES, baseBytes) - otherBytes;
    const room = left / this.bytesAPixel(key, heard);
    return Math.floor(Math.min(MOST_ROOM, Math.max(LEAST_ROOM, room)));
  }

  /** With a margin. What this machine saw counts more than what others did. */
  bytesAPixel(key: string, heard?: number): number {
    return this.#known(key, heard) * MARGIN;
  }

  /** What a work was seen to take; answers how much that is for each pixel, undefined when it tells nothing. */
  note(key: string, { bytes, pixels }: WorkPeak): number | undefined {
    if (pixels < LEAST_PIXELS) return undefined;
    const seen = bytes / pixels;
    const before = this.#bytesAPixel.get(key);
    this.#keep(key, before === undefined ? seen : Math.max(seen, before * FADING));
    return seen;
  }

  /** Memory ran out to the end with as many pixels as this allowed: answers what is taken from now on. */
  noteRunOut(key: string, heard?: number): number {
    const now = Math.min(MOST_BYTES_A_PIXEL, this.#known(key, heard) * RISE);
    this.#keep(key, now);
    return now;
  }

  #known(key: string, heard: number | undefined): number {
    return this.#bytesAPixel.get(key) ?? heard ?? UNSEEN_BYTES_A_PIXEL / MARGIN;
  }

  #keep(key: string, now: number): void {
    const before = this.#bytesAPixel.get(key);
    if (before !== undefined && Math.abs(now - before) < before * 0.02) return;
    this.#bytesAPixel.delete(key);
    this.#bytesAPixel.set(key, now);
    for (const oldest of this.#bytesAPixel.keys()) {
      if (this.#bytesAPixel.size <= MOST_MODELS) break;
      this.#bytesAPixel.delete(oldest);
    }
    try {
      this.#file.replace(`${JSON.stringify(Object.fromEntries(this.#bytesAPixel))}\n`);
    } catch {
      // It is known until this agent ends, and learned again by the next.
    }
  }
}

/** Empty when it is not there or not ours: it is only learned anew. */
function read(file: StateFile): Map<string, number> {
  try {
    const parsed = learnedSchema.parse(JSON.parse(file.read() ?? '{}'));
    return new Map(Object.entries(parsed));
  } catch {
    return new Map();
  }
}
