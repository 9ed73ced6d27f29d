/**
 * What recipes share: their answer, and the words of which they build steps. A recipe is a pure function
 * from a user's request to steps; it looks at no file, and says in one line what is wrong with a request.
 */
import type { Demand, File, Input, Limits, OutputPattern, StepSpec } from '../domain/task.ts';

export type RecipePlan =
  | {
      readonly state: 'ok';
      readonly steps: readonly StepSpec[];
      /** What the recipe chose where the user left it to the farm, and why: a sentence each. */
      readonly notes?: readonly string[];
    }
  /** `message` is one line that names the field and what it may be. */
  | { readonly state: 'invalid'; readonly message: string };

export const MIB = 1024 ** 2;

/**
 * How many units of this demand the agents that the job may use could run at once, as far as is known now; 0
 * when there are none. Handed to recipes, so that they stay pure.
 */
export type UnitsAtOnce = (demand: Demand) => number;

export function invalid(message: string): RecipePlan & { readonly state: 'invalid' } {
  return { state: 'invalid', message };
}

/** `scratchBytes` is for the unit's files; a little more is asked for. */
export function demand(
  cpuMillis: number,
  ramBytes: number,
  scratchBytes: number,
  attributes: readonly string[],
): Demand {
  return {
    cpuMillis,
    ramBytes,
    gpus: 0,
    vramBytes: 0,
    scratchBytes: scratchBytes + 64 * MIB,
    encoderSessions: 0,
    attributes,
    tickets: {},
  };
}

/**
 * Longer than the farm's default: moving an index to a large film's front, or the first frame of a
 * slow encoder with a long look-ahead, takes minutes without a sign.
 */
export function stallsAfter(stallTimeoutMs: number): Limits {
  return { maxAttempts: 0, runTimeoutMs: 0, stallTimeoutMs };
}

export function output(pattern: string): OutputPattern {
  return { pattern, keep: false, optional: false };
}

/** What the user asked for. */
export function keptOutput(pattern: string): OutputPattern {
  return { pattern, keep: true, optional: false };
}

export function fileInput(file: File): Input {
  return { kind: { $case: 'file', value: file } };
}

export function outputsOf(step: string, pattern: string): Input {
  return { kind: { $case: 'outputs', value: { step, pattern } } };
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function isWhole(value: number, from: number, to: number): boolean {
  return Number.isInteger(value) && value >= from && value <= to;
}

export function quote(text: string): string {
  return JSON.stringify(text);
}
