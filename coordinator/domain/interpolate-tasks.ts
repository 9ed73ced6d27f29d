/** Tasks of the recipes interpolate and check-model, with the shape of furrow.v1's messages, as `task.ts` says. */
import type { ModelUse } from './model.ts';

/** How a chunk is encoded whose size is not for its user to choose. */
export interface ChunkEncoding {
  readonly encoder: string;
  readonly crf: number;
  readonly preset: string;
}

export type InterpolateTaskKind =
  | {
      readonly $case: 'interpolate';
      readonly value: {
        readonly use: ModelUse | undefined;
        readonly video: ChunkEncoding | undefined;
        readonly smoothDuplicates?: boolean | undefined;
      };
    }
  | {
      readonly $case: 'checkModel';
      readonly value: {
        readonly use: ModelUse | undefined;
        readonly width: number;
        readonly height: number;
      };
    };
