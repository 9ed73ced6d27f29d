/**
 * What a command is: data for the parser and for --help, and a function from options to a Report.
 * Commands neither parse nor print; main.ts does the one, output/ the other.
 */
import type { HttpTarget } from '../kit/http-request.ts';
import type { FarmClient } from './client.ts';
import type { FarmAddressOptions } from './farm-address.ts';
import type { Output } from './output/output.ts';
import type { Report } from './report.ts';

interface ArgumentSpec {
  /** As commander writes it: `<job>`, `[job]`, `<program...>`. */
  readonly syntax: string;
  readonly help: string;
}

export interface OptionSpec {
  /** As commander writes it: `-o, --output <file>`. */
  readonly flags: string;
  readonly help: string;
  /**
   * Turns the text into the value; throws FurrowError `invalid`. Given the value so far, so that an
   * option may be repeated.
   */
  readonly parse?: (text: string, previous: never) => unknown;
}

/** A report to print and the exit code, both optional: some commands print as they go. */
export interface CommandResult {
  readonly report?: Report;
  readonly exitCode?: number;
}

export interface CommandContext {
  readonly out: Output;
  /** Aborted by Ctrl-C, with an `aborted` FurrowError as its reason. */
  readonly signal: AbortSignal;
  readonly environment: NodeJS.ProcessEnv;
  /** What the line says of the farm. */
  readonly asked: FarmAddressOptions;
  /** The farm, found by --farm and the token; not asked anything yet. */
  readonly farm: () => Promise<FarmClient>;
  /** Where the farm keeps blobs. Asks the farm. */
  readonly blobs: () => Promise<HttpTarget>;
  /** Give up on a farm that stays away for so long, in milliseconds; undefined for never. */
  readonly waitMs: number | undefined;
}

export interface CommandSpec<Options> {
  /** One word. */
  readonly name: string;
  readonly summary: string;
  /** Longer words for --help. */
  readonly description?: string;
  readonly arguments?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  /** Shown by --help, each with what it does. */
  readonly examples?: readonly (readonly [line: string, does: string])[];
  /** Everything after the name belongs to the command, options included. */
  readonly passThrough?: boolean;
  /** Options end at the first argument; what follows is a program with options of its own. */
  readonly optionsFirst?: boolean;
  /** The one of its group that runs when none is named. */
  readonly isDefault?: boolean;
  readonly run: (
    args: readonly string[],
    options: Options,
    context: CommandContext,
  ) => Promise<CommandResult>;
}

export interface Command extends Omit<CommandSpec<never>, 'run'> {
  readonly run: (
    args: readonly string[],
    options: object,
    context: CommandContext,
  ) => Promise<CommandResult>;
}

/** A name with commands of its own, such as `submit`. */
export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly Command[];
}

/** The options are what the flags say; commander's parse hands them over untyped. */
export function defineCommand<Options extends object>(spec: CommandSpec<Options>): Command {
  return { ...spec, run: (args, options, context) => spec.run(args, options as Options, context) };
}
