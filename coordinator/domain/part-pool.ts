/**
 * Equal parts of jobs, kept once. A service submits thousands of jobs that differ in a name or two: what
 * they have in common (demands, limits, parts of their tasks, words of their commands) is shared, and
 * lists are held without room to grow. Nothing can tell shared parts from others: they never change.
 */
import { type Size, sizeOf } from './size.ts';
import { FIRST_FAILURE_ENDS } from './tolerance.ts';
import type { Demand, FailureRule, Input, Limits, OutputPattern, StepSpec, Task } from './task.ts';

/** Parts that differ from job to job are forgotten with the others when so many are known. */
const MOST_PARTS = 8_192;
/** Longer texts are seldom the same twice. */
const LONGEST_TEXT = 64;

/** Farm-wide defaults for what a step leaves open. */
const DEFAULT_LIMITS: Limits = { maxAttempts: 3, runTimeoutMs: 0, stallTimeoutMs: 120_000 };

export class PartPool {
  readonly #texts = new Map<string, string>();
  readonly #parts = new Map<string, unknown>();

  text(text: string): string {
    if (text.length > LONGEST_TEXT) return text;
    return kept(this.#texts, text, () => text);
  }

  spec(spec: StepSpec): StepSpec {
    return {
      name: this.text(spec.name),
      dependsOn: this.#equal('dependsOn', spec.dependsOn),
      parameters: this.#equal('parameters', spec.parameters),
      task: this.#task(spec.task),
      inputs: this.#inputs(spec.inputs),
      outputs: this.#equal<readonly OutputPattern[]>('outputs', spec.outputs),
      demand: this.#equal('demand', spec.demand),
      limits: this.#equal('limits', spec.limits),
      ...(spec.uniform === undefined ? {} : { uniform: this.text(spec.uniform) }),
      ...(spec.insteadOf === undefined ? {} : { insteadOf: this.text(spec.insteadOf) }),
    };
  }

  /** A step of a job that has very many: what names its files is its own, and looking it up takes long. */
  specOfMany(spec: StepSpec): StepSpec {
    return {
      name: spec.name,
      dependsOn: spec.dependsOn,
      parameters: spec.parameters,
      task: spec.task,
      inputs: spec.inputs,
      outputs: spec.outputs,
      demand: this.#equal('demand', spec.demand),
      limits: this.#equal('limits', spec.limits),
      ...(spec.uniform === undefined ? {} : { uniform: this.text(spec.uniform) }),
    };
  }

  /** With the farm's defaults. */
  limits(limits: Limits | undefined): Limits {
    return kept(this.#parts, `filled limits ${JSON.stringify(limits)}`, () =>
      withDefaults(limits),
    ) as Limits;
  }

  failures(rule: FailureRule | undefined): FailureRule {
    return this.#equal('failures', rule ?? FIRST_FAILURE_ENDS);
  }

  size(demand: Demand): Size {
    return kept(this.#parts, `size ${JSON.stringify(demand)}`, () => sizeOf(demand)) as Size;
  }

  numbers(numbers: readonly number[]): readonly number[] {
    return this.#equal('numbers', numbers);
  }

  #task(task: Task | undefined): Task | undefined {
    if (task?.kind?.$case !== 'command') return this.#equal('task', task);
    const { argv, environment, checkpoint, network } = task.kind.value;
    const value = {
      argv: argv.map((word) => this.text(word)),
      environment: this.#equal('environment', environment),
      checkpoint,
      network,
    };
    return { kind: { $case: 'command', value } };
  }

  #inputs(inputs: readonly Input[]): readonly Input[] {
    if (inputs.some((input) => input.kind?.$case === 'file')) return inputs.slice();
    return this.#equal('inputs', inputs);
  }

  /** The part that is known and equal, or this one, which is from now on. */
  #equal<T>(kind: string, part: T): T {
    if (part === undefined) return part;
    return kept(this.#parts, `${kind} ${JSON.stringify(part)}`, () => part) as T;
  }
}

function kept<T>(known: Map<string, T>, key: string, make: () => T): T {
  const found = known.get(key);
  if (found !== undefined) return found;
  if (known.size >= MOST_PARTS) known.clear();
  const part = make();
  known.set(key, part);
  return part;
}

function withDefaults(limits: Limits | undefined): Limits {
  return {
    maxAttempts: limits?.maxAttempts || DEFAULT_LIMITS.maxAttempts,
    runTimeoutMs: limits?.runTimeoutMs || DEFAULT_LIMITS.runTimeoutMs,
    stallTimeoutMs: limits?.stallTimeoutMs || DEFAULT_LIMITS.stallTimeoutMs,
    startTimeoutMs: limits?.startTimeoutMs || undefined,
  };
}
