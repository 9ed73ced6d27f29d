import { expect, test } from 'vitest';
import {
  bitsPerSecond,
  bytes,
  bytesPerSecond,
  duration,
  frameRate,
  frameSize,
  hours,
  integerIn,
  numberIn,
  oneOf,
} from '../../../cli/options.ts';

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

test('frame rates are exact, however television writes them', () => {
  expect(frameRate('25')).toEqual({ num: 25, den: 1 });
  expect(frameRate('30000/1001')).toEqual({ num: 30_000, den: 1001 });
  for (const text of ['29.97', '29.970', '29.97003']) {
    expect(frameRate(text)).toEqual({ num: 30_000, den: 1001 });
  }
  expect(frameRate('23.976')).toEqual({ num: 24_000, den: 1001 });
  expect(frameRate('23.98')).toEqual({ num: 24_000, den: 1001 });
  expect(frameRate('59.94')).toEqual({ num: 60_000, den: 1001 });
  for (const bad of ['', 'fast', '25.5', '-25', '25fps', '1/2/3']) {
    expect(() => frameRate(bad)).toThrow('is not a frame rate');
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

test.each([
  ['90s', 90_000],
  ['5m', 300_000],
  ['1.5h', 5_400_000],
  ['2h30m', 9_000_000],
  ['250ms', 250],
  ['0s', 0],
])('%s is %d milliseconds', (text, ms) => {
  expect(duration(text)).toBe(ms);
});

test.each(['', '5', 'm', '5 m', '-5m', '5m!', '1w'])('%j is no time', (text) => {
  expect(() => duration(text)).toThrow('is not a time, such as 90s, 5m or 2h30m');
});

test('bandwidths are sizes a second, hours windows or none, words one of few', () => {
  expect(bytesPerSecond('20MB/s')).toBe(20 * 2 ** 20);
  expect(bytesPerSecond('0')).toBe(0);
  expect(hours('any')).toEqual([]);
  expect(hours('sat 08:00-12:00')).toEqual([{ days: [5], startMinute: 480, endMinute: 720 }]);
  expect(oneOf('a', 'b')('b')).toBe('b');
  expect(() => oneOf('a', 'b')('c')).toThrow("'c' is not one of a, b");
});
