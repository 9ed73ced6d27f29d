/**
 * The command line, by commander: turns the table of commands into a parser with --help. Global
 * options may stand before or after the command.
 */
import { type Command as Parser, CommanderError, InvalidArgumentError, Option } from 'commander';
import { FurrowError } from '../kit/furrow-error.ts';
import { VERSION } from '../kit/version.ts';
import type { Command, CommandGroup, OptionSpec } from './command.ts';
import { COMMANDS } from './commands/table.ts';
import { EXIT } from './exit-codes.ts';
import type { FarmAddressOptions } from './farm-address.ts';
import { CommandParser } from './optional-values.ts';
import { numberIn } from './options.ts';

export interface GlobalOptions extends FarmAddressOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly waitSeconds?: number;
}

const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--farm <farm>',
    help: "the farm to talk to: HOST:PORT, of several coordinators with commas, or a farm's URL (default: this machine)",
  },
  {
    flags: '--context <name>',
    help: 'one of the farms that furrow context list shows (default: the current one)',
  },
  { flags: '--token-file <file>', help: "file with the farm's token" },
  { flags: '--ca <file>', help: 'certificate authority to believe, PEM' },
  { flags: '--plaintext', help: 'no TLS: for a farm on this machine that was started so' },
  { flags: '--json', help: 'print JSON; one document a line while watching' },
  { flags: '-q, --quiet', help: 'print results and errors only' },
  {
    flags: '--wait-seconds <n>',
    help: 'give up when the farm stays away for so long (default: never)',
    parse: numberIn(0, 31_536_000),
  },
];

export type Run = (
  command: Command,
  args: readonly string[],
  options: object,
  globals: GlobalOptions,
) => Promise<number>;

/** Where help goes. */
export interface HelpStreams {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

/** Runs the command that the line names; answers the exit code. FurrowError: invalid USAGE. */
export async function parseLine(
  argv: readonly string[],
  run: Run,
  streams: HelpStreams,
): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = newParser('furrow', streams)
    .description('A render farm for the machines people already own.')
    .version(VERSION, '-V, --version', 'print the version')
    .enablePositionalOptions();
  throwUsage(program);
  addGlobalOptions(program);
  const start = async (command: Command, parser: CommandParser): Promise<void> => {
    const globals = globalsOf(parser);
    exitCode = await run(command, parser.args, parser.opts(), globals);
  };
  for (const entry of COMMANDS) {
    if ('commands' in entry) addGroup(program, entry, start);
    else addCommand(program, entry, start);
  }
  program.addHelpText('after', HELP_FOOTER);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    // Help was printed: because it was asked for, or because nothing was.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    throw error;
  }
}

const HELP_FOOTER = `
First steps:
  furrow up                                   start a farm on this machine
  furrow submit clip.mov -o clip.mp4          encode a film on it
  furrow agents                               see who works for it

Exit codes: 0 done, 1 internal error, 2 bad usage or input, 3 farm unreachable, 4 job failed,
5 job cancelled, 6 not found, 7 refused, 130 interrupted.`;

type Start = (command: Command, parser: CommandParser) => Promise<void>;

/** Commands made by it inherit how it prints. */
function newParser(name: string, { stdout, stderr }: HelpStreams): CommandParser {
  return new CommandParser(name)
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      // Errors are printed like all others, by whoever catches them.
      outputError: () => undefined,
    })
    .configureHelp({ subcommandTerm: termOf })
    .helpOption('-h, --help', 'show this')
    .helpCommand(false)
    .showSuggestionAfterError();
}

/** `watch <job>`: without commander's `[options]`, which all of them have. */
function termOf(parser: CommandParser): string {
  const args = parser.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return [parser.name(), ...args].join(' ');
}

function throwUsage(parser: CommandParser): void {
  parser.exitOverride((error) => {
    if (error.exitCode === 0 || error.code === 'commander.help') throw error;
    const message = error.message.replace(/^error: /, '').replace(/\.$/, '');
    const hint = parser.hintOf(error.code);
    throw new FurrowError('invalid', 'USAGE', `${message}${hint}; see ${pathOf(parser)} --help`);
  });
}

const pathOf = (parser: Parser): string =>
  parser.parent ? `${pathOf(parser.parent)} ${parser.name()}` : parser.name();

function addGroup(program: CommandParser, group: CommandGroup, start: Start): void {
  const parser = program.child(group.name, false).summary(group.summary).description(group.summary);
  throwUsage(parser);
  parser.enablePositionalOptions();
  for (const command of group.commands) addCommand(parser, command, start);
}

function addCommand(parent: CommandParser, command: Command, start: Start): void {
  const parser = parent
    .child(command.name, command.isDefault === true)
    .summary(command.summary)
    .description(command.description ?? command.summary);
  throwUsage(parser);
  for (const { syntax, help } of command.arguments ?? []) parser.argument(syntax, help);
  for (const option of command.options ?? []) parser.addOption(optionOf(option));
  if (command.passThrough) parser.helpOption(false).allowUnknownOption();
  else addGlobalOptions(parser);
  if (command.passThrough || command.optionsFirst) parser.passThroughOptions();
  const examples = (command.examples ?? []).map(([line, does]) => `  ${line}\n      ${does}`);
  if (examples.length > 0) parser.addHelpText('after', `\nExamples:\n${examples.join('\n')}`);
  parser.action(() => start(command, parser));
}

function addGlobalOptions(parser: CommandParser): void {
  for (const option of GLOBAL_OPTIONS) {
    parser.addOption(optionOf(option).helpGroup('Global options:'));
  }
}

function optionOf({ flags, help, parse }: OptionSpec): Option {
  const option = new Option(flags, help);
  if (parse) option.argParser((text, previous) => parsed(parse, text, previous));
  return option;
}

function parsed(parse: NonNullable<OptionSpec['parse']>, text: string, previous: unknown): unknown {
  try {
    return parse(text, previous as never);
  } catch (error) {
    if (error instanceof FurrowError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

/** What was said before the command, overridden by what was said after it. */
function globalsOf(parser: Parser): GlobalOptions {
  const outer = parser.parent ? globalsOf(parser.parent) : {};
  return { ...outer, ...parser.opts<GlobalOptions>() };
}
