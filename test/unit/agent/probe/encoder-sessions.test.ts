import { expect, test } from 'vitest';
import { encoderSessionsFor } from '../../../../agent/probe/encoder-sessions.ts';
import { Gpu } from '../../../../proto/gen/furrow/v1/agent_service.ts';

const NVENC = ['tool:ffmpeg', 'encoder:libx264', 'encoder:h264_nvenc'];
const gpu = (name: string, driver: string): Gpu => Gpu.fromPartial({ name, driver });

test.each([
  ['no hardware encoder', ['encoder:libx264'], [gpu('NVIDIA H100', '580.82')], 0, 0, 0],
  ['a GeForce', NVENC, [gpu('NVIDIA GeForce RTX 3060', '550.54.14')], 0, 0, 8],
  ['an older driver', NVENC, [gpu('NVIDIA GeForce RTX 3060', '535.129.03')], 0, 0, 5],
  ['the oldest', NVENC, [gpu('GeForce GTX 1080', '460.91.03')], 0, 0, 3],
  ['a stream of somebody else', NVENC, [gpu('NVIDIA GeForce RTX 3060', '550.54.14')], 3, 1, 6],
  ['a card without a limit', NVENC, [gpu('NVIDIA RTX A4000', '550.54.14')], 2, 2, 32],
  ['an Intel chip', ['encoder:h264_qsv'], [], 0, 0, 32],
] as const)('%s', (_what, attributes, gpus, open, ours, expected) => {
  expect(encoderSessionsFor(attributes, gpus, open, ours)).toBe(expected);
});
