/** Every runner there is, by the task it knows. */
import { commandRunner } from './command.ts';
import { noopRunner } from './noop.ts';
import type { Runner } from './runner.ts';

export type RunnerRegistry = ReadonlyMap<Runner['kind'], Runner>;

const RUNNERS: readonly Runner[] = [commandRunner, noopRunner];

export const runnerRegistry: RunnerRegistry = new Map(
  RUNNERS.map((runner) => [runner.kind, runner]),
);
