import { describe, expect, test } from 'vitest';
import {
  cellOf,
  frameAt,
  posterPick,
  sheetPicks,
  spriteCues,
  webVtt,
} from '../../../../../agent/runners/film/thumbnail-plan.ts';

const clock = { seconds: Array.from({ length: 100 }, (_, i) => i / 25), durationSeconds: 4 };
/** Frames that come when they like. */
const uneven = { seconds: [0, 0.1, 2, 2.05, 3.9], durationSeconds: 4 };
const SPRITES = { intervalMs: 1500, width: 160, columns: 2, rows: 1 };

describe('which frames become thumbnails', () => {
  test('the one that is shown at a time', () => {
    expect(frameAt(clock, 0.5).frame).toBe(12);
    expect(frameAt(clock, 0.52).frame).toBe(13);
    expect(frameAt(clock, 99).frame).toBe(99);
    expect(frameAt(uneven, 1.99).frame).toBe(1);
    expect(frameAt(uneven, 2).frame).toBe(2);
  });

  test('a sheet’s lie in the middle of their shares', () => {
    const picks = sheetPicks(clock, { columns: 2, rows: 2, width: 100, withoutTimes: false });
    expect(picks.map(({ seconds }) => seconds)).toEqual([0.48, 1.48, 2.48, 3.48]);
  });

  test('a poster is where it was asked for, else a fifth into the film', () => {
    expect(posterPick(clock, { atMs: 3000 }).frame).toBe(75);
    expect(posterPick(clock, {}).frame).toBe(20);
  });

  test('cues cover the film without a gap', () => {
    const cues = spriteCues(clock, SPRITES);
    expect(cues.map(({ fromSeconds, untilSeconds }) => [fromSeconds, untilSeconds])).toEqual([
      [0, 1.5],
      [1.5, 3],
      [3, 4],
    ]);
    expect(spriteCues({ seconds: [0], durationSeconds: 0.04 }, SPRITES)).toHaveLength(1);
  });

  test('cells go row by row, sheet by sheet', () => {
    const tile = { width: 160, height: 90 };
    expect(cellOf(4, { columns: 3, rows: 2 }, tile)).toEqual({ sheet: 0, x: 160, y: 90 });
    expect(cellOf(6, { columns: 3, rows: 2 }, tile)).toEqual({ sheet: 1, x: 0, y: 0 });
  });

  test('the list for players: times count from the container’s start', () => {
    const tile = { width: 160, height: 90 };
    expect(webVtt(spriteCues(clock, SPRITES), SPRITES, tile, 'jpg', 0.25)).toBe(
      'WEBVTT\n\n' +
        '00:00:00.000 --> 00:00:01.750\nsprite-000.jpg#xywh=0,0,160,90\n\n' +
        '00:00:01.750 --> 00:00:03.250\nsprite-000.jpg#xywh=160,0,160,90\n\n' +
        '00:00:03.250 --> 00:00:04.250\nsprite-001.jpg#xywh=0,0,160,90\n',
    );
  });
});
