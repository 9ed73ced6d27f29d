import { expect, test } from 'vitest';
import { bitsPerSecond, bytes, frameSize, integerIn, numberIn } from '../../../cli/options.ts';

test.each([
  ['1048576', 1_048_576],
  ['512MiB', 536_870_912],
  ['4G', 4_294_967_296],
  ['1.5 gb', 1_610_612_736],
])('%s is %d bytes', (text, value) => {
  expect(bytes(text)).toBe(value);
});

test.each(['', '-1', '4X', '4 GiBs', '1e9', '99999999999999999T'])('%j is no size', (text) => {
  expect(() => bytes(text)).toThrow('is not a size, such as 512MiB or 4G');
});

test('frame sizes', () => {
  expect(frameSize('1280x720')).toEqual({ width: 1280, height: 720 });
  expect(frameSize('1280x')).toEqual({ width: 1280, height: 0 });
  expect(frameSize('x720')).toEqual({ width: 0, height: 720 });
  for (const bad of ['x', '0x0', '1280', '1280*720', '99999x1', '-1x5']) {
    expect(() => frameSize(bad)).toThrow('is not a frame size');
  }
});

test('bit rates are in thousands, as ffmpeg has them', () => {
  expect(bitsPerSecond('128k')).toBe(128_000);
  expect(bitsPerSecond('1.5M')).toBe(1_500_000);
  expect(bitsPerSecond('96000')).toBe(96_000);
  expect(() => bitsPerSecond('128')).toThrow('is not a bit rate');
  expect(() => bitsPerSecond('fast')).toThrow('is not a bit rate');
});

test('numbers stay in their range', () => {
  expect(integerIn(-1000, 1000)('-5')).toBe(-5);
  for (const bad of ['1.5', '', 'x', '1001', '0x10']) {
    expect(() => integerIn(-1000, 1000)(bad)).toThrow('whole number from -1000 to 1000');
  }
  expect(numberIn(0, 10)('2.5')).toBe(2.5);
  for (const bad of ['-1', '1e1', '', '10.1', 'Infinity']) {
    expect(() => numberIn(0, 10)(bad)).toThrow('is not a number from 0 to 10');
  }
});
