import { expect, test } from 'vitest';
import { parseEncoders, parseFilters, parseVersion } from '../../../../agent/probe/ffmpeg-tools.ts';

const LISTING = `Encoders:
 V..... = Video
 A..... = Audio
 ------
 V....D a64multi             Multicolor charset for Commodore 64 (codec a64_multi)
 V....D libx264              libx264 H.264 / AVC / MPEG-4 AVC / MPEG-4 part 10 (codec h264)
 V....D libvpx-vp9           libvpx VP9 (codec vp9)
 VF...D prores_ks            Apple ProRes (iCodec Pro) (codec prores)
 A....D libopus              libopus Opus (codec opus)
`;

test('encoders are read from the listing, its legend is not', () => {
  expect([...parseEncoders(LISTING)]).toEqual([
    'a64multi',
    'libx264',
    'libvpx-vp9',
    'prores_ks',
    'libopus',
  ]);
});

test('filters are read from their listing', () => {
  const listing = `Filters:
  T.. = Timeline support
  | = Source or sink filter
 ... abench            A->A       Benchmark part of a filtergraph.
 TSC scale             V->V       Scale the input video size.
 ... vidstabdetect     V->V       Extract relative transformations, pass 1 of 2 for stabilization.
 .. newer              V->N       As newer versions print it.
`;
  expect([...parseFilters(listing)]).toEqual(['abench', 'scale', 'vidstabdetect', 'newer']);
});

test('the version is the word after ffmpeg version', () => {
  expect(parseVersion('ffmpeg version 5.1.6-0+deb12u1 Copyright (c) 2000')).toBe('5.1.6-0+deb12u1');
  expect(parseVersion('something else')).toBe('unknown');
});
