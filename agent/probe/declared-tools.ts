/** Tools that the agent's owner declared: each with a command that proves it, by its exit code. */
import { askTool, firstLine, type ToolEnvironment } from './run-tool.ts';
import { trialOf, type Trial } from './trial.ts';

/** Name to argv, such as blender to `['blender', '--version']`. */
export type DeclaredTools = Readonly<Record<string, readonly string[]>>;

export interface ProvenTool {
  readonly trial: Trial;
  /** The first line it printed; empty when there is none. */
  readonly version: string;
}

/** Blender reads its add-ons before it says its version. */
const TIMEOUT_MS = 60_000;
const LONGEST_VERSION = 100;

export async function probeDeclaredTools(
  tools: DeclaredTools,
  environment: ToolEnvironment = {},
  timeoutMs: number = TIMEOUT_MS,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, ProvenTool>> {
  const proven = Object.entries(tools).map(async ([name, [program = '', ...args]]) => {
    const answer = await askTool(program, args, timeoutMs, environment, signal);
    const printed = answer.state === 'answered' ? firstLine(answer.stdout) : undefined;
    const version = printed?.slice(0, LONGEST_VERSION) ?? '';
    return [name, { trial: trialOf(answer), version }] as const;
  });
  return new Map(await Promise.all(proven));
}
