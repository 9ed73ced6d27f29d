/**
 * What a step is made of. These types have the shape of furrow.v1's messages without being generated
 * from them: the compiler checks at each border that they still fit, and the domain stays free of
 * generated code.
 */
import type { FilmTaskKind } from './film-tasks.ts';
import type { InterpolateTaskKind } from './interpolate-tasks.ts';
import type { UpscaleTaskKind } from './upscale-tasks.ts';
import type { InferTaskKind } from './infer-tasks.ts';
import type { RenderTaskKind } from './render-tasks.ts';
import type { MontageTaskKind } from './montage-tasks.ts';
import type { PackageTaskKind } from './package-tasks.ts';

export type {
  AudioEncoding,
  Deinterlace,
  FilmBranch,
  Retime,
  VideoEncoding,
} from './film-tasks.ts';
export type { PackagedFilm, Packaging } from './package-tasks.ts';

export interface File {
  /** Relative: no `..`, no leading slash, no control characters. */
  readonly name: string;
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

export type TaskKind =
  | {
      readonly $case: 'command';
      readonly value: {
        readonly argv: readonly string[];
        readonly environment: { readonly [name: string]: string };
        /** It leaves something to go on from. */
        readonly checkpoint?: boolean | undefined;
        /** It needs the network. */
        readonly network?: boolean | undefined;
      };
    }
  // eslint-disable-next-line typescript/no-generated-empty-object-type -- the message has no fields
  | { readonly $case: 'noop'; readonly value: Record<never, never> }
  | FilmTaskKind
  | InterpolateTaskKind
  | UpscaleTaskKind
  | InferTaskKind
  | RenderTaskKind
  | MontageTaskKind
  | PackageTaskKind;

/** How many failed units a job bears. */
export interface FailureRule {
  /** With so many or fewer it still succeeds. */
  readonly maxFailedUnits: number;
  /** With more it does all the rest that it can before it fails. */
  readonly keepGoing: boolean;
}

export interface Task {
  readonly kind: TaskKind | undefined;
}

export type ParameterKind =
  | { readonly $case: 'count'; readonly value: number }
  | { readonly $case: 'values'; readonly value: { readonly values: readonly string[] } }
  | {
      readonly $case: 'forEach';
      readonly value: { readonly step: string; readonly pattern: string };
    }
  | { readonly $case: 'fileList'; readonly value: FileListSpace };

/** Each unit takes the next `perUnit` files of a list that is a blob, which nothing here reads. */
export interface FileListSpace {
  readonly list: File | undefined;
  readonly perUnit: number;
  /** Files in the list. */
  readonly count: number;
  /** Length of all of them together. */
  readonly filesBytes: number;
}

export interface ParameterSpace {
  readonly kind: ParameterKind | undefined;
}

export type InputKind =
  | { readonly $case: 'file'; readonly value: File }
  | {
      readonly $case: 'outputs';
      readonly value: { readonly step: string; readonly pattern: string };
    }
  | { readonly $case: 'item'; readonly value: boolean };

export interface Input {
  readonly kind: InputKind | undefined;
}

export interface OutputPattern {
  readonly pattern: string;
  readonly keep: boolean;
  readonly optional: boolean;
}

/** What one unit needs while it runs; zero means none. */
export interface Demand {
  readonly cpuMillis: number;
  readonly ramBytes: number;
  readonly gpus: number;
  /** On each of these GPUs. */
  readonly vramBytes: number;
  readonly scratchBytes: number;
  readonly encoderSessions: number;
  readonly attributes: readonly string[];
  /** True when nothing else may run on its GPUs. */
  readonly wholeGpus?: boolean | undefined;
  /** Of each of the farm's named tickets, so many. */
  readonly tickets: { readonly [name: string]: number };
}

/** When a unit is given up; zero takes the farm's default. */
export interface Limits {
  readonly maxAttempts: number;
  readonly runTimeoutMs: number;
  readonly stallTimeoutMs: number;
  /** Undefined, as zero, for none. */
  readonly startTimeoutMs?: number | undefined;
}

export interface StepSpec {
  readonly name: string;
  readonly dependsOn: readonly string[];
  readonly parameters: ParameterSpace | undefined;
  readonly task: Task | undefined;
  readonly inputs: readonly Input[];
  readonly outputs: readonly OutputPattern[];
  readonly demand: Demand | undefined;
  readonly limits: Limits | undefined;
  /** All units are done with one version of this tool, such as `ffmpeg`. */
  readonly uniform?: string | undefined;
  /** It has units only where one of that step's fails for good, and does that step's work then. */
  readonly insteadOf?: string | undefined;
}
