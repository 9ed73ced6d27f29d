/** Lists of files, which are blobs: what stands in one follows from its hash. */
import { inputBlobs } from '../../coordinator/domain/assignment.ts';
import { fileListOf } from '../../coordinator/domain/file-lists.ts';
import type { FileListSpace, StepSpec } from '../../coordinator/domain/task.ts';
import { SHARED_BLOBS, sharedBlobOf } from './sim-units.ts';

const MARK = 'f'.repeat(8);
const PER_UNIT = 3;
const FILE_BYTES = 1_000;
/** Numbers from here on are those of files that nothing else is. */
const OWN_BLOBS = 1_000;

/** A list for so many units. Other jobs, and outputs, share its files. */
export function listFor(units: number): FileListSpace {
  const sha256 = MARK + units.toString(16).padStart(56, '0');
  const count = units * PER_UNIT;
  const list = { name: 'files', sha256, sizeBytes: 1_000 };
  return { list, perUnit: PER_UNIT, count, filesBytes: count * FILE_BYTES };
}

/** SHA-256 of the files that a list names: some that only such lists name, and one that anything may. */
function filesIn(list: string): readonly string[] {
  const units = Number.parseInt(list.slice(MARK.length), 16);
  const own = [0, 1].map((offset) => sharedBlobOf(OWN_BLOBS + units + offset));
  return [...own, sharedBlobOf((units % SHARED_BLOBS) + 1)];
}

/** All that must be stored for a job of these steps: what lists name, too. */
export function neededBlobs(steps: readonly StepSpec[]): string[] {
  const listed = steps.flatMap((step) => {
    const list = fileListOf(step)?.list;
    return list === undefined ? [] : filesIn(list.sha256);
  });
  return [...new Set([...inputBlobs(steps), ...listed])];
}

/** As the coordinator reads them. */
export const SIM_LISTS = {
  async *hashesIn(
    lists: readonly { readonly sha256: string }[],
  ): AsyncGenerator<readonly string[]> {
    for (const { sha256 } of lists) yield filesIn(sha256);
  },
};
