/**
 * Whether two frames that follow each other show the same drawing: animation on twos shows each twice, and what an
 * encoder makes of the second differs by noise that nobody sees.
 */
import type { FrameSize } from '../model-work.ts';
import { bytesOf, type FrameValues, valuesAByte } from './frame-values.ts';

const BLOCK = 16;
/** Grey levels, mean over a block: whatever moves is more in some block. */
const MOST_OFF = 2;

/** Of RGB. */
export function areNear(a: FrameValues, b: FrameValues, { width, height }: FrameSize): boolean {
  if (Buffer.compare(bytesOf(a), bytesOf(b)) === 0) return true;
  const line = width * 3;
  for (let top = 0; top < height; top += BLOCK) {
    const bottom = Math.min(height, top + BLOCK);
    for (let left = 0; left < line; left += BLOCK * 3) {
      const right = Math.min(line, left + BLOCK * 3);
      const most = MOST_OFF * valuesAByte(a) * (bottom - top) * (right - left);
      let off = 0;
      for (let y = top; y < bottom; y += 1) {
        for (let at = y * line + left; at < y * line + right; at += 1) {
          off += Math.abs(a[at]! - b[at]!);
        }
      }
      if (off > most) return false;
    }
  }
  return true;
}
