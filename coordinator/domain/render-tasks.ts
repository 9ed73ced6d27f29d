/** Tasks by which Blender files are rendered, with the shape of furrow.v1's messages, as `task.ts` says. */
import type { VideoEncoding } from './film-tasks.ts';

export interface RenderSettings {
  /** Empty for the scene that the file was saved with. */
  readonly scene: string;
  /** Empty for the file's. */
  readonly engine: string;
  /** For each pixel; 0 for the file's. */
  readonly samples: number;
  /** Pixels; 0 for the file's. */
  readonly width: number;
  /** Pixels; 0 for the file's. */
  readonly height: number;
  readonly format: string;
  /** Cycles renders on the unit's GPUs. */
  readonly gpu: boolean;
}

export interface FrameRange {
  readonly first: number;
  /** No frame is beyond it. */
  readonly last: number;
  /** 0 is 1. */
  readonly step: number;
}

export type RenderTaskKind =
  | {
      readonly $case: 'scanScene';
      readonly value: {
        readonly file: string;
        readonly settings: RenderSettings | undefined;
        readonly frames: readonly FrameRange[];
        readonly framesPerUnit: number;
      };
    }
  | {
      readonly $case: 'renderFrames';
      readonly value: { readonly file: string; readonly settings: RenderSettings | undefined };
    }
  | {
      readonly $case: 'filmFrames';
      readonly value: {
        readonly film: string;
        readonly video: VideoEncoding | undefined;
        readonly frameRate: string;
      };
    }
  | { readonly $case: 'proveRender'; readonly value: { readonly film: string } };
