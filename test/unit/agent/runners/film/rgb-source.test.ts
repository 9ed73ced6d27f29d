import { expect, test } from 'vitest';
import { withoutRgb } from '../../../../../agent/runners/film/rgb-source.ts';

const SOURCE = {
  name: 'a.mov',
  codec: 'qtrle',
  width: 1920,
  height: 1080,
  pixelFormat: 'argb',
  stream: 0,
  frameRate: '25/1',
  orientation: [1, 0, 0, 1],
  colour: { range: 'pc', space: 'gbr', transfer: 'unknown', primaries: 'unknown' },
  masteringDisplay: '',
  contentLight: '',
  audioTracks: 0,
};

test('a film of brightness and colour stays as it is', () => {
  const source = {
    ...SOURCE,
    pixelFormat: 'yuv420p',
    colour: { ...SOURCE.colour, space: 'bt709' },
  };
  expect(withoutRgb(source)).toEqual({ source, filters: [] });
});

test('a large one of red, green and blue becomes BT.709 and says so', () => {
  const { source, filters } = withoutRgb(SOURCE);
  expect(source.colour).toMatchObject({ range: 'tv', space: 'bt709' });
  expect(source.pixelFormat).toBe('yuv444p');
  expect(filters.join(',')).toMatch(
    /^scale=out_color_matrix=bt709:out_range=tv:.*,format=yuv444p$/,
  );
});

test.each(['bgra', 'pal8', 'gbrp10le', 'rgb24', '0rgb'])(
  'a small one of %s is of BT.601',
  (pixelFormat) => {
    const colour = { ...SOURCE.colour, space: 'unknown' };
    const { source } = withoutRgb({ ...SOURCE, pixelFormat, colour, height: 576 });
    expect(source.colour.space).toBe('smpte170m');
  },
);

test('one of a wide gamut and ten bits keeps both', () => {
  const colour = { ...SOURCE.colour, transfer: 'smpte2084', primaries: 'bt2020' };
  const { source } = withoutRgb({ ...SOURCE, pixelFormat: 'gbrp10le', colour });
  expect(source.colour).toMatchObject({ space: 'bt2020nc', transfer: 'smpte2084' });
  expect(source.pixelFormat).toBe('yuv444p10le');
});
