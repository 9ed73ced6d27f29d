/**
 * A picture that is put together of others, in memory: three planes of one byte a pixel, full range, as JPEG
 * has them. Times are written into it with digits of our own, so that no font of any machine is read and no
 * text reaches a filter.
 */

/** YUV 4:4:4, plane after plane. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly planes: Uint8Array;
}

export const BYTES_A_PIXEL = 3;

/** Black. */
export function newCanvas(width: number, height: number): Canvas {
  const pixels = width * height;
  const planes = new Uint8Array(pixels * BYTES_A_PIXEL);
  planes.fill(128, pixels);
  return { width, height, planes };
}

/** Puts `tile` where its upper left corner is at x, y; all of it must lie inside. */
export function place(canvas: Canvas, tile: Canvas, x: number, y: number): void {
  if (x < 0 || y < 0 || x + tile.width > canvas.width || y + tile.height > canvas.height) {
    throw new RangeError(`a tile of ${tile.width}x${tile.height} at ${x},${y} is outside`);
  }
  for (let plane = 0; plane < BYTES_A_PIXEL; plane += 1) {
    for (let row = 0; row < tile.height; row += 1) {
      const from = plane * tile.width * tile.height + row * tile.width;
      const to = plane * canvas.width * canvas.height + (y + row) * canvas.width + x;
      canvas.planes.set(tile.planes.subarray(from, from + tile.width), to);
    }
  }
}

/** Five by seven dots, a row a number, the left dot the highest bit. */
const GLYPHS: Readonly<Record<string, readonly number[]>> = {
  '0': [0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e],
  '1': [0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e],
  '2': [0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f],
  '3': [0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e],
  '4': [0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02],
  '5': [0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e],
  '6': [0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e],
  '7': [0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08],
  '8': [0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e],
  '9': [0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c],
  ':': [0x00, 0x04, 0x04, 0x00, 0x04, 0x04, 0x00],
  '.': [0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x04],
};
const GLYPH_WIDTH = 5;
const GLYPH_HEIGHT = 7;
/** Dots around the text, and between two letters. */
const PAD = 2;

/** Pixels that `text` takes with each dot `dot` pixels wide. */
export function textSize(text: string, dot: number): { width: number; height: number } {
  return {
    width: (text.length * (GLYPH_WIDTH + 1) - 1 + 2 * PAD) * dot,
    height: (GLYPH_HEIGHT + 2 * PAD) * dot,
  };
}

/** White digits, colons and points on a dark box; what is outside the picture is left out. */
export function writeText(canvas: Canvas, text: string, x: number, y: number, dot: number): void {
  const { width, height } = textSize(text, dot);
  fill(canvas, { x, y, width, height }, 24);
  for (let i = 0; i < text.length; i += 1) {
    const rows = GLYPHS[text.charAt(i)] ?? [];
    for (const [row, bits] of rows.entries()) {
      for (let column = 0; column < GLYPH_WIDTH; column += 1) {
        if ((bits & (1 << (GLYPH_WIDTH - 1 - column))) === 0) continue;
        const left = x + (PAD + i * (GLYPH_WIDTH + 1) + column) * dot;
        fill(canvas, { x: left, y: y + (PAD + row) * dot, width: dot, height: dot }, 255);
      }
    }
  }
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Grey of that level. */
function fill(canvas: Canvas, box: Box, level: number): void {
  const left = Math.max(0, box.x);
  const right = Math.min(canvas.width, box.x + box.width);
  const bottom = Math.min(canvas.height, box.y + box.height);
  if (right <= left) return;
  const pixels = canvas.width * canvas.height;
  for (let row = Math.max(0, box.y); row < bottom; row += 1) {
    for (let plane = 0; plane < BYTES_A_PIXEL; plane += 1) {
      const at = plane * pixels + row * canvas.width;
      canvas.planes.fill(plane === 0 ? level : 128, at + left, at + right);
    }
  }
}

/** Over all of it, 0 to 255. */
export function meanGrey({ width, height, planes }: Canvas): number {
  let sum = 0;
  for (let i = 0; i < width * height; i += 1) sum += planes[i]!;
  return sum / (width * height);
}

/** The picture as a film of one frame, which needs no other words to be read. */
export function asYuv4Mpeg({ width, height, planes }: Canvas): Uint8Array {
  const head = `YUV4MPEG2 W${width} H${height} F1:1 Ip A1:1 C444 XCOLORRANGE=FULL\nFRAME\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), planes]);
}
