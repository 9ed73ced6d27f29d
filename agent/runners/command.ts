/**
 * Runs a program of the user's choice. Three pure functions and one spawn.
 *
 * A program that leaves checkpoints finds in FURROW_CHECKPOINT where.
 *
 * A line `furrow-progress: 0.42 note` on standard output is progress and kept out of the log; any
 * other line shows that the unit is alive. So does the processor time that it uses, unless its step sets a stall
 * limit: many programs compute for an hour without a word, and who names a limit knows that theirs does not.
 */
import type { CommandTask } from '../../proto/gen/furrow/v1/task.ts';
import type { ProcessRequest, ProcessResult, Runner, RunOutcome, UnitWork } from './runner.ts';

export interface ProgressLine {
  /** 0 to 1. */
  readonly fraction: number;
  readonly note: string;
}

/** `{index}`, `{value}` and `{item}` in arguments and values of variables are replaced. */
export function commandRequest(
  task: CommandTask,
  work: Pick<UnitWork, 'unit' | 'value' | 'item' | 'directory'>,
): ProcessRequest {
  const replaceIn = (text: string): string =>
    text.replace(/\{(index|value|item)\}/g, (_whole, name: 'index' | 'value' | 'item') =>
      name === 'index' ? String(work.unit) : work[name],
    );
  const [program = '', ...args] = task.argv.map(replaceIn);
  return {
    program,
    args,
    cwd: work.directory,
    environment: Object.fromEntries(
      Object.entries(task.environment).map(([name, value]) => [name, replaceIn(value)]),
    ),
  };
}

/** Null for a line that is not progress. */
export function parseProgressLine(line: string): ProgressLine | null {
  const match = /^furrow-progress:\s*(\d*\.?\d+)\s*(.*)$/.exec(line);
  if (match === null) return null;
  return { fraction: Math.min(1, Number(match[1])), note: (match[2] ?? '').trim() };
}

/** Zero is success; anything else names the program, how it ended, and its last word. */
export function commandOutcome(
  program: string,
  result: Pick<ProcessResult, 'exitCode' | 'signal' | 'stderrTail'>,
): RunOutcome {
  if (result.exitCode === 0) return { state: 'succeeded' };
  const how =
    result.signal === null ? `exited with ${result.exitCode}` : `was ended by ${result.signal}`;
  const lastWord = result.stderrTail.findLast((line) => line.trim() !== '')?.trim();
  const message = `${program} ${how}${lastWord === undefined ? '' : `: ${lastWord}`}`;
  return { state: 'failed', kind: 'failed', message };
}

export const commandRunner: Runner = {
  kind: 'command',
  run: async (work, context) => {
    if (work.task.kind?.$case !== 'command') throw new Error('not a command');
    const request = commandRequest(work.task.kind.value, work);
    let signs = 0;
    let progress: ProgressLine = { fraction: 0, note: '' };
    const alive = (): void => {
      signs += 1;
      context.progress(progress.fraction, signs, progress.note);
    };
    const result = await context.run({
      ...request,
      onStdoutLine: (line) => {
        const parsed = parseProgressLine(line);
        if (parsed === null) context.log(line);
        else progress = parsed;
        alive();
      },
      onStderrLine: alive,
      ...(work.limits.stallTimeoutMs === 0 && { onBusy: alive }),
    });
    return commandOutcome(request.program, result);
  },
};
