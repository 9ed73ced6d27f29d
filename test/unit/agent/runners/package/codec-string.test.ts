import { expect, test } from 'vitest';
import { boxesIn } from '../../../../../agent/runners/package/boxes.ts';
import { codecString } from '../../../../../agent/runners/package/codec-string.ts';
import { boxOf } from '../../../../support/mp4-boxes.ts';

/** The entry of a track: its own bytes, then a box of the decoder's settings. */
function codecOf(type: string, headBytes: number, config: string, hex: string): string | undefined {
  const inner = boxOf(config, Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  const entry = boxOf(type, Buffer.concat([Buffer.alloc(headBytes), inner]));
  return codecString(entry, boxesIn(entry, 0, entry.length)[0]!);
}

test.each([
  ['avc1', 78, 'avcC', '01 64 00 1f ff e1', 'avc1.64001f'],
  // Main, compatible with Main and Main 10; level 3.1; progressive, frames only.
  ['hvc1', 78, 'hvcC', '01 01 60000000 900000000000 5d', 'hvc1.1.6.L93.90'],
  // High tier, Main 10, no constraints: no words for them.
  ['hvc1', 78, 'hvcC', '01 22 20000000 000000000000 99', 'hvc1.2.4.H153'],
  [
    'mp4a',
    28,
    'esds',
    '00000000 03 19 0001 00 04 11 40 15 000000 00000000 00000000 05 02 1190',
    'mp4a.40.2',
  ],
  // Lengths of four bytes, as ffmpeg writes them; HE-AAC.
  [
    'mp4a',
    28,
    'esds',
    '00000000 03 80808025 0001 00 04 80808017 40 15 000000 00000000 00000000 05 80808005 2b92 08 00 00',
    'mp4a.40.5',
  ],
])('%s with %i bytes before its %s', (type, headBytes, config, hex, codec) => {
  expect(codecOf(type, headBytes, config, hex)).toBe(codec);
});

test('others have none', () => {
  expect(codecOf('hev1', 78, 'hvcC', '01 01')).toBeUndefined();
  expect(codecOf('Opus', 28, 'dOps', '00')).toBeUndefined();
  // MP3 in MP4: another object type.
  const mp3 = '00000000 03 19 0001 00 04 11 6b 15 000000 00000000 00000000';
  expect(codecOf('mp4a', 28, 'esds', mp3)).toBeUndefined();
});
