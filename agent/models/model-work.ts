/**
 * What an agent and the process that holds a model say to each other: one JSON object a line, commands on
 * the worker's standard input, answers on its standard output. One command at a time. Frames do not go this
 * way: they come and go as raw bytes through two named pipes in the worker's folder.
 *
 * A new kind of work (interpolate, infer …) is
 *  1. a variant of `ModelWork` here,
 *  2. a file `worker/<kind>-….ts` that reads frames, runs the model, and writes frames or tells results,
 *     and its line in the table `worker/works.ts`,
 *  3. a runner that calls `throughModel` (`through-model.ts`), which starts what feeds and what drains the
 *     pipes, and goes on with less room when memory runs out.
 */
import type { ModelManifest } from '../../proto/gen/furrow/v1/model.ts';

/** A model that a worker is to hold; nothing else is ever loaded into the same process. */
export interface LoadCommand {
  readonly op: 'load';
  /** In the worker's folder. */
  readonly file: string;
  readonly sha256: string;
  readonly manifest: ModelManifest;
  /** As onnxruntime calls it: cpu, cuda, tensorrt, dml, coreml, webgpu. */
  readonly provider: string;
  readonly threads: number;
}

export interface WorkCommand {
  readonly op: 'work';
  readonly work: ModelWork;
  /** What the process may take, in bytes: beyond it allocations fail, which the work survives. Null: no limit. */
  readonly memoryBytes: number | null;
}

export type ModelCommand = LoadCommand | WorkCommand;

/**
 * Bytes of a frame in a pipe: `rgb24` as ffmpeg says, or three full planes of `yuv444p` in full range; and the
 * same with values of sixteen bits.
 */
export type FrameLayout = 'rgb24' | 'yuv444p' | 'rgb48le' | 'yuv444p16le';

/** Of a value in a pipe. */
export type FrameBits = 8 | 16;

/** For models of brightness alone, or of three channels. */
export function layoutOf(channels: 1 | 3, bits: FrameBits): FrameLayout {
  if (channels === 3) return bits === 16 ? 'rgb48le' : 'rgb24';
  return bits === 16 ? 'yuv444p16le' : 'yuv444p';
}

