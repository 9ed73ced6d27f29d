import { expect, test } from 'vitest';
import type { PacketRow } from '../../../../../agent/runners/film/frame-index.ts';
import { firstPackets, parsePacketList } from '../../../../../agent/runners/film/piece-pass.ts';

/** In decoding order; a `K` follows the times of keyframes. */
function packets(text: string): PacketRow[] {
  return text.split(' ').map((word) => ({
    pts: Number.parseInt(word, 10),
    duration: 1,
    sizeBytes: 100,
    key: word.endsWith('K'),
    discarded: false,
  }));
}

const HALVES = [
  { fromPts: 0, untilPts: 4 },
  { fromPts: 4, untilPts: 8 },
];

test('pieces that share no packet begin at their keyframes', () => {
  expect(firstPackets(packets('0K 3 1 2 4K 7 5 6'), HALVES)).toEqual([0, 4]);
});

test('a keyframe within a piece begins none', () => {
  expect(firstPackets(packets('0K 1 2K 3 4K 5 6K 7'), HALVES)).toEqual([0, 4]);
});

test('frames that follow a keyframe and are shown before it belong to both pieces', () => {
  expect(firstPackets(packets('0K 1 4K 2 3 5 6 7'), HALVES)).toBeUndefined();
});

test('a piece that begins without a keyframe needs packets of the one before', () => {
  expect(firstPackets(packets('0K 1 2 3 4 5 6 7'), HALVES)).toBeUndefined();
});

test('packets before the first shown frame are no piece of their own', () => {
  expect(firstPackets(packets('-1K 0K 1 2 3 4K 5 6 7'), HALVES)).toBeUndefined();
});

test('a list of packets says ticks, times and sizes', () => {
  const text = [
    '#extradata 0:       45, 0x19bb0e17',
    '#tb 0: 1/51200',
    '#dimensions 0: 1280x720',
    '0,     512000,     516096,     2048,    51043, 0xc067d9fe, S=1,        8, 0x0a0b0c0d',
    '0,     514048,     NOPTS,     2048,    14711, 0x00000000',
    '',
  ].join('\n');
  const list = parsePacketList(text);
  expect(list?.timeBase).toEqual({ num: 1, den: 51200 });
  expect(list?.packets.map(({ pts, sizeBytes }) => [pts, sizeBytes])).toEqual([
    [516096, 51043],
    [undefined, 14711],
  ]);
});

test('a list without a time base is none', () => {
  expect(parsePacketList('#software: x\n')).toBeUndefined();
});
