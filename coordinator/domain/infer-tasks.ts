/** Tasks that look at pictures with a model, with the shape of furrow.v1's messages, as `task.ts` says. */
import type { UnitModel } from './model.ts';

export interface Looking {
  readonly model: UnitModel | undefined;
  /** As onnxruntime calls it; empty for a GPU's where the unit has one, else cpu. */
  readonly provider: string;
  /** 0 to 1. */
  readonly threshold: number;
  /** Pictures at once; 0 for as many as the model may. */
  readonly batch: number;
  /** Findings in one picture. */
  readonly most: number;
}

export type InferTaskKind =
  | { readonly $case: 'inferPictures'; readonly value: { readonly looking: Looking | undefined } }
  | {
      readonly $case: 'inferFrames';
      readonly value: { readonly looking: Looking | undefined; readonly everyMs: number };
    }
  | {
      readonly $case: 'joinResults' | 'proveResults';
      readonly value: {
        readonly list: string;
        readonly everyMs: number;
        /** `jsonl`, `parquet` or `both`; absent for `jsonl`. */
        readonly format?: string | undefined;
      };
    };

/** Files in the unit's directory that such a task names. */
export function namesInInferTask(task: InferTaskKind): readonly string[] {
  switch (task.$case) {
    case 'inferPictures':
    case 'inferFrames': {
      const file = task.value.looking?.model?.file;
      return file === undefined ? [] : [file];
    }
    case 'joinResults':
    case 'proveResults':
      return task.value.list === '' ? [] : [task.value.list];
  }
}
