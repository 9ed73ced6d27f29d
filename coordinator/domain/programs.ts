/**
 * Which programs an agent's owner lets units start there, and whether those have the network. What a step of
 * commands, or of Blender's, needs of that follows from its task, as attributes of its demand: `command:blender`,
 * `network`.
 * Placement sees no more of it than whether an agent has them.
 */
import { lacksAttributes } from './refusal.ts';
import type { Demand, Task, TaskKind } from './task.ts';

export interface ProgramRules {
  /** As steps name them; `*` for any. */
  readonly allowed: readonly string[];
  /** Whether units that ask for the network get it. */
  readonly network: boolean;
}

const COMMAND = 'command:';
const NETWORK = 'network';

/** The demand, with what the task's program needs. The same one where that is nothing. */
export function withProgram(demand: Demand, task: Task | undefined): Demand {
  const needs = needsOf(task?.kind);
  const missing = needs.filter((attribute) => !demand.attributes.includes(attribute));
  if (missing.length === 0) return demand;
  return { ...demand, attributes: [...demand.attributes, ...missing] };
}

/** Whoever submits may name such a task himself, and leave out what its recipe would demand. */
function needsOf(task: TaskKind | undefined): readonly string[] {
  switch (task?.$case) {
    case 'command': {
      const { argv, network } = task.value;
      return [`${COMMAND}${argv[0] ?? ''}`, ...(network === true ? [NETWORK] : [])];
    }
    case 'scanScene':
    case 'renderFrames':
      return [`${COMMAND}blender`];
    default:
      return [];
  }
}

/** Undefined for an attribute that is none of a program's. */
export function allowedBy(rules: ProgramRules | undefined, attribute: string): boolean | undefined {
  if (attribute === NETWORK) return rules?.network ?? true;
  if (!attribute.startsWith(COMMAND)) return undefined;
  if (rules === undefined || rules.allowed.includes('*')) return true;
  return rules.allowed.includes(attribute.slice(COMMAND.length));
}

/** Why an agent of these rules does not take a unit that wants what it lacks. */
export function lackingWords(lacking: readonly string[], rules: ProgramRules | undefined): string {
  const program = lacking.find((attribute) => attribute.startsWith(COMMAND));
  if (program !== undefined) return refusalOf(program.slice(COMMAND.length), rules?.allowed ?? []);
  if (lacking[0] !== NETWORK) return lacksAttributes(lacking);
  return 'lets no program use the network: its owner did not allow it (--allow-network)';
}

function refusalOf(program: string, allowed: readonly string[]): string {
  if (allowed.length === 0) {
    return 'runs no commands: its owner allows none (--allow-commands)';
  }
  return `does not run ${program}: its owner allows only ${allowed.join(', ')} (--allow-commands)`;
}

/** What a person can do when no agent has these; undefined where the rules are not the cause. */
export function remedyFor(lacking: readonly string[]): string | undefined {
  const program = lacking.find((attribute) => attribute.startsWith(COMMAND));
  if (program !== undefined) {
    const name = program.slice(COMMAND.length);
    return `runs ${name}, which no agent's owner allows: start one with --allow-commands ${name}`;
  }
  if (!lacking.includes(NETWORK)) return undefined;
  return "uses the network, which no agent's owner allows: start one with --allow-network";
}

/** What an agent would have to have, for people. */
export function wantedWords(attribute: string): string {
  if (attribute === NETWORK) return 'leave to use the network (--allow-network)';
  if (!attribute.startsWith(COMMAND)) return attribute;
  return `leave to run ${attribute.slice(COMMAND.length)} (--allow-commands)`;
}
