import { describe, expect, test } from 'vitest';
import type { ChunkSeal } from '../../../../../agent/runners/film/chunk-seal.ts';
import { isProvenInChunks } from '../../../../../agent/runners/film/decode-proof.ts';

const seal = (change: Partial<ChunkSeal> = {}): ChunkSeal => ({
  version: 1,
  piece: 'piece-00000.nut',
  frames: 25,
  packetsSha256: 'a1',
  orderSha256: 'b2',
  extradataHash: 'MD5:c3',
  width: 320,
  height: 180,
  pixelFormat: 'yuv420p',
  meanDifference: 1,
  worstDifference: 2,
  ...change,
});

describe('a film whose packets are those of its chunks', () => {
  const picture = { index: 0, extradata_hash: 'MD5:c3' };

  test('was decoded where its chunks were made', () => {
    expect(isProvenInChunks({ picture, seals: [seal(), seal()] })).toBe(true);
  });

  test('was not, under another header', () => {
    const other = seal({ extradataHash: 'MD5:d4' });
    expect(isProvenInChunks({ picture, seals: [seal(), other] })).toBe(false);
  });

  test('was not, under no header at all', () => {
    const seals = [seal({ extradataHash: '' })];
    expect(isProvenInChunks({ picture: { index: 0 }, seals })).toBe(false);
  });

  test('was not, as far as a seal without the order of its pictures tells', () => {
    const seals = [seal(), seal({ orderSha256: undefined })];
    expect(isProvenInChunks({ picture, seals })).toBe(false);
  });
});
