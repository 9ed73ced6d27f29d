import { describe, expect, test } from 'vitest';
import {
  digestOrder,
  digestPackets,
  parsePacketHash,
  parseStreamHeader,
} from '../../../../../agent/runners/film/packet-digest.ts';

const at = (...times: number[]) =>
  times.map((pts) => ({ pts, sizeBytes: 100, hash: 'd41d8cd98f00b204e9800998ecf8427e' }));

describe('the order in which packets are shown', () => {
  test('is the same by another clock and from another start', () => {
    expect(digestOrder(at(1000, 1160, 1080, 1040))).toBe(digestOrder(at(0, 4, 2, 1)));
  });

  test('is another when two change places, which their bytes do not tell', () => {
    const [chunk, film] = [at(0, 4, 2, 1), at(0, 4, 1, 2)];
    expect(digestPackets(film)).toBe(digestPackets(chunk));
    expect(digestOrder(film)).not.toBe(digestOrder(chunk));
  });
});

test('a line of framehash', () => {
  const line = '0,      -1024,          0,      512,     6654, d41d8cd98f00b204e9800998ecf8427e';
  expect(parsePacketHash(line)).toEqual({
    pts: 0,
    sizeBytes: 6654,
    hash: 'd41d8cd98f00b204e9800998ecf8427e',
  });
  expect(parsePacketHash('#tb 0: 1/12800')).toBeUndefined();
});

test('the header of a stream is named as ffprobe names it', () => {
  const lines = [
    '#hash: MD5',
    '#extradata 0,                              45, 2012e45d501d9f0ba2f8e099c08d01f3',
    '#dimensions 0: 1280x720',
    '0, 0, 0, 512, 6654, d41d8cd98f00b204e9800998ecf8427e',
  ];
  const size = { width: 1280, height: 720 };
  const extradataHash = 'MD5:2012e45d501d9f0ba2f8e099c08d01f3';
  expect(parseStreamHeader(lines)).toEqual({ ...size, extradataHash });
  expect(parseStreamHeader(lines.slice(2))).toEqual({ ...size, extradataHash: '' });
});
