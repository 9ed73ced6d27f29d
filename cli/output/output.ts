/**
 * Where a command's answer goes. Results are on standard output, everything said on the way on
 * standard error, so that `$(furrow …)` holds results only.
 */
import type { FurrowError } from '../../kit/furrow-error.ts';
import type { Report } from '../report.ts';
import { terminalOf, type Terminal } from './live-region.ts';
import { styleFor, type Style } from './style.ts';
import { printable } from './text-width.ts';

export interface OutputOptions {
  readonly json: boolean;
  readonly quiet: boolean;
}

export interface Output extends OutputOptions {
  /** Style and terminal of standard output. */
  readonly style: Style;
  readonly terminal: Terminal | undefined;
  /** The same of standard error. */
  readonly noteStyle: Style;
  readonly noteTerminal: Terminal | undefined;
  /** A result. One JSON document with --json. */
  report(report: Report): Promise<void>;
  /** One line of a stream of JSON documents. */
  jsonLine(document: unknown): void;
  /** A line of a result. */
  line(text: string): void;
  /** Something said on the way; nothing with --quiet or --json. */
  note(text: string): void;
  /** One line about what went wrong, with `furrow:` before it. */
  complain(message: string): void;
  error(error: FurrowError): void;
}

export function createOutput(
  options: OutputOptions,
  stdout: NodeJS.WriteStream = process.stdout,
  stderr: NodeJS.WriteStream = process.stderr,
  environment: NodeJS.ProcessEnv = process.env,
): Output {
  const { json, quiet } = options;
  const style = styleFor(stdout, environment);
  const noteStyle = styleFor(stderr, environment);
  const terminal = terminalOf(stdout, environment);
  const write = (text: string): void => void stdout.write(`${text}\n`);
  const complain = (message: string): void =>
    void stderr.write(`${noteStyle.red('furrow:')} ${printable(message)}\n`);
  return {
    json,
    quiet,
    style,
    terminal,
    noteStyle,
    noteTerminal: terminalOf(stderr, environment),
    async report(report) {
      if (json) {
        const { jsonOf } = await import('./json.ts');
        write(JSON.stringify(jsonOf(report), null, stdout.isTTY ? 2 : undefined));
      } else {
        const { linesOf } = await import('./text.ts');
        for (const line of linesOf(report, style, terminal?.columns, Date.now())) write(line);
      }
    },
    jsonLine: (document) => write(JSON.stringify(document)),
    line: write,
    note(text) {
      if (!quiet && !json) stderr.write(`${text}\n`);
    },
    error(error) {
      if (json) {
        const { code, reason, message, retryable } = error;
        write(JSON.stringify({ error: { code, reason, message, retryable } }));
      }
      complain(error.message);
    },
    complain,
  };
}
