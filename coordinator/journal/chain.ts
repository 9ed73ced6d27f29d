/** The chain of commits: each follows the one before, or the journal is damaged. */
import { damaged, type StoredCommit } from './commit-codec.ts';
import { reignIdOf } from './fact-codec.ts';

/** The journal's end, as far as it was read or written. */
export interface Tail {
  /** Undefined for an empty journal. */
  readonly farmId: string | undefined;
  readonly epoch: number;
  /** Of the reign that wrote the last commit; empty for an empty journal. */
  readonly reignId: string;
  readonly number: number;
  readonly sequence: number;
  /** Hash of the last commit, lower-case hexadecimal; empty for an empty journal. */
  readonly hash: string;
}

export const EMPTY_TAIL: Tail = {
  farmId: undefined,
  epoch: 0,
  reignId: '',
  number: 0,
  sequence: 0,
  hash: '',
};

/** The tail with the commit behind it. FurrowError: data-loss JOURNAL_DAMAGED. */
export function follow(tail: Tail, commit: StoredCommit): Tail {
  const { sequence } = commit;
  if (sequence !== tail.sequence + 1) {
    throw damaged(tail.sequence + 1, `the next message is at sequence ${sequence}`);
  }
  if (commit.number !== tail.number + 1) {
    throw damaged(sequence, `commit ${commit.number} follows commit ${tail.number}`);
  }
  if (commit.previousHash !== tail.hash) {
    throw damaged(sequence, 'it does not follow from the commit before it');
  }
  if (tail.farmId !== undefined && commit.farmId !== tail.farmId) {
    throw damaged(sequence, `a commit of farm ${commit.farmId} among those of ${tail.farmId}`);
  }
  if (commit.epoch < tail.epoch) {
    throw damaged(sequence, `epoch ${commit.epoch} follows epoch ${tail.epoch}`);
  }
  const { farmId, epoch, number, hash } = commit;
  const reignId = reignIdOf(commit.writerId);
  return { farmId, epoch, reignId, number, sequence, hash };
}
