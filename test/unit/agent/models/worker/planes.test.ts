/** Values of sixteen bits through floats and back, by any manifest. */
import { expect, test } from 'vitest';
import { channelsOf } from '../../../../../agent/models/worker/channels.ts';
import { bicubicPlane } from '../../../../../agent/models/worker/bicubic.ts';
import { keepPlane, tileOf } from '../../../../../agent/models/worker/planes.ts';
import { manifestFrom } from '../../../../support/models.ts';

const SIDE = 256;
const SIZE = { width: SIDE, height: SIDE };
const ALL = { left: 0, top: 0, x: 0, y: 0, endX: SIDE, endY: SIDE };

test.each([
  ['0 to 1', {}],
  ['-1 to 1', { mean: [127.5], deviation: [127.5] }],
  ['by channel', { mean: [123.675, 116.28, 103.53], deviation: [58.395, 57.12, 57.375] }],
])('%s: every value comes back as it was', (_name, range) => {
  const manifest = manifestFrom({ kind: 'upscale', scale: 2, halo: 0, ...range });
  const values = Uint16Array.from({ length: SIDE * SIDE }, (_, i) => i);
  for (const channel of channelsOf(manifest, 16)) {
    const floats = new Float32Array(values.length);
    const plane = { values, offset: 0, step: 1, ...SIZE };
    tileOf(plane, channel.floats, { x: 0, y: 0 }, SIZE, floats);
    // White is the same number to the model as white of eight bits.
    const [byte] = channelsOf(manifest).filter(({ offset }) => offset === channel.offset);
    expect(floats[255 * 256]).toBe(byte!.floats[255]);
    const back = new Uint16Array(values.length);
    expect(keepPlane(floats, SIDE, { ...plane, values: back }, channel, ALL)).toBe(true);
    expect(values.findIndex((value, i) => value !== back[i])).toBe(-1);
  }
});

test('what is beyond the range is its end, and no number is told', () => {
  const [channel] = channelsOf(manifestFrom({ kind: 'upscale', scale: 2, halo: 0 }), 16);
  const values = new Uint16Array(4);
  const into = { values, offset: 0, step: 1, width: 4, height: 1 };
  const all = { ...ALL, endX: 4, endY: 1 };
  expect(keepPlane(Float32Array.of(-0.1, 0, 1, 1.5), 4, into, channel!, all)).toBe(true);
  expect([...values]).toEqual([0, 0, 65_280, 65_535]);
  expect(keepPlane(Float32Array.of(0, NaN, 0, 0), 4, into, channel!, all)).toBe(false);
});

test('colour is scaled beside brightness in sixteen bits as in eight', () => {
  const bytes = Uint8Array.from({ length: 64 }, (_, i) => ((i * 53) % 7) * 40);
  const size = { width: 8, height: 8 };
  const small = new Uint8ClampedArray(256);
  const large = new Uint16Array(256);
  bicubicPlane(bytes, size, 2, small);
  bicubicPlane(
    Uint16Array.from(bytes, (value) => value * 256),
    size,
    2,
    large,
  );
  // Sharp edges overshoot: both stop at their ends.
  expect([...small]).toContain(0);
  const off = [...large].map((value, i) =>
    small[i]! < 255 ? Math.abs(value / 256 - small[i]!) : 0,
  );
  expect(Math.max(...off)).toBeLessThanOrEqual(0.502);
});
