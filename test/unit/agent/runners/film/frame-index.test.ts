import { describe, expect, test } from 'vitest';
import {
  frameTimes,
  isSteady,
  parsePacket,
  refuseEndless,
} from '../../../../../agent/runners/film/frame-index.ts';

const rows = (lines: readonly string[]) => lines.map((line) => parsePacket(line)!);

describe('packets as ffprobe prints them', () => {
  test('a keyframe, with side data after it', () => {
    expect(parsePacket('pts=-512|duration=512|size=900|flags=K_|side_data|skip=1')).toEqual({
      pts: -512,
      duration: 512,
      sizeBytes: 900,
      key: true,
      discarded: false,
    });
  });

  test('what an edit list cuts off is no frame', () => {
    const packets = rows([
      'pts=0|duration=1|size=9|flags=KD',
      'pts=2|duration=1|size=9|flags=__',
      'pts=1|duration=1|size=9|flags=__',
    ]);
    expect(frameTimes(packets)).toEqual([1, 2]);
  });

  test('missing and doubled times cannot be trusted', () => {
    expect(frameTimes(rows(['pts=N/A|duration=N/A|size=9|flags=K_']))).toBeUndefined();
    const twice = 'pts=4|duration=1|size=9|flags=K_';
    expect(frameTimes(rows([twice, twice]))).toBeUndefined();
  });

  test('a clock that jumps is not steady', () => {
    const at = (pts: number) => `pts=${pts}|duration=1|size=9|flags=__`;
    expect(isSteady(rows([at(0), at(3), at(1), at(2)]), 10)).toBe(true);
    expect(isSteady(rows([at(0), at(1), at(500)]), 10)).toBe(false);
    expect(isSteady(rows([at(500), at(501), at(2)]), 10)).toBe(false);
  });

  test('lines that are no packets are passed over', () => {
    expect(parsePacket('time_base=1/25')).toBeUndefined();
  });
});

describe('films that cannot be', () => {
  const base = { num: 1, den: 1000 };
  const fault = (times: readonly number[]): string | undefined => {
    try {
      refuseEndless('film.mkv', times, base);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };
  const steps = (count: number, stepMs: number): number[] =>
    Array.from({ length: count }, (_, i) => i * stepMs);

  test('as long as two days, and no longer', () => {
    expect(fault([5000, 5000 + 48 * 3_600_000])).toBeUndefined();
    expect(fault([5000, 5001 + 48 * 3_600_000])).toBe(
      'film.mkv has frames over 48:00:00.001, at most 48:00:00.000 is taken; cut it first',
    );
  });

  test('a thousand frames a second, and no more', () => {
    expect(fault(steps(1000, 1))).toBeUndefined();
    expect(fault(steps(1000, 0.5))).toBe(
      'film.mkv has 1000 frames in 00:00:00.500, at most 1000 a second are taken',
    );
  });

  test('a few frames may lie as they lie', () => {
    expect(fault([0])).toBeUndefined();
    expect(fault(steps(99, 0.1))).toBeUndefined();
  });
});
