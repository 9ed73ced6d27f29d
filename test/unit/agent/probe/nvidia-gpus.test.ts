import { expect, test } from 'vitest';
import { parseGpus } from '../../../../agent/probe/nvidia-gpus.ts';

const MIB = 1024 * 1024;
const ID = 'GPU-8f6b1c1e-4b7a-2f6d-9c54-0d8f0f2f4c11';

test('what our processes use is not foreign', () => {
  const gpus = `${ID}, NVIDIA GeForce RTX 3090, 24576, 6200, 18000, 376\n`;
  const apps = `4242, ${ID}, 4000\n999, ${ID}, 2000\n`;
  expect(parseGpus(gpus, apps, (pid) => pid === 4242)).toEqual([
    {
      id: ID,
      name: 'NVIDIA GeForce RTX 3090',
      vramTotalBytes: 24576 * MIB,
      vramFreeBytes: 18000 * MIB,
      vramForeignBytes: (24576 - 18000 - 4000) * MIB,
    },
  ]);
});

test('memory by process that the driver does not tell counts as foreign', () => {
  const gpus = `${ID}, NVIDIA RTX A2000, 6138, 1000, 5000, [N/A]\n`;
  const [gpu] = parseGpus(gpus, `4242, ${ID}, [N/A]\n`, () => true);
  expect(gpu?.vramForeignBytes).toBe(1138 * MIB);
});

test('free memory that is not told is what is neither used nor reserved', () => {
  const [gpu] = parseGpus(`${ID}, Tesla T4, 15360, 300, [N/A], 400`, '', () => false);
  expect(gpu?.vramFreeBytes).toBe(14660 * MIB);
});

test('a GPU whose memory is not known has nothing to offer', () => {
  const gpus = `${ID}, NVIDIA GB10, [N/A], [N/A], [N/A], [N/A]\n[Unknown Error]\n\n`;
  expect(parseGpus(gpus, '', () => false)).toEqual([]);
});
