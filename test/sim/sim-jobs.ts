/** What clients submit: films with fan-outs, chains of steps, and steps of many units. */
import { NO_DEMAND } from '../../coordinator/domain/demand.ts';
import type { Demand, FileListSpace, Input, StepSpec } from '../../coordinator/domain/task.ts';
import type { Prng } from './prng.ts';
import { listFor } from './sim-lists.ts';
import { sharedBlob } from './sim-units.ts';

const GIB = 2 ** 30;

export function someSteps(prng: Prng): StepSpec[] {
  const shape = prng.next();
  if (shape < 0.4) return film(prng);
  return shape < 0.7 ? chain(prng) : fan(prng);
}

/** split → encode each piece → concat, with a second fan-out behind it now and then. */
function film(prng: Prng): StepSpec[] {
  const demand = someDemand(prng);
  return [
    step('split', prng, { inputs: [sourceFile(prng)], outputs: ['piece-*'] }),
    step('encode', prng, {
      demand,
      forEach: { step: 'split', pattern: 'piece-*' },
      inputs: [{ kind: { $case: 'item', value: true } }],
      outputs: prng.chance(0.3) ? ['part-*'] : ['part'],
    }),
    step('concat', prng, {
      inputs: [{ kind: { $case: 'outputs', value: { step: 'encode', pattern: 'part*' } } }],
      outputs: ['film'],
    }),
    ...(prng.chance(0.3)
      ? [step('thumbs', prng, { forEach: { step: 'encode', pattern: 'part*' } })]
      : []),
  ];
}

function chain(prng: Prng): StepSpec[] {
  return [
    step('first', prng, {
      inputs: [sourceFile(prng)],
      values: ['red', 'green', 'blue'],
      outputs: ['out'],
    }),
    step('second', prng, { dependsOn: ['first'], count: prng.whole(1, 4) }),
  ];
}

/** Some of them over a list of files. */
function fan(prng: Prng): StepSpec[] {
  const count = prng.whole(1, 40);
  const listed = count % 3 === 0 ? { fileList: listFor(count) } : { count };
  return [step('work', prng, { ...listed, demand: someDemand(prng) })];
}

function sourceFile(prng: Prng): Input {
  const file = { name: 'source', sha256: sharedBlob(prng), sizeBytes: 1_000_000 };
  return { kind: { $case: 'file', value: file } };
}

interface StepShape {
  readonly dependsOn?: readonly string[];
  readonly count?: number;
  readonly fileList?: FileListSpace;
  readonly values?: readonly string[];
  readonly forEach?: { readonly step: string; readonly pattern: string };
  readonly inputs?: readonly Input[];
  readonly outputs?: readonly string[];
  readonly demand?: Demand;
}

function step(name: string, prng: Prng, shape: StepShape): StepSpec {
  return {
    name,
    dependsOn: shape.dependsOn ?? [],
    parameters: parametersOf(shape),
    task: { kind: { $case: 'noop', value: {} } },
    inputs: shape.inputs ?? [],
    outputs: (shape.outputs ?? []).map((pattern) => {
      return { pattern, keep: pattern === 'film', optional: false };
    }),
    demand: shape.demand ?? { ...NO_DEMAND, cpuMillis: 500 },
    limits: { maxAttempts: prng.whole(1, 6), runTimeoutMs: 0, stallTimeoutMs: 30_000 },
  };
}

function parametersOf(shape: StepShape): StepSpec['parameters'] {
  if (shape.count !== undefined) return { kind: { $case: 'count', value: shape.count } };
  if (shape.fileList !== undefined) return { kind: { $case: 'fileList', value: shape.fileList } };
  if (shape.values !== undefined) {
    return { kind: { $case: 'values', value: { values: shape.values } } };
  }
  if (shape.forEach !== undefined) return { kind: { $case: 'forEach', value: shape.forEach } };
  return undefined;
}

/** Fits at least one agent of every simulated farm. */
function someDemand(prng: Prng): Demand {
  const cpuMillis = prng.pick([250, 500, 1_000, 2_000]);
  const ramBytes = prng.pick([0, GIB / 2, GIB, 2 * GIB]);
  if (prng.chance(0.7)) return { ...NO_DEMAND, cpuMillis, ramBytes };
  const vramBytes = prng.pick([GIB, 2 * GIB, 6 * GIB]);
  return { ...NO_DEMAND, cpuMillis, ramBytes, gpus: 1, vramBytes };
}
