/** What is submitted in a simulated year: clips by the dozen, films, renders, and batches that fill the farm. */
import { NO_DEMAND } from '../../../coordinator/domain/demand.ts';
import type { Demand, StepSpec } from '../../../coordinator/domain/task.ts';
import type { Prng } from '../prng.ts';
import type { JobTruth, StepTruth } from './unit-truth.ts';

const GIB = 2 ** 30;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

interface Shape {
  readonly weight: number;
  readonly steps: (prng: Prng) => readonly StepTruth[];
}

/** What every day brings. */
const SHAPES: readonly Shape[] = [
  { weight: 40, steps: () => [clip()] },
  { weight: 18, steps: film },
  { weight: 14, steps: (prng) => [upscale(prng, prng.whole(6, 40))] },
  { weight: 8, steps: (prng) => [gpuRender(prng, prng.whole(20, 80))] },
  { weight: 8, steps: (prng) => [cpuRender(prng, prng.whole(10, 60))] },
  { weight: 6, steps: (prng) => [training(prng)] },
  { weight: 3, steps: (prng) => [twoGpus(prng)] },
  { weight: 3, steps: (prng) => [simulation(prng)] },
];

/** One program renders scenes of every size. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'gpu-render': 'blender',
  'cpu-render': 'blender',
  training: 'train',
};

const STALL_MS = 30 * MINUTE_MS;
const LIMITS = { maxAttempts: 0, runTimeoutMs: 0, stallTimeoutMs: STALL_MS };

export function someJob(prng: Prng, clientId: string): JobTruth {
  const total = SHAPES.reduce((sum, { weight }) => sum + weight, 0);
  let roll = prng.between(0, total);
  const shape = SHAPES.find(({ weight }) => (roll -= weight) < 0) ?? SHAPES[0]!;
  return { clientId, seed: prng.whole(0, 2 ** 31), steps: shape.steps(prng) };
}

/** So much for the larger GPUs at once that they are short for a day. */
export function someBatch(prng: Prng, clientId: string): JobTruth {
  const isUpscale = prng.chance(0.5);
  const count = prng.whole(150, 300);
  const step = isUpscale ? upscale(prng, count) : gpuRender(prng, count);
  return { clientId, seed: prng.whole(0, 2 ** 31), steps: [step] };
}

function clip(): StepTruth {
  return truth('clip', { cpuMillis: 2_000, ramBytes: GIB }, [0.5, 5], {});
}

/** split → encode each piece → concat. */
function film(prng: Prng): readonly StepTruth[] {
  const onGpu = prng.chance(0.4);
  const encode: Partial<Demand> = onGpu
    ? { cpuMillis: 1_000, ramBytes: 2 * GIB, gpus: 1, vramBytes: GIB, encoderSessions: 1 }
    : { cpuMillis: 4_000, ramBytes: 3 * GIB };
  const pieces = prng.whole(8, 40);
  return [
    truth('split', { cpuMillis: 2_000, ramBytes: GIB }, [2, 8], {
      name: 'split',
      outputs: pieces,
      patterns: ['piece-*'],
    }),
    truth(onGpu ? 'encode-gpu' : 'encode', encode, [5, 30], {
      name: 'encode',
      outputs: 1,
      patterns: ['part'],
      parameters: {
        kind: { $case: 'forEach', value: { step: 'split', pattern: 'piece-*' } },
      },
    }),
    truth('concat', { cpuMillis: 1_000, ramBytes: GIB }, [3, 10], {
      name: 'concat',
      dependsOn: ['encode'],
    }),
  ];
}

function upscale(prng: Prng, count: number): StepTruth {
  const vramBytes = prng.pick([4, 6, 8, 10]) * GIB;
  const demand = { cpuMillis: 2_000, ramBytes: 6 * GIB, gpus: 1, vramBytes };
  return truth('upscale', demand, [20, 120], { parameters: countOf(count) });
}

function gpuRender(prng: Prng, count: number): StepTruth {
  const vramBytes = prng.pick([6, 10, 14, 20]) * GIB;
  const ramBytes = prng.pick([8, 12, 16]) * GIB;
  const demand = { cpuMillis: 2_000, ramBytes, gpus: 1, vramBytes };
  return truth('gpu-render', demand, [10, 90], { parameters: countOf(count) });
}

function cpuRender(prng: Prng, count: number): StepTruth {
  const demand = {
    cpuMillis: prng.pick([4_000, 8_000]),
    ramBytes: prng.pick([6, 10, 20]) * GIB,
  };
  return truth('cpu-render', demand, [20, 120], { parameters: countOf(count) });
}

/** Longer than most machines are left alone. */
function training(prng: Prng): StepTruth {
  const vramBytes = prng.pick([10, 18, 22]) * GIB;
  const demand = { cpuMillis: 4_000, ramBytes: 12 * GIB, gpus: 1, vramBytes };
  return truth('training', demand, [180, 480], {});
}

function twoGpus(prng: Prng): StepTruth {
  const demand = { cpuMillis: 4_000, ramBytes: 24 * GIB, gpus: 2, vramBytes: 16 * GIB };
  return truth('two-gpus', demand, [60, 240], { parameters: countOf(prng.whole(1, 4)) });
}

/** For the servers alone. */
function simulation(prng: Prng): StepTruth {
  const demand = { cpuMillis: 16_000, ramBytes: 96 * GIB };
  return truth('simulation', demand, [60, 300], { parameters: countOf(prng.whole(1, 3)) });
}

interface More extends Partial<StepSpec> {
  readonly patterns?: readonly string[];
}

function truth(
  kind: string,
  demand: Partial<Demand>,
  minutes: readonly [number, number],
  { patterns = [], outputs = 0, ...over }: Omit<More, 'outputs'> & { readonly outputs?: number },
): StepTruth {
  const spec: StepSpec = {
    name: 'work',
    dependsOn: [],
    parameters: undefined,
    task: {
      kind: { $case: 'command', value: { argv: [PROGRAMS[kind] ?? kind], environment: {} } },
    },
    inputs: [],
    demand: { ...NO_DEMAND, ...demand },
    limits: LIMITS,
    ...over,
    outputs: patterns.map((pattern) => ({ pattern, keep: false, optional: false })),
  };
  const [least, most] = minutes;
  return {
    spec,
    kind,
    leastRunMs: least * MINUTE_MS,
    mostRunMs: most * MINUTE_MS,
    outputs,
  };
}

function countOf(value: number): StepSpec['parameters'] {
  return { kind: { $case: 'count', value } };
}

/** How many jobs a day brings, and when: more in the week, most in working hours and the evening. */
export function submitTimesMs(prng: Prng, isWeekend: boolean): number[] {
  const jobs = isWeekend ? prng.whole(3, 8) : prng.whole(8, 16);
  return Array.from({ length: jobs }, () => {
    const hour = prng.chance(0.75) ? prng.between(9, 19) : prng.between(0, 24);
    return hour * HOUR_MS;
  });
}
