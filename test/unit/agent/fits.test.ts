import { expect, test } from 'vitest';
import { NO_DEMAND } from '../../../agent/assignment.ts';
import { whyNotFitting } from '../../../agent/fits.ts';
import { Capacity, Gpu } from '../../../proto/gen/furrow/v1/agent_service.ts';
import type { Demand } from '../../../proto/gen/furrow/v1/step.ts';

const GIB = 2 ** 30;
const capacity: Capacity = {
  ...Capacity.fromPartial({}),
  cpuMillis: 4_000,
  ramAvailableBytes: 8 * GIB,
  scratchFreeBytes: 10 * GIB,
  attributes: ['tool:ffmpeg'],
  maxUnits: 3,
  gpus: [
    Gpu.fromPartial({
      id: 'gpu-a',
      name: 'A',
      vramTotalBytes: 8 * GIB,
      vramForeignBytes: 3 * GIB,
    }),
    Gpu.fromPartial({ id: 'gpu-ill', name: 'B', unusableReason: 'GPU is lost' }),
  ],
};

function why(demand: Partial<Demand>, beside: Partial<Demand>[] = [], gpus: string[] = []) {
  return whyNotFitting(
    { ...NO_DEMAND, ...demand },
    beside.map((other) => ({ ...NO_DEMAND, ...other })),
    gpus,
    capacity,
  );
}

test.each<[string | null, Partial<Demand>, Partial<Demand>[], string[]]>([
  [null, { cpuMillis: 4_000, ramBytes: 8 * GIB, attributes: ['tool:ffmpeg'] }, [], []],
  [
    'CPU: 5000 thousandths needed, 4000 thousandths there',
    { cpuMillis: 1_000 },
    [{ cpuMillis: 4_000 }],
    [],
  ],
  ['RAM: 9216 MiB needed, 8192 MiB there', { ramBytes: 4 * GIB }, [{ ramBytes: 5 * GIB }], []],
  ['disk: 11264 MiB needed, 10240 MiB there', { scratchBytes: 11 * GIB }, [], []],
  ['encoder sessions: 1 needed, 0 there', { encoderSessions: 1 }, [], []],
  ['it has no tool:blender', { attributes: ['tool:blender'] }, [], []],
  ['it runs 3 units, its limit', {}, [{}, {}, {}], []],
  [null, { gpus: 1, vramBytes: 5 * GIB }, [], ['gpu-a']],
  ['VRAM on A: 6144 MiB needed, 5120 MiB there', { gpus: 1, vramBytes: 6 * GIB }, [], ['gpu-a']],
  ['B cannot be used: GPU is lost', { gpus: 1 }, [], ['gpu-ill']],
  ['1 GPUs are needed, 0 given', { gpus: 1 }, [], []],
  ['it has no GPU gpu-b', { gpus: 1 }, [], ['gpu-b']],
])('%s', (expected, demand, beside, gpus) => {
  expect(why(demand, beside, gpus)).toBe(expected);
});

test.each<[string | null, readonly string[], readonly string[], boolean]>([
  [null, ['command:echo'], ['*'], false],
  [null, ['command:echo'], ['cat', 'echo'], false],
  ['its owner does not allow echo', ['command:echo'], ['cat'], false],
  ['its owner does not allow echo', ['command:echo', 'network'], [], true],
  [null, ['command:echo', 'network'], ['*'], true],
  ['its owner allows no network', ['command:echo', 'network'], ['*'], false],
])('%s: %j where %j are allowed', (reason, attributes, allowedCommands, allowsNetwork) => {
  const isolation = {
    level: 'none',
    detail: '',
    allowedCommands: [...allowedCommands],
    allowsNetwork,
  };
  const demand = { ...NO_DEMAND, attributes: [...attributes] };
  expect(whyNotFitting(demand, [], [], { ...capacity, isolation })).toBe(reason);
});
