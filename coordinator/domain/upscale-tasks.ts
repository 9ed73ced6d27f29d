/** Tasks of the recipe upscale, with the shape of furrow.v1's messages, as `task.ts` says. */
import type { ChunkEncoding } from './interpolate-tasks.ts';
import type { ModelUse } from './model.ts';

export type UpscaleTaskKind =
  | {
      readonly $case: 'upscale';
      readonly value: {
        readonly use: ModelUse | undefined;
        readonly video: ChunkEncoding | undefined;
      };
    }
  | {
      readonly $case: 'upscaleImages';
      readonly value: {
        readonly use: ModelUse | undefined;
        /** png, jpg or webp; empty keeps each picture's own. */
        readonly format: string;
        /** Of jpg and webp; 0 for the default. */
        readonly quality: number;
      };
    };
