import { expect, test } from 'vitest';
import { type Capacity, NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { faultOfDemand } from '../../../../coordinator/domain/misfit.ts';
import type { Demand } from '../../../../coordinator/domain/task.ts';
import { CAPACITY, FarmDriver, step } from '../../../support/farm-driver.ts';

const GIB = 2 ** 30;

function faultOn(boxes: Record<string, Partial<Capacity>>, demand: Partial<Demand>): unknown {
  const driver = new FarmDriver();
  for (const [name, capacity] of Object.entries(boxes)) driver.enrol(name, capacity);
  const steps = [step('work', { demand: { ...NO_DEMAND, ...demand } })];
  return faultOfDemand(steps, driver.liveness.agents, (agentId) => agentId);
}

test('what fits some agent is no misfit, and neither is anything while no agent is known', () => {
  expect(faultOn({ a: {} }, { cpuMillis: CAPACITY.cpuMillis })).toBeUndefined();
  expect(faultOn({}, { cpuMillis: 1e9 })).toBeUndefined();
});

test('what others use now does not count: it may go away', () => {
  const gpus = CAPACITY.gpus.map((gpu) => ({ ...gpu, vramForeignBytes: gpu.vramTotalBytes }));
  expect(faultOn({ a: { gpus } }, { gpus: 1, vramBytes: GIB })).toBeUndefined();
});

test('the most that fits is one agent’s: nobody has the CPUs of one and the memory of the other', () => {
  const boxes = {
    fast: { cpuMillis: 16_000, ramTotalBytes: 8 * GIB, ramAvailableBytes: 8 * GIB },
    wide: { cpuMillis: 4_000, ramTotalBytes: 64 * GIB, ramAvailableBytes: 64 * GIB },
  };
  expect(faultOn(boxes, { cpuMillis: 16_000, ramBytes: 32 * GIB })).toBe(
    'step work needs 16 CPUs, 32.0 GiB RAM; the most that fits is 4 CPUs, 32.0 GiB RAM, on wide: ask for less, or add a larger agent',
  );
});

test('memory that is kept free is not offered, and what is named fits', () => {
  const box = { ramTotalBytes: 12 * GIB, ramAvailableBytes: 12 * GIB };
  const fault = faultOn({ box }, { ramBytes: 13 * GIB });
  expect(fault).toContain('the most that fits is 11.7 GiB RAM');
  expect(faultOn({ box }, { ramBytes: Math.floor(11.7 * GIB) })).toBeUndefined();
});

test('GPUs: how many, and how much on each', () => {
  const gpu = (id: string, gib: number) => ({
    id,
    name: id,
    vramTotalBytes: gib * GIB,
    vramForeignBytes: 0,
  });
  const boxes = { none: { gpus: [] }, two: { gpus: [gpu('a', 24), gpu('b', 8)] } };
  expect(faultOn(boxes, { gpus: 1, vramBytes: 32 * GIB })).toContain(
    '1 GPU, 23.7 GiB VRAM on each',
  );
  expect(faultOn(boxes, { gpus: 2, vramBytes: 16 * GIB })).toContain(
    '2 GPUs, 7.7 GiB VRAM on each',
  );
  expect(faultOn({ none: { gpus: [] } }, { gpus: 1 })).toContain('the most that fits is 0 GPUs');
});

test('what no agent has installed is named; amounts would not help', () => {
  expect(faultOn({ a: {} }, { attributes: ['tool:command', 'tool:blender'] })).toBe(
    'step work needs tool:blender, which no agent has: install it on one, and start that agent again',
  );
  const boxes = { a: { attributes: ['x'] }, b: { attributes: ['y'] } };
  expect(faultOn(boxes, { attributes: ['x', 'y'] })).toMatch(
    /needs x, y, which no agent has together: the nearest lacks [xy]$/,
  );
});
