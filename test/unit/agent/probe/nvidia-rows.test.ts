/** Texts in the forms that nvidia-smi prints, of several drivers, machines and misfortunes. */
import { expect, test } from 'vitest';
import {
  GPU_FIELDS,
  readApps,
  readGpuLine,
  type GpuField,
  type GpuReading,
} from '../../../../agent/probe/nvidia-rows.ts';

const MIB = 1024 * 1024;
const UUID = 'GPU-8f6b1c1e-4b7a-2f6d-9c54-0d8f0f2f4c11';

function readingOf(line: string, fields: readonly GpuField[] = GPU_FIELDS): GpuReading {
  const said = readGpuLine(line, fields);
  if (said.kind !== 'reading') throw new Error(`${said.kind}: ${line}`);
  return said.reading;
}

test('a card of a data centre', () => {
  const line = `0, 00000000:18:00.0, ${UUID}, NVIDIA A100-SXM4-80GB, 535.129.03, 81920, 4106, 77049, 764, 93, 0, 58, 312.44, Disabled, None`;
  expect(readingOf(line)).toEqual({
    index: 0,
    busId: '0000:18:00.0',
    uuid: UUID,
    name: 'NVIDIA A100-SXM4-80GB',
    driver: '535.129.03',
    vramTotalBytes: 81920 * MIB,
    vramFreeBytes: 77049 * MIB,
    utilisationPercent: 93,
    encoderSessions: 0,
    temperatureCelsius: 58,
    powerWatts: 312.44,
    isMig: false,
    fault: null,
  });
});

test('a laptop: what it does not know is unknown, and no fault', () => {
  const line = `0, 00000000:01:00.0, ${UUID}, NVIDIA GeForce RTX 3050 Laptop GPU, 535.171.04, 4096, 5, 3898, 192, [N/A], 0, 47, [Unknown Error], [N/A], [N/A]`;
  expect(readingOf(line)).toMatchObject({
    vramFreeBytes: 3898 * MIB,
    utilisationPercent: null,
    powerWatts: null,
    fault: null,
  });
});

test('an older driver: it knows neither what is reserved nor what to do, and `used` holds all', () => {
  const fields = GPU_FIELDS.filter(
    (field) => field !== 'memory.reserved' && field !== 'gpu_recovery_action',
  );
  const line = `0, 00000000:65:00.0, ${UUID}, Tesla T4, 460.91.03, 15109, 409, [Not Supported], 3, 0, 35, 10.11, [Not Supported]`;
  expect(readingOf(line, fields)).toMatchObject({ vramFreeBytes: 14700 * MIB, fault: null });
});

test('free memory that is not told is what is neither used nor reserved', () => {
  const line = `0, 00000000:65:00.0, ${UUID}, Tesla T4, 550.54.14, 15360, 300, [N/A], 400, 0, 0, 35, 10.11, [N/A], None`;
  expect(readingOf(line).vramFreeBytes).toBe(14660 * MIB);
});

test('a card that is cut into parts', () => {
  const line = `1, 00000000:4B:00.0, ${UUID}, NVIDIA A100-PCIE-40GB, 525.85.12, 40960, 20, 40340, 598, [N/A], 0, 31, 33.12, Enabled, [N/A]`;
  expect(readingOf(line)).toMatchObject({ isMig: true, utilisationPercent: null });
});

test('memory that is the machine’s own is not known', () => {
  const line = `0, 0000000F:01:00.0, ${UUID}, NVIDIA GB10, 580.95.05, [N/A], [N/A], [N/A], [N/A], 0, 0, 44, 4.91, [N/A], None`;
  expect(readingOf(line)).toMatchObject({
    vramTotalBytes: null,
    vramFreeBytes: null,
    busId: '000f:01:00.0',
    fault: null,
  });
});

test.each([
  [
    'GPU is lost',
    `0, 00000000:01:00.0, ${UUID}, NVIDIA GeForce RTX 3090, 470.82.00, [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [N/A], [N/A]`,
  ],
  [
    'GPU requires reset',
    `0, 00000000:01:00.0, ${UUID}, NVIDIA RTX PRO 6000, 580.82.07, 97887, 58222, 39000, 665, [GPU requires reset], 0, [GPU requires reset], [N/A], [N/A], [N/A]`,
  ],
  [
    'nvidia-smi answers Unknown Error for its memory.used',
    `0, 00000000:01:00.0, ${UUID}, NVIDIA GeForce RTX 2080 Ti, 520.61.05, 11264, [Unknown Error], [Unknown Error], [N/A], [Unknown Error], 0, [Unknown Error], [Unknown Error], [N/A], [N/A]`,
  ],
  [
    'nvidia-smi answers ERR! for its memory.total',
    `0, 00000000:01:00.0, ${UUID}, NVIDIA TITAN V, 515.65.01, ERR!, ERR!, ERR!, ERR!, ERR!, ERR!, ERR!, ERR!, [N/A], [N/A]`,
  ],
  [
    'its driver asks for this: Drain and Reset',
    `0, 00000000:52:00.0, ${UUID}, NVIDIA H100 80GB HBM3, 580.82.07, 81559, 0, 81037, 522, 0, 0, 30, 71.02, Disabled, Drain and Reset`,
  ],
])('an ill one says: %s', (fault, line) => {
  expect(readingOf(line)).toMatchObject({ fault, uuid: UUID });
});

test('one that is too ill for its own id is known by its place', () => {
  const cells = Array.from({ length: 13 }, () => '[Unknown Error]').join(', ');
  expect(readingOf(`2, 00000000:0A:00.0, ${cells}`)).toMatchObject({
    index: 2,
    busId: '0000:0a:00.0',
    uuid: null,
    name: 'NVIDIA GPU',
    fault: 'nvidia-smi answers Unknown Error for its uuid',
  });
});

test.each([
  [
    'Unable to determine the device handle for GPU 0000:0B:00.0: GPU is lost.  Reboot the system to recover this GPU',
    '0000:0b:00.0',
    'GPU is lost.  Reboot the system to recover this GPU',
  ],
  [
    'Unable to determine the device handle for GPU0000:20:00.0: Unknown Error',
    '0000:20:00.0',
    'Unknown Error',
  ],
  [
    'Unable to determine the device handle for GPU2: 0000:89:00.0: Unknown Error',
    '0000:89:00.0',
    'Unknown Error',
  ],
])('%s', (line, busId, reason) => {
  expect(readGpuLine(line, GPU_FIELDS)).toEqual({ kind: 'lost', busId, reason });
});

test('a field that the driver does not know', () => {
  const line = 'Field "memory.reserved" is not a valid field to query.';
  expect(readGpuLine(line, GPU_FIELDS)).toEqual({
    kind: 'unknown-field',
    field: 'memory.reserved',
  });
});

test.each([
  'No devices were found',
  'Failed to initialize NVML: Driver/library version mismatch',
  "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.",
])('%s', (line) => {
  const said = readGpuLine(line, GPU_FIELDS);
  expect(said).toEqual({ kind: 'complaint', text: line.replace(/\.$/, '') });
});

test('processes and their memory, where the driver tells it', () => {
  const csv = `4242, ${UUID}, 4000\n999, ${UUID}, [N/A]\nNo running processes found\n\n`;
  expect(readApps(csv)).toEqual([
    { pid: 4242, gpuUuid: UUID, vramBytes: 4000 * MIB },
    { pid: 999, gpuUuid: UUID, vramBytes: null },
  ]);
});
