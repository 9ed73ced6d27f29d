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

  const HDR10 = {
    ...SOURCE,
    pixelFormat: 'yuv420p10le',
    colour: { range: 'tv', space: 'bt2020nc', transfer: 'smpte2084', primaries: 'unknown' },
    masteringDisplay: 'G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)',
    contentLight: '1000,400',
  };

  test('SVT-AV1 counts the display of HDR10 otherwise than x265', () => {
    const { options } = encoderSettings('libsvtav1', VIDEO, HDR10, 1);
    expect(options.at(-1)).toBe(
      'lp=1:mastering-display=G(0.265,0.69)B(0.15,0.06)R(0.68,0.32)WP(0.3127,0.329)L(1000,0.005):content-light=1000,400',
    );
  });

  test('a high range that becomes a standard one loses all that belonged to it', () => {
    const settings = encoderSettings('libx265', { ...VIDEO, toSdr: true }, HDR10, 1);
    expect(settings.pixelFormat).toBe('yuv420p');
    expect(settings.options.join(' ')).not.toMatch(/master-display|max-cll|hdr10/);
    expect(settings.filters).toContain(
      'zscale=tin=smpte2084:min=bt2020nc:pin=bt2020:rin=tv:t=linear:npl=100',
    );
    const standard = encoderSettings('libx265', { ...VIDEO, toSdr: true }, SOURCE, 1);
    expect(standard).toEqual(encoderSettings('libx265', VIDEO, SOURCE, 1));
  });

  test('odd sizes are cut to even ones, but for VP9, which takes them', () => {
    const filters = (encoder: 'libx264' | 'libvpx-vp9') =>
      encoderSettings(encoder, VIDEO, SOURCE, 1).filters.join(',');
    expect(filters('libx264')).toContain('crop=trunc(iw/2)*2:trunc(ih/2)*2');
    expect(filters('libvpx-vp9')).not.toContain('crop');
  });
});
