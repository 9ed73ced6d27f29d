/**
 * How pictures of any size come to a model's own: the filter that ffmpeg scales them with, and the way back for
 * boxes. Both reckon alike, in double precision. Pure.
 */
import {
  ChannelOrder,
  type ModelManifest,
  PictureFit,
} from '../../../proto/gen/furrow/v1/model.ts';

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

export type Box = readonly [left: number, top: number, right: number, bottom: number];

/** Pixels as the model takes them: a plane for each channel, green, blue, red as ffmpeg lays them. */
export function modelPixels({ channels }: ModelManifest): 'gbrp' | 'gray' {
  return channels === ChannelOrder.CHANNEL_ORDER_LUMA ? 'gray' : 'gbrp';
}

/** Bilinear, over all that a smaller picture's pixel covers. */
const SCALER = 'flags=bilinear+accurate_rnd+full_chroma_int';

/** From any picture to one of the model's size. */
export function fitFilter(manifest: ModelManifest): string {
  const { width, height, fill } = manifest;
  const pixels = modelPixels(manifest);
  // What is filled is filled as said: of brightness alone, ffmpeg would take the fill for a film's, with less range.
  const canvas = pixels === 'gray' ? 'rgb24' : pixels;
  const side = (of: 'iw' | 'ih', pick: 'min' | 'max'): string =>
    `'max(1,trunc(${of}*${pick}(${width}/iw,${height}/ih)+0.5))'`;
  const scaled = (pick: 'min' | 'max'): string =>
    `scale=w=${side('iw', pick)}:h=${side('ih', pick)}:${SCALER},format=${canvas}`;
  const byte = fill.toString(16).padStart(2, '0');
  const colour = `0x${byte}${byte}${byte}`;
  switch (manifest.fit) {
    case PictureFit.PICTURE_FIT_LETTERBOX_TOP_LEFT:
      return `${scaled('min')},pad=${width}:${height}:0:0:${colour},format=${pixels}`;
    case PictureFit.PICTURE_FIT_LETTERBOX_CENTRE: {
      const [x, y] = ["'floor((ow-iw)/2)'", "'floor((oh-ih)/2)'"];
      return `${scaled('min')},pad=${width}:${height}:${x}:${y}:${colour},format=${pixels}`;
    }
    case PictureFit.PICTURE_FIT_CROP: {
      const [x, y] = ["'floor((iw-ow)/2)'", "'floor((ih-oh)/2)'"];
      return `${scaled('max')},crop=${width}:${height}:${x}:${y}:exact=1,format=${pixels}`;
    }
    default:
      return `scale=w=${width}:h=${height}:${SCALER},format=${pixels}`;
  }
}

/** A box of the model's picture in pixels of the original, and within it. */
export function originalBox(manifest: ModelManifest, picture: PictureSize, box: Box): Box {
  const { scaled, left, top } = placeOf(manifest, picture);
  const x = (value: number): number =>
    within(((value - left) * picture.width) / scaled.width, picture.width);
  const y = (value: number): number =>
    within(((value - top) * picture.height) / scaled.height, picture.height);
  return [x(box[0]), y(box[1]), x(box[2]), y(box[3])];
}

/** Where the scaled picture lies in the model's. */
function placeOf(
  { fit, width, height }: ModelManifest,
  picture: PictureSize,
): { readonly scaled: PictureSize; readonly left: number; readonly top: number } {
  const scaledBy = (factor: number): PictureSize => ({
    width: Math.max(1, Math.trunc(picture.width * factor + 0.5)),
    height: Math.max(1, Math.trunc(picture.height * factor + 0.5)),
  });
  const [wide, high] = [width / picture.width, height / picture.height];
  switch (fit) {
    case PictureFit.PICTURE_FIT_LETTERBOX_TOP_LEFT:
      return { scaled: scaledBy(Math.min(wide, high)), left: 0, top: 0 };
    case PictureFit.PICTURE_FIT_LETTERBOX_CENTRE: {
      const scaled = scaledBy(Math.min(wide, high));
      const left = Math.floor((width - scaled.width) / 2);
      return { scaled, left, top: Math.floor((height - scaled.height) / 2) };
    }
    case PictureFit.PICTURE_FIT_CROP: {
      const scaled = scaledBy(Math.max(wide, high));
      const left = -Math.floor((scaled.width - width) / 2);
      return { scaled, left, top: -Math.floor((scaled.height - height) / 2) };
    }
    default:
      return { scaled: { width, height }, left: 0, top: 0 };
  }
}

function within(value: number, most: number): number {
  return Math.round(Math.min(most, Math.max(0, value)) * 100) / 100;
}
