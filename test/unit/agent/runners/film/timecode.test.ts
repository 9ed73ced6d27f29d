import { describe, expect, test } from 'vitest';
import { hasTimecodeRate, timecodeOf } from '../../../../../agent/runners/film/timecode.ts';
import { proxySize } from '../../../../../agent/runners/film/proxy-coding.ts';

const facts = (tags: Record<string, string>) => ({
  frames: [],
  streams: [{ index: 0, tags }],
  chapters: [],
  format: {},
});

describe('timecodes', () => {
  test('are the file’s own word, if it is one', () => {
    expect(timecodeOf(facts({ timecode: '01:00:00;00' }))).toBe('01:00:00;00');
    expect(timecodeOf(facts({ timecode: 'ten past one' }))).toBeUndefined();
    expect(timecodeOf({ ...facts({}), format: { tags: { timecode: '10:00:00:00' } } })).toBe(
      '10:00:00:00',
    );
  });

  test.each([
    ['25/1', true],
    ['30000/1001', true],
    ['24000/1001', true],
    ['25/2', false],
    ['1000/17', false],
  ])('frames at %s a second are counted: %s', (rate, has) => {
    expect(hasTimecodeRate(rate)).toBe(has);
  });
});

describe('the size of a proxy', () => {
  const upright = [1, 0, 0, 1];
  test('its longer side is what was asked for, even, and of the picture as it is shown', () => {
    expect(proxySize({ width: 3840, height: 2160, orientation: upright }, 960)).toEqual({
      width: 960,
      height: 540,
    });
    expect(proxySize({ width: 3840, height: 2160, orientation: [0, 1, -1, 0] }, 960)).toEqual({
      width: 540,
      height: 960,
    });
    expect(proxySize({ width: 640, height: 360, orientation: upright }, 960)).toEqual({
      width: 0,
      height: 0,
    });
  });
});
