/**
 * Options whose value may be left out, such as `--sheet [columns x rows]`. The word behind one is its value only when
 * it can be: `--sheet film.mp4` is a sheet as usual, of a film. `--sheet=4x4` says it whatever follows.
 */
import { Command, InvalidArgumentError, type Option, type ParseOptionsResult } from 'commander';

/** A word behind such an option. */
interface Decision {
  readonly flag: string;
  readonly word: string;
  readonly isValue: boolean;
}

/** A parser whose options take such a word only when it can be their value. */
export class CommandParser extends Command {
  #decisions: readonly Decision[] = [];

  /** Of a command of its own. */
  child(name: string, isDefault: boolean): CommandParser {
    const child = new CommandParser(name).copyInheritedSettings(this);
    this.addCommand(child, { isDefault });
    return child;
  }

  override parseOptions(args: string[]): ParseOptionsResult {
    const { args: placed, decisions } = placeOptionalValues(args, this.options);
    this.#decisions = decisions;
    return super.parseOptions([...placed]);
  }

  /** What to say besides of arguments that are missing, or too many: one may have been taken wrongly. */
  hintOf(errorCode: string): string {
    if (errorCode === 'commander.missingArgument') return whyTooFew(this.#decisions);
    return errorCode === 'commander.excessArguments' ? whyTooMany(this.#decisions) : '';
  }
}

interface PlacedValues {
  /** The line's words, with each option that goes without a value where no word follows it. */
  readonly args: readonly string[];
  readonly decisions: readonly Decision[];
}

function placeOptionalValues(args: readonly string[], options: readonly Option[]): PlacedValues {
  const placed: string[] = [];
  const alone: string[] = [];
  const decisions: Decision[] = [];
  let at = 0;
  for (; at < args.length && args[at] !== '--'; at += 1) {
    const word = args[at]!;
    const next = args[at + 1];
    const option = options.find(({ short, long }) => word === short || word === long);
    // It lacks its value, which is said as ever: nothing may come to stand behind it.
    if (option?.required === true && next === undefined) break;
    if (option?.optional !== true) {
      placed.push(word);
      if (option?.required === true) placed.push(args[++at]!);
      continue;
    }
    const isValue = next !== undefined && canBeValue(option, next);
    if (next !== undefined && !isOption(next)) decisions.push({ flag: word, word: next, isValue });
    if (isValue) placed.push(word, args[++at]!);
    else alone.push(word);
  }
  return { args: [...placed, ...alone, ...args.slice(at)], decisions };
}

/** And no negative number, nor the `-` that stands for a file. */
function isOption(word: string): boolean {
  return /^-[^\d.]/.test(word);
}

function canBeValue({ parseArg }: Option, word: string): boolean {
  if (parseArg === undefined) return false;
  try {
    parseArg(word, undefined);
    return true;
  } catch (error) {
    if (error instanceof InvalidArgumentError) return false;
    throw error;
  }
}

function whyTooFew(decisions: readonly Decision[]): string {
  const taken = decisions.find(({ isValue }) => isValue);
  if (taken === undefined) return '';
  const { flag, word } = taken;
  return `: '${word}' is the value of ${flag}, a file of that name is ./${word}`;
}

function whyTooMany(decisions: readonly Decision[]): string {
  const left = decisions.find(({ isValue }) => !isValue);
  return left === undefined ? '' : `: '${left.word}' is no value of ${left.flag}`;
}
