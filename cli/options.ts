/** Parsers of option values. Each throws an `invalid` FurrowError that says what is wanted. */
import { durationMsOf } from '../kit/duration.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import { parseHours, type WeeklyWindow } from '../kit/weekly-hours.ts';

/** A whole number in a range. */
export function integerIn(min: number, max: number) {
  return (text: string): number => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text) || value < min || value > max) {
      throw invalidOption(`'${text}' is not a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

/** A number in a range, such as seconds or cores. */
export function numberIn(min: number, max: number) {
  return (text: string): number => {
    const value = Number(text);
    if (!/^\d*\.?\d+$/.test(text) || value < min || value > max) {
      throw invalidOption(`'${text}' is not a number from ${min} to ${max}`);
    }
    return value;
  };
}

const BYTES_OF_UNIT: Readonly<Record<string, number>> = {
  '': 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** Bytes: `512MiB`, `4G`, `1.5 GB`, `1048576`. Units are powers of 1024. */
export function bytes(text: string): number {
  const match = /^(\d*\.?\d+) ?([kmgt]?)(i?b)?$/i.exec(text);
  const value = Number(match?.[1]) * (BYTES_OF_UNIT[match?.[2]?.toLowerCase() ?? ''] ?? 1);
  if (!match || !Number.isSafeInteger(Math.round(value))) {
    throw invalidOption(`'${text}' is not a size, such as 512MiB or 4G`);
  }
  return Math.round(value);
}

/** A SHA-256, in either case. */
export function sha256(text: string): string {
  if (/^[0-9a-f]{64}$/i.test(text)) return text.toLowerCase();
  throw invalidOption(`'${text}' is not a SHA-256: 64 hexadecimal digits`);
}

/** Bytes a second: as `bytes`, `/s` behind it or not. */
export function bytesPerSecond(text: string): number {
  return bytes(text.replace(/\/s$/, ''));
}

/** Milliseconds: `90s`, `5m`, `2h30m`. */
export function duration(text: string): number {
  const ms = durationMsOf(text);
  if (ms === undefined) throw invalidOption(`'${text}' is not a time, such as 90s, 5m or 2h30m`);
  return ms;
}

/** Hours of the week; none for `any`. */
export function hours(text: string): WeeklyWindow[] {
  return text === 'any' ? [] : parseHours(text);
}

/** One of a few words. */
export function oneOf<Word extends string>(...words: readonly Word[]) {
  return (text: string): Word => {
    const word = words.find((each) => each === text);
    if (word === undefined) throw invalidOption(`'${text}' is not one of ${words.join(', ')}`);
    return word;
  };
}

/** Bits a second: `128k`, `1.5M`, `96000`. Units are powers of 1000, as ffmpeg has them. */
export function bitsPerSecond(text: string): number {
  const match = /^(\d*\.?\d+)([kKM]?)$/.exec(text);
  const factor = match?.[2] === 'M' ? 1_000_000 : match?.[2] ? 1000 : 1;
  const value = Math.round(Number(match?.[1]) * factor);
  if (!match || value < 500 || value > 1_000_000_000) {
    throw invalidOption(`'${text}' is not a bit rate, such as 128k`);
  }
  return value;
}

export interface FrameRate {
  readonly num: number;
  readonly den: number;
}

/** Broadcast's, which people write with two or three digits: 23.976, 29.97, 59.94. */
const NTSC = 1001;

/** Frames a second: `60`, `12.5`, `59.94` (which is 60000/1001), or a fraction itself. */
export function frameRate(text: string): FrameRate {
  const fraction = /^(\d{1,6})\/(\d{1,6})$/.exec(text);
  if (fraction !== null && Number(fraction[1]) > 0 && Number(fraction[2]) > 0) {
    return { num: Number(fraction[1]), den: Number(fraction[2]) };
  }
  const match = /^(\d{1,3})(?:\.(\d{1,3}))?$/.exec(text);
  const value = Number(match?.[0]);
  if (match === null || value === 0) {
    throw invalidOption(`'${text}' is not a frame rate, such as 60, 59.94 or 60000/1001`);
  }
  const nearest = Math.ceil(value);
  const isNtsc = nearest % 6 === 0 && Math.abs((nearest * 1000) / NTSC - value) < 0.006;
  if (isNtsc && value !== nearest) return { num: nearest * 1000, den: NTSC };
  const den = 10 ** (match[2] ?? '').length;
  return { num: Math.round(value * den), den };
}

export interface FrameSize {
  /** Pixels; 0 follows from the other. */
  readonly width: number;
  readonly height: number;
}

/** Pixels: `1280x720`, or `1280x` and `x720`, where the other side follows from the shape. */
export function frameSize(text: string): FrameSize {
  const match = /^(\d{0,5})x(\d{0,5})$/.exec(text);
  const [width, height] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  if (!match || (width === 0 && height === 0) || width > 32_768 || height > 32_768) {
    throw invalidOption(`'${text}' is not a frame size, such as 1280x720, 1280x or x720`);
  }
  return { width, height };
}

/** An option that may be given again: all its values in order. */
export function repeated(text: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), text];
}

/** `nuke` or `nuke=2`, once or more. */
export function tickets(
  text: string,
  previous: Readonly<Record<string, number>> | undefined,
): Readonly<Record<string, number>> {
  const match = /^([A-Za-z0-9][\w.-]{0,63})(?:=(\d{1,7}))?$/.exec(text);
  const [, name = '', count = '1'] = match ?? [];
  if (match === null || Number(count) === 0) {
    throw invalidOption(`'${text}' is not a ticket, such as nuke or nuke=2`);
  }
  return { ...previous, [name]: Number(count) };
}

function invalidOption(message: string): FurrowError {
  return new FurrowError('invalid', 'OPTION_INVALID', message);
}
