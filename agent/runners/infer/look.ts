/** Sends pictures through the unit's model and gathers what is found in each, in the order in which they go. */
import type { Looking } from '../../../proto/gen/furrow/v1/task_infer.ts';
import type { ModelManifest, UnitModel } from '../../../proto/gen/furrow/v1/model.ts';
import type { Finding } from '../../models/model-work.ts';
import { throughModel } from '../../models/through-model.ts';
import { FilmFault } from '../film/film-fault.ts';
import type { RunnerContext } from '../runner.ts';
import { modelPixels } from './picture-fit.ts';

/** Beside the model: an ffmpeg that decodes pictures of up to 36 million pixels. */
const DECODER_BYTES = 384 * 2 ** 20;
const NOTE_PAUSE_MS = 500;

export interface KnownLooking extends Looking {
  readonly model: UnitModel & { readonly manifest: ModelManifest };
}

/** Throws FilmFault `invalid-input` when the task does not say what it must. */
export function knownLooking(looking: Looking | undefined): KnownLooking {
  const manifest = looking?.model?.manifest;
  if (looking?.model === undefined || manifest === undefined) {
    throw new FilmFault('invalid-input', 'the task names no model with a manifest');
  }
  if (manifest.width < 1 || manifest.height < 1) {
    throw new FilmFault(
      'invalid-input',
      `the manifest of ${looking.model.name} does not say how large its pictures are: mend it (width, height)`,
    );
  }
  return { ...looking, model: { ...looking.model, manifest } };
}

/**
 * `feed` writes pictures into the pipe. It may be called anew: whatever came before is forgotten. Throws FilmFault.
 */
export async function look(
  context: RunnerContext,
  looking: KnownLooking,
  expected: number,
  feed: (signal: AbortSignal) => Promise<unknown>,
): Promise<readonly (readonly Finding[])[]> {
  const { model, provider, threshold, batch, most } = looking;
  const { width, height } = model.manifest;
  const bytes = width * height * (modelPixels(model.manifest) === 'gray' ? 1 : 3);
  let found: (readonly Finding[])[] = [];
  const rate = new Rate();
  await throughModel(context, {
    request: { model, provider, reservedBytes: DECODER_BYTES },
    otherBytes: bytes,
    workOf: (roomPixels) => {
      // What fits, but at least one: the worker says when that is too much.
      const room = Math.max(1, Math.floor(roomPixels / (width * height)));
      const atOnce = Math.min(room, batch || model.manifest.maxBatch || 1);
      return { kind: 'infer', batch: atOnce, threshold, most };
    },
    feed: async (signal) => {
      found = [];
      await feed(signal);
    },
    onTold: (told) => {
      if (told.event !== 'result') return;
      found.push(...(told.value as readonly (readonly Finding[])[]));
      const note = rate.noteAt(found.length);
      context.progress(Math.min(1, found.length / Math.max(1, expected)), found.length, note);
    },
  });
  return found;
}

/** Pictures a second, over all so far. */
class Rate {
  #startedMs: number | undefined;
  #startedAt = 0;
  #note = '';
  #notedMs = -Infinity;

  noteAt(count: number): string {
    const nowMs = performance.now();
    // From the first on: what came before was loading.
    if (this.#startedMs === undefined) {
      this.#startedMs = nowMs;
      this.#startedAt = count;
    } else if (nowMs - this.#notedMs > NOTE_PAUSE_MS && nowMs > this.#startedMs) {
      const rate = ((count - this.#startedAt) * 1000) / (nowMs - this.#startedMs);
      this.#note = `${rate.toFixed(rate < 10 ? 1 : 0)} images/s`;
      this.#notedMs = nowMs;
    }
    return this.#note;
  }
}
