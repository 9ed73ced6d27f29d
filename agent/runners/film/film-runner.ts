/** What the film runners share: what they work with, and how a FilmFault becomes a RunOutcome. */
import { unsafeName } from '../../../kit/safe-name.ts';
import type { Runner, RunnerContext, RunOutcome, UnitWork } from '../runner.ts';
import { noteFault, startOfBranch } from './film-branch.ts';
import { FilmFault } from './film-fault.ts';
import { MediaProcess } from './media-process.ts';

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
  traits: Pick<Runner, 'usesModel'> = {},
): Runner {
  return {
    kind,
    ...traits,
    async run(work, context): Promise<RunOutcome> {
      if (work.task.kind?.$case !== kind) throw new Error(`not a task of kind ${kind}`);
      const task = work.task.kind.value as TaskValue<Kind>;
      const media = new MediaProcess(work, context);
      try {
        refuseUnsafeNames(task);
        const start = await startOfBranch(work, task);
        if (start.state === 'left-out') {
          context.log(start.why);
          context.progress(1, 1, 'left out');
          return { state: 'succeeded' };
        }
        await run({ work, task: start.task, context, media });
        return { state: 'succeeded' };
      } catch (error) {
        if (!(error instanceof FilmFault)) throw error;
        if (await noteFault(work, task, error)) {
          context.log(`noted: ${error.message}`);
          return { state: 'succeeded' };
        }
        return { state: 'failed', kind: error.kind, message: error.message };
      } finally {
        await media.close();
      }
    },
  };
}

/** A coordinator checks them; ffmpeg would follow a path wherever it leads. */
function refuseUnsafeNames(task: object): void {
  for (const field of ['source', 'film', 'sound', 'report', 'file'] as const) {
    if (!(field in task)) continue;
    const value = (task as Readonly<Record<typeof field, unknown>>)[field];
    const name = typeof value === 'string' ? value : '';
    // None was asked for, or a film is made of many; who needs a name finds no such file.
    if (name === '') continue;
    const why = unsafeName(name);
    if (why === undefined) continue;
    throw new FilmFault('invalid-input', `the task names a file ${JSON.stringify(name)}: ${why}`);
  }
}
