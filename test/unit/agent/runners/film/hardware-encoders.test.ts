/** No card is where these tests run: they hold what encoders are told, not that they understand it. */
import { expect, test } from 'vitest';
import {
  fastestHardwarePreset,
  hardwareSettings,
  isHardware,
} from '../../../../../agent/runners/film/hardware-encoders.ts';

const VIDEO = { encoder: '', crf: 0, preset: '', width: 0, height: 0, threads: 0 };

test.each([
  ['h264_nvenc', { crf: 23, preset: 'p5' }, '-preset p5 -rc vbr -cq 23 -b:v 0'],
  ['av1_nvenc', { bitrateBps: 4_000_000 }, '-rc vbr -multipass fullres -b:v 4000000'],
  ['hevc_qsv', { crf: 25, preset: 'slow' }, '-preset slow -global_quality 25'],
  ['h264_vaapi', { crf: 20 }, '-rc_mode CQP -qp 20'],
  ['hevc_amf', { crf: 24, preset: 'quality' }, '-quality quality -rc cqp -qp_i 24 -qp_p 24'],
  ['h264_videotoolbox', { crf: 24 }, '-q:v 53'],
])('%s is told %o', (encoder, video, told) => {
  const settings = hardwareSettings(encoder, { ...VIDEO, ...video }, false);
  expect(settings?.options.join(' ')).toBe(`-c:v ${encoder} ${told}`);
});

test('ten bits stay ten but for H.264, which no card encodes so', () => {
  const format = (encoder: string) => hardwareSettings(encoder, VIDEO, true)?.pixelFormat;
  expect(['hevc_nvenc', 'av1_vaapi', 'h264_nvenc', 'h264_qsv'].map(format)).toEqual([
    'p010le',
    'p010le',
    'yuv420p',
    'nv12',
  ]);
});

test('VAAPI gets its pictures by way of a device', () => {
  const settings = hardwareSettings('hevc_vaapi', VIDEO, false);
  expect(settings?.device.join(' ')).toBe('-init_hw_device vaapi=gpu -filter_hw_device gpu');
  expect(settings?.upload).toEqual(['hwupload']);
});

test('software is none of them', () => {
  expect(isHardware('libx264')).toBe(false);
  expect(hardwareSettings('libx265', VIDEO, false)).toBeUndefined();
  expect(fastestHardwarePreset('h264_nvenc')).toBe('p1');
});
