import { expect, test } from 'vitest';
import { pictureKindOf } from '../../../../../agent/runners/infer/picture-kind.ts';
import { pictureFault } from '../../../../../agent/runners/infer/picture-fault.ts';
import { PictureLog } from '../../../../../agent/runners/infer/picture-log.ts';

/** As ffmpeg 5.1 says it: 1, 2 and 4 are lost, of 1 and 2 in a row; what is said of 3 does no harm. */
const SAID = `Input #0, image2, from 'file:furrow-pictures/%08d.png':
  Stream #0:0: Video: png, rgb24(pc), 512x512, 1 fps, 1 tbr, 1 tbn
[Parsed_showinfo_0 @ 0x55e6] config in time_base: 1/1, frame_rate: 1/1
[Parsed_showinfo_0 @ 0x55e6] n:   0 pts:      0 pts_time:0       pos:       -1 fmt:rgb24 sar:1/1 s:512x400 i:P iskey:1 type:I
[png @ 0x5661] chunk too big
Error while decoding stream #0:0: Invalid data found when processing input
[IMGUTILS @ 0x7ffd] [IMGUTILS @ 0x7ffd] Picture size 0x10 is invalid
[png @ 0x5661] ihdr failed
Error while decoding stream #0:0: Invalid data found when processing input
[png @ 0x5661] it has a bad comment
[Parsed_showinfo_0 @ 0x99e6] n:   0 pts:      3 pts_time:3       pos:       -1 fmt:gray sar:1/1 s:33x1 i:P iskey:1 type:I
Error while decoding stream #0:0: Invalid data found when processing input
frame=    2 fps=0.0`;

test('what came through, and why the others did not', () => {
  const log = new PictureLog();
  for (const line of SAID.split('\n')) log.take(line);
  expect(log.decoded).toEqual([
    { pts: 0, width: 512, height: 400 },
    { pts: 3, width: 33, height: 1 },
  ]);
  expect(log.reasonOf(1, 0)).toBe('it cannot be decoded: chunk too big');
  expect(log.reasonOf(1, 1)).toBe(
    'it cannot be decoded: Picture size 0x10 is invalid; ihdr failed',
  );
  const untold = 'it cannot be decoded: it is damaged or cut short';
  expect(log.reasonOf(2, 0)).toBe(untold);
  expect(log.reasonOf(2, 7)).toBe(untold);
});

test.each([
  [
    '[IMGUTILS @ 0x7f] Picture size 16000x16000 exceeds specified max pixel count 36000000, see the documentation if you wish to increase it',
    'it says that it has 16000x16000 pixels: up to 36000000 are taken',
  ],
  [
    'skipping unsupported chunk: ANIM',
    'it is an animation, which ffmpeg cannot decode: save its frames as pictures, or as a film',
  ],
  [
    'Layout 8 is not implemented. Update your FFmpeg version to the newest one from Git.',
    'it cannot be decoded: Layout 8 is not implemented.',
  ],
])('what ffmpeg says for its own people: %s', (said, expected) => {
  expect(pictureFault([said])).toBe(expected);
});

test.each([
  ['png', '89504e470d0a1a0a'],
  ['jpg', 'ffd8ffe0'],
  ['webp', Buffer.from('RIFF0000WEBPVP8 ').toString('hex')],
  ['bmp', Buffer.from('BM').toString('hex')],
  ['tif', '49492a00'],
  [undefined, Buffer.from('#EXTM3U').toString('hex')],
  [undefined, ''],
])('%s is told by its first bytes', (kind, bytes) => {
  expect(pictureKindOf(Buffer.from(bytes, 'hex'))).toBe(kind);
});
