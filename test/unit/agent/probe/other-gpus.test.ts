import { expect, test } from 'vitest';
import { otherGpusOf } from '../../../../agent/probe/other-gpus.ts';

const AMD = {
  vendor: 'Advanced Micro Devices, Inc. [AMD/ATI]',
  model: 'Navi 21 [Radeon RX 6800 XT]',
  vram: 256,
  busAddress: '0c:00.0',
};

test('what lspci calls memory is a window: on Linux the size is unknown', () => {
  const [gpu] = otherGpusOf([AMD], 'linux');
  expect(gpu).toMatchObject({
    id: '0c:00.0',
    name: 'Advanced Micro Devices, Inc. [AMD/ATI] Navi 21 [Radeon RX 6800 XT]',
    vramTotalBytes: 0,
  });
  expect(gpu?.unusableReason).toContain('cannot be told');
});

test('an Apple GPU has what its machine says', () => {
  const [gpu] = otherGpusOf([{ vendor: 'Apple', model: 'Apple M2', vram: 16384 }], 'darwin');
  expect(gpu).toMatchObject({ id: 'gpu-0', vramTotalBytes: 16 * 2 ** 30 });
});

test('those of nvidia-smi, and what only shows pictures, are left out', () => {
  const nvidia = { vendor: 'NVIDIA Corporation', model: 'GA104', vram: 256, busAddress: '01:00.0' };
  const virtual = { vendor: 'Red Hat, Inc.', model: 'Virtio GPU', vram: 8, busAddress: '00:01.0' };
  expect(otherGpusOf([nvidia, virtual], 'linux')).toEqual([]);
});
