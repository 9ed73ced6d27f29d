/** Every kind of work that a worker can do with the model that it holds. A new one is a case here. */
import type { ModelWork, WorkerAnswer } from '../model-work.ts';
import type { FramePipes } from './frame-pipes.ts';
import type { LoadedModel } from './load-model.ts';
import { checkRun } from './check-run.ts';
import { interpolateFrames } from './interpolate-frames.ts';
import { inferPictures } from './infer-pictures.ts';
import { upscaleFrames } from './upscale-frames.ts';

/** What a work is given besides the model. */
export interface WorkContext {
  /** Frames in and out. Opened at the first read and write, closed by whoever started the work. */
  readonly pipes: FramePipes;
  /** Says something to the agent. Progress is passed on now and then only. */
  readonly tell: (
    answer: Extract<WorkerAnswer, { readonly event: 'progress' | 'smaller' | 'result' }>,
  ) => void;
  /**
   * So many pixels went through the model at once, while other buffers took so many bytes: what the model took
   * for a pixel is learned, and chooses the next room.
   */
  readonly notePeak: (pixels: number, otherBytes: number) => void;
  /** So many bytes that the model made are not needed any more: they are freed now and then. */
  readonly noteGarbage: (bytes: number) => void;
  /** Frees them now, as after memory ran out. */
  readonly collect: () => void;
}

/** Throws WorkFailure, or what onnxruntime throws. */
export async function doWork(
  model: LoadedModel,
  work: ModelWork,
  context: WorkContext,
): Promise<void> {
  switch (work.kind) {
    case 'upscale':
      return upscaleFrames(model, work, context);
    case 'interpolate':
      return interpolateFrames(model, work, context);
    case 'check':
      return checkRun(model, work, context);
    case 'infer':
      return inferPictures(model, work, context);
  }
}
