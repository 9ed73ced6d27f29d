/**
 * What a unit's program finds around it: its environment, which is built from nothing, and what its sandbox
 * shows, where there is one.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import type { Assignment } from './assignment.ts';
import { CHECKPOINT_VARIABLE } from './attempt-checkpoint.ts';
import type { ProcessRequest } from './runners/runner.ts';
import { checkAllowed, type ProgramRules } from './sandbox/isolation.ts';
import type { BoxedUnit } from './sandbox/sandbox.ts';

/** In the unit's directory, for programs of the user's choice; never an output. */
export const TEMPORARY_FOLDER = 'furrow-tmp';

/** Of what our own runners start, what can be made to run anything: the rest (ffmpeg, ffprobe) always may. */
const OWNERS_WORD: ReadonlySet<string> = new Set(['blender']);

interface Surroundings {
  readonly environment: Readonly<Record<string, string>>;
  readonly box: BoxedUnit;
}

interface SurroundedUnit {
  readonly assignment: Assignment;
  readonly rules: ProgramRules;
  readonly directory: string;
  readonly inputs: readonly File[];
  /** Its checkpoint directory; undefined when it has none. */
  readonly checkpoint: string | undefined;
  readonly request: Pick<ProcessRequest, 'program' | 'environment' | 'readsOnly'>;
}

/** FurrowError when the owner does not allow it: see `checkAllowed`. */
export async function unitSurroundings(unit: SurroundedUnit): Promise<Surroundings> {
  const { assignment, rules, directory, inputs, request } = unit;
  const { task, demand, gpuIds } = assignment;
  const command = task.kind?.$case === 'command' ? task.kind.value : undefined;
  if (command !== undefined || OWNERS_WORD.has(request.program)) {
    checkAllowed(rules, request.program, request.environment ?? {});
  }
  const temporary = command === undefined ? null : join(directory, TEMPORARY_FOLDER);
  if (temporary !== null) await mkdir(temporary, { recursive: true });
  const own = command === undefined ? {} : { ...rules.passed, ...namesOf(assignment) };
  return {
    environment: {
      ...(temporary !== null && { TMPDIR: temporary }),
      ...own,
      ...request.environment,
      ...reservedOf(unit),
    },
    box: {
      directory,
      temporary,
      // One mount instead of one for each: those of hundreds take longer than many a program.
      readOnly:
        request.readsOnly === true ? [directory] : inputs.map(({ name }) => join(directory, name)),
      network: command?.network === true && rules.network,
      hasGpus: gpuIds.length > 0 || demand.encoderSessions > 0,
    },
  };
}

/** What the unit is, for programs that want to know. */
function namesOf({ jobId, step, unit, attempt }: Assignment): Record<string, string> {
  return {
    FURROW_JOB: jobId,
    FURROW_STEP: step,
    FURROW_UNIT: String(unit),
    FURROW_ATTEMPT: String(attempt),
  };
}

/** A step must not choose these: an empty list hides every GPU from a unit that reserved none. */
function reservedOf({ assignment, checkpoint }: SurroundedUnit): Record<string, string> {
  return {
    CUDA_VISIBLE_DEVICES: assignment.gpuIds.join(','),
    ...(checkpoint !== undefined && { [CHECKPOINT_VARIABLE]: checkpoint }),
  };
}
