/**
 * What a running unit has left to go on from. The newest one counts, whatever agent the next attempt runs on; it
 * is kept until the unit is accepted or given up.
 */
import { faultOfFile } from './check-steps.ts';
import type { SaveCheckpoint, Verdict } from './commands.ts';
import { decided, type Decision, type Now, refused } from './decision.ts';
import { isGrantedTo, isTokenCurrent } from './fence.ts';
import type { Farm, Job } from './farm.ts';
import { utf8Length } from './names.ts';
import type { File, Task } from './task.ts';
import { epochOf } from './token.ts';

const MAX_FILES = 256;
/** All names together: they stand in the journal each time. */
const MAX_NAME_BYTES = 32 * 1024;

export function decideCheckpoint(farm: Farm, command: SaveCheckpoint, now: Now): Decision {
  const { token, job: number, unit, files } = command;
  // A token from a later reign than ours: it is we who are stale.
  if (epochOf(token) > farm.epoch) return answered({ kind: 'none' });
  const step = farm.jobs
    .get(number)
    ?.steps.find((candidate) => candidate.spec.name === command.step);
  if (step?.units === undefined || !isTokenCurrent(step.units, unit, token)) {
    return answered({ kind: 'stale' });
  }
  if (!isGrantedTo(farm, step.units, unit, token, command.agentId))
    return answered({ kind: 'stale' });
  if (!step.units.isOpen(unit) || !leavesCheckpoints(step.spec.task)) {
    return answered({ kind: 'stale' });
  }
  // A second copy is behind the first, whose checkpoint counts while it runs: not now, perhaps later.
  if (step.units.tokenOf(unit) !== token) return answered({ kind: 'none' });
  const fault = faultOfFiles(files);
  if (fault !== undefined) return refused('invalid', 'CHECKPOINT_BAD', fault);
  const { missingBlobs: missing } = command;
  if (missing.length > 0) return answered({ kind: 'blob-missing', missing });
  const saved = { token, job: number, step: step.index, unit, files, atMs: now.wallMs };
  const answer = { kind: 'verdicts', verdicts: [{ kind: 'accepted' }] } as const;
  return decided([{ type: 'CheckpointSaved', ...saved }], answer);
}

/** SHA-256 of every file that the job's open units would go on from. */
export function checkpointBlobs(job: Job): string[] {
  return job.steps.flatMap((step) =>
    [...(step.units?.checkpoints.values() ?? [])].flatMap((files) =>
      files.map(({ sha256 }) => sha256),
    ),
  );
}

function leavesCheckpoints(task: Task | undefined): boolean {
  return task?.kind?.$case === 'command' && task.kind.value.checkpoint === true;
}

function faultOfFiles(files: readonly File[]): string | undefined {
  const nameBytes = files.reduce((sum, { name }) => sum + utf8Length(name), 0);
  if (files.length > MAX_FILES || nameBytes > MAX_NAME_BYTES) {
    return `a checkpoint of ${files.length} files is more than one unit may leave (${MAX_FILES}, with short names): pack them into one`;
  }
  return files.map(faultOfFile).find((found) => found !== undefined);
}

function answered(verdict: Verdict): Decision {
  return decided([], { kind: 'verdicts', verdicts: [verdict] });
}
