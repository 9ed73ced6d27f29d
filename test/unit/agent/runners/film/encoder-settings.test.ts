import { describe, expect, test } from 'vitest';
import { encoderSettings } from '../../../../../agent/runners/film/encoder-settings.ts';

const VIDEO = { encoder: '', crf: 0, preset: '', width: 0, height: 0, threads: 0 };
const SOURCE = {
  name: 'a.mp4',
  codec: 'h264',
  width: 320,
  height: 180,
  pixelFormat: 'yuv420p',
  stream: 0,
  frameRate: '30000/1001',
  orientation: [1, 0, 0, 1],
  colour: { range: 'unknown', space: 'unknown', transfer: 'unknown', primaries: 'unknown' },
  masteringDisplay: '',
  contentLight: '',
  audioTracks: 0,
};

describe('what an encoder is told', () => {
  test('the number of threads leaves the header alone', () => {
    const { options } = encoderSettings('libx265', VIDEO, SOURCE, 3);
    expect(options.join(' ')).toContain('info=0');
  });

  test.each([
    ['yuv420p', 'libx264', 'yuv420p'],
    ['yuvj420p', 'libx264', 'yuvj420p'],
    ['yuvj420p', 'libsvtav1', 'yuv420p'],
    ['yuv422p10le', 'libx265', 'yuv420p10le'],
    ['p010le', 'libx264', 'yuv420p10le'],
    ['gbrp', 'libx264', 'yuv420p'],
  ] as const)('%s for %s becomes %s', (pixelFormat, encoder, wanted) => {
    const settings = encoderSettings(encoder, VIDEO, { ...SOURCE, pixelFormat }, 1);
    expect(settings.pixelFormat).toBe(wanted);
    expect(settings.filters).toContain(`format=${wanted}`);
  });

  test('a turned picture is turned upright before it is scaled', () => {
    const source = { ...SOURCE, orientation: [0, 1, -1, 0] };
    const { filters } = encoderSettings('libx264', { ...VIDEO, width: 90 }, source, 1);
    expect(filters).toEqual(['transpose=clock', 'scale=90:-2:flags=bicubic', 'format=yuv420p']);
  });

  test('colours keep their names', () => {
    const colour = { range: 'tv', space: 'bt709', transfer: 'unknown', primaries: 'bt709' };
    const { filters } = encoderSettings('libx264', VIDEO, { ...SOURCE, colour }, 1);
    expect(filters[0]).toBe('setparams=range=tv:color_primaries=bt709:colorspace=bt709');
  });

  test('odd sizes are cut to even ones, but for VP9, which takes them', () => {
    const filters = (encoder: 'libx264' | 'libvpx-vp9') =>
      encoderSettings(encoder, VIDEO, SOURCE, 1).filters.join(',');
    expect(filters('libx264')).toContain('crop=trunc(iw/2)*2:trunc(ih/2)*2');
    expect(filters('libvpx-vp9')).not.toContain('crop');
  });
});
