/** What a runner sees of the models that agents hold: it borrows one, gives it work, and gives it back. */
import type { UnitModel } from '../../proto/gen/furrow/v1/model.ts';
import type { FailureKind } from '../runners/runner.ts';
import type { ModelWork, TensorFacts, WorkerAnswer, WorkPeak } from './model-work.ts';

export interface ModelRequest {
  readonly model: UnitModel;
  /** As its task says: empty for a GPU's where the unit has one, else the processor. */
  readonly provider: string;
  /** Bytes of the unit's memory that its other processes need: the model gets the rest. */
  readonly reservedBytes: number;
}

export interface LentModel {
  readonly inputs: readonly TensorFacts[];
  readonly outputs: readonly TensorFacts[];
  /**
   * Most pixels that should go through the model at once, by what it was seen to take for each;
   * `otherBytes`: what the work holds besides, such as whole frames.
   */
  roomPixels(otherBytes: number): number;
  /** Its pipes lie in the unit's directory, as PIPE_IN and PIPE_OUT, as long as it is lent. */
  work(work: ModelWork, onTold: (told: WorkerAnswer) => void): Promise<WorkEnd>;
  /** Opens and closes both pipes, so that nobody waits for an end that will not come. */
  wakeWaiting(): void;
  /**
   * Gives it back. Kept for the next unit of the same model only when all went well; else its process is
   * ended, and with it whatever the failure left in it. Resolves when that is so.
   */
  giveBack(isWell: boolean): Promise<void>;
}

export type WorkEnd =
  | { readonly state: 'done'; readonly peak: WorkPeak | null }
  | {
      readonly state: 'failed';
      readonly kind: FailureKind;
      /** One line for the user. */
      readonly message: string;
      /** Memory ran out, and less at once may do. The process is of no more use. */
      readonly mayShrink: boolean;
      /** Only the consequence of how what feeds or drains a pipe ended. */
      readonly echoOf?: 'feed' | 'drain' | undefined;
    };
