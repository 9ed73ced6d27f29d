import { expect, test } from 'vitest';
import { capsOf, offerOf } from '../../../../agent/owner/offer.ts';
import { Capacity, Gpu } from '../../../../proto/gen/furrow/v1/agent_service.ts';
import { OPEN_TERMS } from '../../../../proto/agent-policy.ts';

const GIB = 2 ** 30;
const gpu = (foreignGib: number): Gpu =>
  Gpu.fromPartial({
    id: 'GPU-1',
    name: 'RTX 3060',
    vramTotalBytes: 12 * GIB,
    vramForeignBytes: foreignGib * GIB,
    vramFreeBytes: (12 - foreignGib) * GIB,
  });
const CAPACITY: Capacity = {
  ...Capacity.fromPartial({}),
  cpuMillis: 8000,
  ramTotalBytes: 32 * GIB,
  ramAvailableBytes: 30 * GIB,
  scratchFreeBytes: 100 * GIB,
  gpus: [gpu(0)],
  attributes: [],
  toolchain: {},
  encoderSessions: 2,
  maxUnits: 0,
  otherGpus: [],
  scratchTotalBytes: 200 * GIB,
  faults: [],
};
const NO_CAPS = capsOf([OPEN_TERMS, OPEN_TERMS]);

test('without caps all there is is offered', () => {
  expect(offerOf(CAPACITY, NO_CAPS, undefined)).toEqual(CAPACITY);
});

test('of two policies each cap is the tighter one', () => {
  const own = { ...OPEN_TERMS, maxCpuMillis: 4000, maxVramPercent: 50, maxBytesPerSecond: 1e6 };
  const farm = { ...OPEN_TERMS, maxCpuMillis: 6000, maxUnits: 3, maxBytesPerSecond: 2e6 };
  expect(capsOf([own, farm])).toEqual({
    cpuMillis: 4000,
    units: 3,
    vramPercent: 50,
    bytesPerSecond: 1e6,
  });
  const offer = offerOf({ ...CAPACITY, maxUnits: 2 }, capsOf([own, farm]), 'closed');
  expect(offer).toMatchObject({ cpuMillis: 4000, maxUnits: 2, closedReason: 'closed' });
});

test('a cap above what is there gives no more than that', () => {
  const farm = { ...OPEN_TERMS, maxCpuMillis: 64_000, maxUnits: 100 };
  expect(offerOf(CAPACITY, capsOf([farm]), undefined).cpuMillis).toBe(8000);
});

// [percent, GiB that others use, GiB that units may have]
test.each([
  [50, 0, 6],
  [50, 4, 6],
  [50, 8, 4],
  [50, 12, 0],
  [0, 0, 0],
  [100, 4, 8],
])('%i%% of a GPU of 12 GiB of which others use %i leaves %i', (percent, foreign, left) => {
  const caps = capsOf([{ ...OPEN_TERMS, maxVramPercent: percent }]);
  const [offered] = offerOf({ ...CAPACITY, gpus: [gpu(foreign)] }, caps, undefined).gpus;
  expect((offered!.vramTotalBytes - offered!.vramForeignBytes) / GIB).toBe(left);
  expect(offered!.vramFreeBytes).toBeLessThanOrEqual((12 - foreign) * GIB);
});
