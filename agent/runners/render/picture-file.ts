/**
 * What a picture's file says of itself in its first bytes: format and size. No decoder reads them, so that
 * a stranger's bytes cost nothing. Pure.
 */
export type PictureFormat = 'png' | 'jpeg' | 'exr';

export interface PictureHeader {
  readonly format: PictureFormat;
  readonly width: number;
  readonly height: number;
}

/** So many bytes hold the size of what Blender writes. */
export const HEADER_BYTES = 64 * 1024;

/** Undefined for bytes that begin no such picture. */
export function parsePictureHeader(bytes: Uint8Array): PictureHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    return parsePng(view) ?? parseJpeg(view) ?? parseExr(view, bytes);
  } catch (error) {
    // It ends before it has said its size.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const PNG = 0x89504e47;
const IHDR = 0x49484452;

function parsePng(view: DataView): PictureHeader | undefined {
  if (view.getUint32(0) !== PNG || view.getUint32(12) !== IHDR) return undefined;
  return { format: 'png', width: view.getUint32(16), height: view.getUint32(20) };
}

/** Segments: a marker, its length, its content, up to the one that starts a frame. */
function parseJpeg(view: DataView): PictureHeader | undefined {
  if (view.getUint16(0) !== 0xffd8) return undefined;
  for (let at = 2; ; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint16(at);
    if (marker >> 8 !== 0xff) return undefined;
    const isFrame =
      marker >= 0xffc0 && marker <= 0xffcf && ![0xc4, 0xc8, 0xcc].includes(marker & 0xff);
    if (!isFrame) continue;
    return { format: 'jpeg', height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
  }
}

const EXR = 0x762f3101;

/** Attributes: name, type, length, value; `displayWindow` is four whole numbers. */
function parseExr(view: DataView, bytes: Uint8Array): PictureHeader | undefined {
  if (view.getUint32(0) !== EXR) return undefined;
  const text = (from: number): string => {
    const end = bytes.indexOf(0, from);
    if (end < 0) throw new RangeError('no end');
    return String.fromCharCode(...bytes.subarray(from, Math.min(end, from + 256)));
  };
  for (let at = 8; ;) {
    const name = text(at);
    if (name === '') return undefined;
    at += name.length + 1;
    at += text(at).length + 1;
    const value = at + 4;
    if (name === 'displayWindow') {
      const [left, top, right, bottom] = [0, 4, 8, 12].map((o) => view.getInt32(value + o, true));
      return { format: 'exr', width: right! - left! + 1, height: bottom! - top! + 1 };
    }
    at = value + view.getUint32(at, true);
  }
}
