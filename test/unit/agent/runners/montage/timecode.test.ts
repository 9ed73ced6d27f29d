import { describe, expect, test } from 'vitest';
import { frameOf, timecode } from '../../../../../agent/runners/montage/timecode.ts';

const FILM = { num: 24, den: 1 };
const PAL = { num: 25, den: 1 };
const NTSC = { num: 30_000, den: 1001 };
const FAST = { num: 60_000, den: 1001 };
const PULLED = { num: 24_000, den: 1001 };

describe('without dropping', () => {
  test.each([
    [0, FILM, '00:00:00:00'],
    [23, FILM, '00:00:00:23'],
    [24, FILM, '00:00:01:00'],
    [90_000, PAL, '01:00:00:00'],
    [86_400, PULLED, '01:00:00:00'],
  ])('frame %i', (frame, rate, code) => {
    expect(timecode(frame, rate)).toBe(code);
    expect(frameOf(code, rate)).toBe(frame);
  });
});

describe('drop frame, by the numbers that SMPTE 12M gives', () => {
  test.each([
    [1799, NTSC, '00:00:59;29'],
    [1800, NTSC, '00:01:00;02'],
    [17_981, NTSC, '00:09:59;29'],
    [17_982, NTSC, '00:10:00;00'],
    [19_782, NTSC, '00:11:00;02'],
    [107_892, NTSC, '01:00:00;00'],
    [3599, FAST, '00:00:59;59'],
    [3600, FAST, '00:01:00;04'],
    [35_964, FAST, '00:10:00;00'],
    [215_784, FAST, '01:00:00;00'],
  ])('frame %i', (frame, rate, code) => {
    expect(timecode(frame, rate)).toBe(code);
    expect(frameOf(code, rate)).toBe(frame);
  });

  test('every frame of an hour has its own number, and it stays with the clock', () => {
    const codes = Array.from({ length: 107_892 }, (_, frame) => timecode(frame, NTSC));
    expect(codes.findIndex((code, frame) => frameOf(code, NTSC) !== frame)).toBe(-1);
    expect(codes.findIndex((code, frame) => frame > 0 && code <= codes[frame - 1]!)).toBe(-1);
    expect(codes.at(-1)).toBe('00:59:59;29');
  });

  test('numbers that are left out name no frame', () => {
    expect(frameOf('00:01:00;00', NTSC)).toBeUndefined();
    expect(frameOf('00:01:00;01', NTSC)).toBeUndefined();
    expect(frameOf('00:10:00;00', NTSC)).toBe(17_982);
    expect(frameOf('00:01:00;03', FAST)).toBeUndefined();
  });
});

test('what is no timecode names none', () => {
  for (const code of [
    '',
    '1:00:00:00',
    '00:00:00:25',
    '00:60:00:00',
    '24:00:00:00',
    '00:00:00',
    'x',
  ]) {
    expect(frameOf(code, PAL)).toBeUndefined();
  }
});

test('a day later it begins anew', () => {
  expect(timecode(24 * 3600 * 25, PAL)).toBe('00:00:00:00');
  expect(timecode(24 * 107_892, NTSC)).toBe('00:00:00;00');
});
