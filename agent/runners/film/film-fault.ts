/**
 * How a film runner ends without success. Deep in a chain of ffmpeg calls the only thing to do with a
 * fault is to end the attempt, so it is thrown here and becomes a RunOutcome in one place, `filmRunner`.
 */
import { unsafeName } from '../../../kit/safe-name.ts';
import type { FailureKind, Runner, RunnerContext, RunOutcome, UnitWork } from '../runner.ts';
import { MediaProcess, type MediaRun } from './media-process.ts';

export class FilmFault extends Error {
  override readonly name = 'FilmFault';
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string) {
    super(oneLine(message));
    this.kind = kind;
  }
}

/** Everything a film runner works with. */
export interface FilmAttempt<Value> {
  readonly work: UnitWork;
  readonly task: Value;
  readonly context: RunnerContext;
  readonly media: MediaProcess;
}

type TaskKind = NonNullable<UnitWork['task']['kind']>;
type TaskValue<Kind extends TaskKind['$case']> = Extract<TaskKind, { $case: Kind }>['value'];

/** A runner for one kind of task; `run` returns on success and throws FilmFault otherwise. */
export function filmRunner<Kind extends TaskKind['$case']>(
  kind: Kind,
  run: (attempt: FilmAttempt<TaskValue<Kind>>) => Promise<void>,
): Runner {
  return {
    kind,
    async run(work, context): Promise<RunOutcome> {
      if (work.task.kind?.$case !== kind) throw new Error(`not a task of kind ${kind}`);
      const task = work.task.kind.value as TaskValue<Kind>;
      try {
        refuseUnsafeNames(task);
        await run({ work, task, context, media: new MediaProcess(work, context) });
        return { state: 'succeeded' };
      } catch (error) {
        if (!(error instanceof FilmFault)) throw error;
        return { state: 'failed', kind: error.kind, message: error.message };
      }
    },
  };
}

/** A coordinator checks them; ffmpeg would follow a path wherever it leads. */
function refuseUnsafeNames(task: object): void {
  for (const field of ['source', 'film'] as const) {
    if (!(field in task)) continue;
    const name = String((task as Readonly<Record<typeof field, unknown>>)[field]);
    const why = unsafeName(name);
    if (why === undefined) continue;
    throw new FilmFault('invalid-input', `the task names a file ${JSON.stringify(name)}: ${why}`);
  }
}

/** What a process that did not exit with 0 says about the attempt. `what` names the thing done. */
export function processFault(run: MediaRun, what: string): FilmFault {
  const { result } = run;
  const said = run.complaints.findLast((line) => !line.startsWith('Conversion failed')) ?? '';
  const text = run.complaints.join('\n');
  const end = result.exitCode === null ? `signal ${result.signal}` : `exit ${result.exitCode}`;
  const message = `${what}: ${said === '' ? end : `${said} (${end})`}`;
  if (/Unknown encoder|Unrecognized option|Option not found/.test(text)) {
    return new FilmFault('infrastructure', `${message}; this agent's ffmpeg lacks it`);
  }
  // What ran out is told by what was printed, as for every program.
  return new FilmFault('failed', message);
}

/** One line without control characters: names and tool output may carry them. */
export function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f]+/g, ' ').trim();
}
