/** What ffmpeg does to a picture, and what is reckoned back from boxes, agree: marks are found again where they were. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { fitFilter, originalBox } from '../../../../../agent/runners/infer/picture-fit.ts';
import {
  ChannelOrder,
  ModelManifest,
  PictureFit,
} from '../../../../../proto/gen/furrow/v1/model.ts';

const MODEL = { width: 96, height: 64 };
const manifestOf = (fit: PictureFit, over: Partial<ModelManifest> = {}): ModelManifest => ({
  ...ModelManifest.fromPartial({ ...MODEL, fit, fill: 114 }),
  ...over,
});

/** A black picture with a white mark, as it comes to the model. */
function fitted(manifest: ModelManifest, size: string, mark: string, pixels = 'rgb24'): Buffer {
  const source = `color=black:s=${size},format=rgb24,drawbox=${mark}:color=white:t=fill`;
  return execFileSync(
    'ffmpeg',
    [
      ['-v', 'error', '-f', 'lavfi', '-i', source, '-frames:v', '1', '-vf', fitFilter(manifest)],
      ['-f', 'rawvideo', '-pix_fmt', pixels, '-'],
    ].flat(),
  );
}

/** The box around what is brighter than half. */
function markIn(picture: Buffer): [number, number, number, number] {
  const box: [number, number, number, number] = [Infinity, Infinity, 0, 0];
  for (let y = 0; y < MODEL.height; y += 1) {
    for (let x = 0; x < MODEL.width; x += 1) {
      if (picture[(y * MODEL.width + x) * 3]! < 128) continue;
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x + 1);
      box[3] = Math.max(box[3], y + 1);
    }
  }
  return box;
}

const FITS = [
  ['stretched', PictureFit.PICTURE_FIT_STRETCH],
  ['at the top left', PictureFit.PICTURE_FIT_LETTERBOX_TOP_LEFT],
  ['in the middle', PictureFit.PICTURE_FIT_LETTERBOX_CENTRE],
  ['cut', PictureFit.PICTURE_FIT_CROP],
] as const;
const SIZES = [
  ['481x200', { width: 481, height: 200 }],
  ['150x401', { width: 150, height: 401 }],
] as const;

test.each(
  FITS.flatMap(([name, fit]) =>
    SIZES.map(([size, picture]) => [name, size, fit, picture] as const),
  ),
)('a mark of a picture that is %s (%s) is found where it was', (_name, size, fit, picture) => {
  const manifest = manifestOf(fit);
  const mark = { x: Math.floor(picture.width * 0.4), y: Math.floor(picture.height * 0.45) };
  const [w, h] = [60, 40];
  const found = markIn(fitted(manifest, size, `x=${mark.x}:y=${mark.y}:w=${w}:h=${h}`));
  const box = originalBox(manifest, picture, found);
  const wanted = [mark.x, mark.y, mark.x + w, mark.y + h];
  // A pixel of the model's is up to so many of the picture's.
  const pixel = Math.max(picture.width / MODEL.width, picture.height / MODEL.height, 1) * 1.2;
  box.forEach((side, index) => expect(Math.abs(side - wanted[index]!)).toBeLessThan(pixel));
});

test('a letterbox is filled as the manifest says, and brightness alone is one byte a pixel', () => {
  const corner = fitted(
    manifestOf(PictureFit.PICTURE_FIT_LETTERBOX_TOP_LEFT),
    '100x10',
    'x=0:y=0:w=1:h=1',
  );
  expect([...corner.subarray(-3)]).toEqual([114, 114, 114]);
  const luma = manifestOf(PictureFit.PICTURE_FIT_CROP, {
    channels: ChannelOrder.CHANNEL_ORDER_LUMA,
  });
  expect(fitted(luma, '10x300', 'x=0:y=0:w=1:h=1', 'gray')).toHaveLength(
    MODEL.width * MODEL.height,
  );
});

test('a box never leaves its picture', () => {
  const manifest = manifestOf(PictureFit.PICTURE_FIT_LETTERBOX_CENTRE);
  const picture = { width: 10, height: 10 };
  expect(originalBox(manifest, picture, [-50, -50, 500, 500])).toEqual([0, 0, 10, 10]);
});
