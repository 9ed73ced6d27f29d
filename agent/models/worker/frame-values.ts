/**
 * A frame's values as they lie in a pipe: bytes, or words of sixteen bits where the film has more than eight. A
 * word is a byte's value times 256, which is how ffmpeg widens: white is 255 * 256, and what a model leaves alone
 * comes back as it was. Words lie low byte first, as on every machine that onnxruntime runs on.
 */
import type { FrameBits } from '../model-work.ts';

/** As they come. */
export type FrameValues = Uint8Array | Uint16Array;
/** As they are made; what is beyond the range is its end. */
export type MadeValues = Uint8ClampedArray | Uint16Array;

export function newFrame(values: number, bits: FrameBits): FrameValues {
  return bits === 16 ? new Uint16Array(values) : new Uint8Array(values);
}

export function newMadeFrame(values: number, bits: FrameBits): MadeValues {
  return bits === 16 ? new Uint16Array(values) : new Uint8ClampedArray(values);
}

/** The same memory. */
export function bytesOf({ buffer, byteOffset, byteLength }: FrameValues | MadeValues): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** What was made, as a frame that came: the same memory. */
export function asFrame(made: MadeValues): FrameValues {
  return made instanceof Uint16Array ? made : bytesOf(made);
}

/** So many of its values are one of a byte. */
export function valuesAByte(values: FrameValues | MadeValues): number {
  return values instanceof Uint16Array ? 256 : 1;
}
