import { describe, expect, test } from 'vitest';
import { describePicture } from '../../../../../agent/runners/film/picture.ts';

describe('the frame rate', () => {
  const rateOf = (avg: string, real: string): string =>
    describePicture({ index: 0, avg_frame_rate: avg, r_frame_rate: real }).frameRate;

  test('is what the frames come to', () => {
    expect(rateOf('30000/1001', '30/1')).toBe('30000/1001');
    expect(rateOf('1000/1', '30/1')).toBe('1000/1');
  });

  test('is never one that no film has, and that encoders would refuse', () => {
    expect(rateOf('4294967295/1', '24/1')).toBe('24/1');
    expect(rateOf('0/0', '90000/1')).toBe('25/1');
    expect(rateOf('25/1:stats=x', '1001/1')).toBe('25/1');
  });
});
