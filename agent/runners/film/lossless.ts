import { MAX_ALLOC_BYTES } from '../../../kit/film-fence.ts';

/** What FFV1 asks for before it has coded a frame: libavcodec/ffv1enc.c, 37 words a pixel. FFVHUFF asks for 12 bytes. */
const FFV1_BYTES_A_PIXEL = 148;
const SPARE_BYTES = 2 ** 20;

/**
 * Encoder's options for pictures that go from unit to unit, or from process to process, as they are. `pixels`: of a
 * frame. FFV1 makes the smaller files; from 3.6 million pixels on it asks for more memory at once than ffmpeg may have
 * here, and FFVHUFF never does.
 */
export function losslessOptions(pixels: number): readonly string[] {
  return pixels * FFV1_BYTES_A_PIXEL + SPARE_BYTES < MAX_ALLOC_BYTES
    ? ['-c:v', 'ffv1', '-level', '3']
    : ['-c:v', 'ffvhuff'];
}
