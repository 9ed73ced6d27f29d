/**
 * How large, long and slow a film may be, and why so much. What ffmpeg itself is told (pixels, streams,
 * blocks of memory) is in `kit/film-fence.ts`. Limits of time are not for judging machines: each is many
 * times what a slow one needs, and is there so that nothing runs for ever.
 */

/** The widest that the encoders take; MAX_PIXELS alone would let a picture be a line. */
export const MAX_SIDE_PIXELS = 16_384;

/** Two days: an event, or a camera's day and its overrun. Beyond it a header is wrong or a stream endless. */
export const MAX_DURATION_SECONDS = 48 * 3600;

/** A day at 30 frames a second. Units keep some hundred bytes a frame in the agent's own memory. */
export const MAX_FRAMES = 2_600_000;

/** No camera's film plays faster; encoders choose their levels by it. */
export const MAX_FRAME_RATE = 1000;

/** Few frames lie as they lie: a rate is judged over more. */
export const FRAMES_FOR_A_RATE = 100;

/** Players show some ten letters of a title; thousands of tracks' titles would not fit a command line. */
export const MAX_LABEL_LENGTH = 1000;

/** A look reads the header and a few packets: well under a second, on a busy box a few. */
export const LOOK_LIMIT_MS = 60_000;

/** Private memory of a look. One into 8K H.264 was seen to take 0.2 GiB; more pictures held want more. */
export const LOOK_MEMORY_BYTES = 2 * 1024 ** 3;

/** Copying and indexing go as fast as the disk; no disk that a farm uses is slower than an old USB stick. */
const SLOWEST_READ_BYTES_PER_SECOND = 4_000_000;

/** For one frame, and for a million pixels of it: one 8K picture may take three and a half seconds. */
const SLOWEST_FRAME_MS = 50;
const SLOWEST_MEGAPIXEL_MS = 100;

/** A track that is decoded and encoded slower than it plays is none that a person made. */
const SLOWEST_SOUND = 1;

/** Start-up, a cold disk, a neighbour. */
const BASE_MS = 5 * 60_000;

/** For a pass over the bytes of files. */
export function readLimitMs(bytes: number): number {
  return BASE_MS + (bytes / SLOWEST_READ_BYTES_PER_SECOND) * 1000;
}

/** For decoding so many frames once. */
export function decodeLimitMs(frames: number, pixels: number): number {
  return BASE_MS + frames * (SLOWEST_FRAME_MS + (pixels / 1e6) * SLOWEST_MEGAPIXEL_MS);
}

/** For the sound of a film; one that does not say how long it is may be as long as any. */
export function soundLimitMs(seconds: number, tracks: number): number {
  const known = seconds > 0 && seconds <= MAX_DURATION_SECONDS;
  return BASE_MS + (known ? seconds : MAX_DURATION_SECONDS) * tracks * SLOWEST_SOUND * 1000;
}