export interface FrameSize {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/** When frames are shown, in ticks: the first, then so many steps of so many ticks. As in `plan.json`. */
export interface FrameTimes {
  readonly timeBase: { readonly num: number; readonly den: number };
  readonly first: number;
  readonly runs: readonly (readonly [ticks: number, count: number])[];
}

/**
 * Of the whole film, as a fraction such as `30000/1001`: what the encoder is told, which sees nothing but ticks. They
 * may be a thousand to the second, and more than some encoders take for frames.
 */
export type FrameRate = string;

/** Each frame, larger by the model's scale; written as NUT, at the times given. */
export interface UpscaleWork extends FrameSize {
  readonly kind: 'upscale';
  /** So many frames come: fewer are an error. */
  readonly frames: number;
  /** In both pipes; 8 where it is not said. */
  readonly bits?: FrameBits;
  readonly times: FrameTimes;
  readonly frameRate?: FrameRate;
  /** After so many ticks from the first frame the last one is written once more, so that who reads knows how long it is shown. */
  readonly endTicks?: number | undefined;
  /** Most pixels that go through the model at once: tiles are no larger. */
  readonly roomPixels: number;
}

/** The frames of a film at times of its own, written as NUT: the source's, and such as the model makes of two. */
export interface InterpolateWork extends FrameSize {
  readonly kind: 'interpolate';
  /** So many of the source's frames come, in order: fewer are an error. */
  readonly frames: number;
  /** In both pipes; 8 where it is not said. */
  readonly bits?: FrameBits;
  /** A run of frames that show the same is one frame, where it is short. Absent: each is a frame. */
  readonly smooth?: {
    /** When the source shows each of the frames that come. */
    readonly ticks: readonly number[];
    /** Of such a run. */
    readonly most: number;
    readonly mostTicks: number;
  };
  readonly frameRate?: FrameRate;
  readonly film: {
    readonly timeBase: FrameTimes['timeBase'];
    /** When each frame is shown, ascending. */
    readonly ticks: readonly number[];
    /** For each, the source's frame that it shows or comes after; never falls. */
    readonly from: readonly number[];
    /** For each, how far on the way to the next frame of the source it lies, 0 to below 1. */
    readonly part: readonly number[];
  };
}

/** Told before it: short runs that were one frame each, by their first frame and the first after them. */
export interface SmoothedRuns {
  readonly smoothed: readonly (readonly [first: number, next: number])[];
}

/** How frames came about: the last result of the work `interpolate`. */
export interface MadeFrames {
  /** As the source has them. */
  readonly source: number;
  /** By the model. */
  readonly made: number;
  /** The nearer of two, where a new scene begins between them or they are the same. */
  readonly held: number;
  /** Beginnings of scenes that a frame would have lain across. */
  readonly cuts: number;
}

/** One run on a made picture; its result is a CheckedRun. */
export interface CheckWork {
  readonly kind: 'check';
  /** Pixels; 0 for what the model wants. */
  readonly width: number;
  readonly height: number;
}

/** What a model made of a made picture. */
export interface CheckedRun extends FrameSize {
  readonly runMs: number;
  readonly outputs: readonly {
    readonly name: string;
    readonly dims: readonly number[];
    readonly least: number;
    readonly most: number;
  }[];
}

/** What is in each picture, told as results: see `Finding`. Pictures have the model's own size, and come until the pipe ends. */
export interface InferWork {
  readonly kind: 'infer';
  /** Pictures at once, at most; 0 for as many as the model may. */
  readonly batch: number;
  /** Findings below are left out: 0 to 1. */
  readonly threshold: number;
  /** Most findings in a picture. */
  readonly most: number;
}

/** One thing in a picture; a result is a list of pictures, each of which is a list of these, surest first. */
export interface Finding {
  /** From 0, in the order of the model's labels. */
  readonly classIndex: number;
  readonly score: number;
  /** Left, top, right, bottom in pixels of the model's picture; absent where the model only classifies. */
  readonly box?: readonly [number, number, number, number] | undefined;
}

export type ModelWork = UpscaleWork | InterpolateWork | CheckWork | InferWork;

/** The model's inputs and outputs as they are; a side that may be anything is a name. */
export interface TensorFacts {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly (number | string)[];
}

export type WorkerAnswer =
  | {
      readonly event: 'loaded';
      readonly inputs: readonly TensorFacts[];
      readonly outputs: readonly TensorFacts[];
      /** Resident memory with the model loaded; 0 where nobody tells. */
      readonly residentBytes: number;
    }
  /** So many frames (pictures, pairs) are done. */
  | { readonly event: 'progress'; readonly done: number }
  /** Memory ran out; the work goes on with so many pixels at once. */
  | { readonly event: 'smaller'; readonly roomPixels: number }
  /** A line of results, for works that make no frames. */
  | { readonly event: 'result'; readonly value: unknown }
  /** The work is done. */
  | { readonly event: 'done'; readonly peak: WorkPeak | null }
  /** The command failed; the process ends itself after it. `message` is one line for the user. */
  | {
      readonly event: 'failed';
      readonly kind: WorkFault;
      readonly message: string;
      /** Memory ran out where the work could not go on by itself: a new process with less room may. */
      readonly mayShrink: boolean;
      /** It is the consequence of how what feeds or drains a pipe ended. */
      readonly echoOf?: 'feed' | 'drain' | undefined;
    };

/** What a work took at most. */
export interface WorkPeak {
  /** Beyond what the process had with the model loaded. */
  readonly bytes: number;
  /** At once through the model. */
  readonly pixels: number;
}

/** Failure kinds that a worker can know. */
export type WorkFault =
  | 'invalid-input'
  | 'out-of-memory'
  | 'out-of-vram'
  | 'bad-output'
  | 'infrastructure'
  | 'failed';

/** Names of the pipes in a worker's folder, and while a unit uses them in the unit's. */
export const PIPE_IN = 'frames.in';
export const PIPE_OUT = 'frames.out';
