/**
 * How many bytes a model was seen to take for each pixel that goes through it at once, by model and provider,
 * kept on this machine: the next unit's tiles are as large as its memory allows, and no larger.
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
/** Node and onnxruntime with an average model. */
const BASE_BYTES = 160 * 2 ** 20;
/** Less is not worth a try: the worker says what is too small. */
const LEAST_ROOM = 1024;
/** Beyond it, buffers would be larger than a runtime takes. */
const MOST_ROOM = 2 ** 26;
const MOST_MODELS = 500;

export class LearnedRoom {
  readonly #file: StateFile;
  readonly #bytesAPixel: Map<string, number>;

  constructor(file: StateFile) {
    this.#file = file;
    this.#bytesAPixel = read(file);
  }

  /** Most pixels at once that fit into so many bytes, beside `otherBytes`; 0 bytes: nobody set a limit. */
  roomPixels(key: string, memoryBytes: number, otherBytes: number): number {
    if (memoryBytes === 0) return MOST_ROOM;
    const left = memoryBytes - BASE_BYTES - otherBytes;
    const room = left / this.bytesAPixel(key);
    return Math.floor(Math.min(MOST_ROOM, Math.max(LEAST_ROOM, room)));
  }

  bytesAPixel(key: string): number {
    return (this.#bytesAPixel.get(key) ?? UNSEEN_BYTES_A_PIXEL / MARGIN) * MARGIN;
  }

  /** What a work was seen to take. */
  note(key: string, { bytes, pixels }: WorkPeak): void {
    if (pixels < LEAST_PIXELS) return;
    const seen = bytes / pixels;
    const before = this.#bytesAPixel.get(key);
    const now = before === undefined ? seen : Math.max(seen, before * FADING);
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
