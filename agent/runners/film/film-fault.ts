/**
 * How a film runner ends without success. Deep in a chain of ffmpeg calls the only thing to do with a
 * fault is to end the attempt, so it is thrown here and becomes a RunOutcome in one place, `filmRunner`.
 */
import type { FailureKind } from '../runner.ts';
import type { MediaRun } from './media-process.ts';

export class FilmFault extends Error {
  override readonly name = 'FilmFault';
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string) {
    super(oneLine(message));
    this.kind = kind;
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
