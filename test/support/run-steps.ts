/**
 * Runs the steps of a recipe as a farm would, one unit after the other and without a farm: each unit in a
 * directory of its own that holds its inputs and nothing else, its outputs taken by pattern. Recipe and runners
 * are the real ones, so that a recipe that forgets an input fails here.
 */
import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { runnerRegistry } from '../../agent/runners/registry.ts';
import type { RunOutcome } from '../../agent/runners/runner.ts';
import { matchesPattern } from '../../coordinator/domain/names.ts';
import type { File, StepSpec } from '../../coordinator/domain/task.ts';
import type { RecipePlan } from '../../coordinator/recipes/recipe.ts';
import type { Task } from '../../proto/gen/furrow/v1/task.ts';
import { unitWork, type FilmChain } from './film-chain.ts';

export interface StepsRun {
  /** Of the last unit that ran. */
  readonly outcome: RunOutcome;
  /** Its step. */
  readonly step: string;
  /** Path of what a step left under this name. */
  path(step: string, name: string): string;
  /** Names of what it left. */
  outputs(step: string): readonly string[];
  /** Lines of all units. */
  readonly log: readonly string[];
}

/** A file of this machine as a request names it. */
export function fileAt(path: string, name = basename(path)): File {
  return { name, sha256: path, sizeBytes: 1_000_000 };
}

/** Ends at the first unit that fails. A request's files are those of `fileAt`. */
export async function runSteps(chain: FilmChain, plan: RecipePlan): Promise<StepsRun> {
  if (plan.state === 'invalid') throw new Error(plan.message);
  const store = await mkdtemp(join(chain.root, 'steps-'));
  const made = new Map<string, string[]>();
  const log: string[] = [];
  let outcome: RunOutcome = { state: 'succeeded' };
  let last = '';
  for (const step of inOrder(plan.steps)) {
    last = step.name;
    made.set(step.name, []);
    await mkdir(join(store, step.name));
    for (const item of itemsOf(step, made)) {
      outcome = await runUnit(chain, store, step, item, made, log);
      if (outcome.state !== 'succeeded') break;
    }
    if (outcome.state !== 'succeeded') break;
  }
  return {
    outcome,
    step: last,
    path: (step, name) => join(store, step, name),
    outputs: (step) => made.get(step) ?? [],
    log,
  };
}

function inOrder(steps: readonly StepSpec[]): StepSpec[] {
  const ordered: StepSpec[] = [];
  const left = [...steps];
  while (left.length > 0) {
    const next = left.findIndex(({ dependsOn }) =>
      dependsOn.every((name) => ordered.some((step) => step.name === name)),
    );
    if (next < 0) throw new Error('the steps wait for one another');
    ordered.push(...left.splice(next, 1));
  }
  return ordered;
}

function itemsOf({ parameters }: StepSpec, made: ReadonlyMap<string, string[]>): string[] {
  const kind = parameters?.kind;
  if (kind?.$case !== 'forEach') return [''];
  const { step, pattern } = kind.value;
  return (made.get(step) ?? []).filter((name) => matchesPattern(name, pattern)).toSorted();
}

async function runUnit(
  chain: FilmChain,
  store: string,
  step: StepSpec,
  item: string,
  made: ReadonlyMap<string, string[]>,
  log: string[],
): Promise<RunOutcome> {
  const directory = await mkdtemp(join(chain.root, 'unit-'));
  const put = async (from: string, name: string): Promise<void> => {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await copyFile(from, join(directory, name));
  };
  for (const { kind } of step.inputs) {
    if (kind?.$case === 'file') await put(kind.value.sha256, kind.value.name);
    if (kind?.$case === 'item') await put(join(store, itemStep(step), item), item);
    if (kind?.$case !== 'outputs') continue;
    const { step: from, pattern } = kind.value;
    if (!step.dependsOn.includes(from)) throw new Error(`${step.name} does not wait for ${from}`);
    for (const name of made.get(from) ?? []) {
      if (matchesPattern(name, pattern)) await put(join(store, from, name), name);
    }
  }
  const kind = step.task?.kind as NonNullable<Task['kind']>;
  const runner = runnerRegistry.get(kind.$case)!;
  const outcome = await runner.run(unitWork(directory, kind, step.name, item), chain.context(log));
  if (outcome.state === 'succeeded') {
    for (const { pattern, optional } of step.outputs) {
      const names = (await readdir(directory, { recursive: true })).filter((name) =>
        matchesPattern(name, pattern),
      );
      if (names.length === 0 && !optional) throw new Error(`${step.name} left no ${pattern}`);
      for (const name of names) {
        await mkdir(dirname(join(store, step.name, name)), { recursive: true });
        await copyFile(join(directory, name), join(store, step.name, name));
        made.get(step.name)!.push(name);
      }
    }
  }
  await rm(directory, { recursive: true });
  return outcome;
}

function itemStep({ parameters }: StepSpec): string {
  return parameters?.kind?.$case === 'forEach' ? parameters.kind.value.step : '';
}
