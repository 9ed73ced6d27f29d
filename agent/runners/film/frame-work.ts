/**
 * What the frames of a source tell of the work that they will be, before one of them is decoded: the bytes of
 * its packets say where it moves, and the places where its encoder set keyframes of its own where a scene
 * begins.
 */
import type { PacketRow } from './frame-index.ts';

/** A still picture costs an encoder so much of what one of average movement does. */
const STILL = 0.4;
/** Of bytes, in times of their average: more of them cost no more. */
const MOST_MOVEMENT = 4;

/**
 * What each frame costs to encode, 1 on average. `times`: of all frames, ascending. Bytes are counted from
 * keyframe to keyframe: that one is larger than its neighbours says nothing of them.
 */
export function frameWork(packets: readonly PacketRow[], times: readonly number[]): Float64Array {
  const bytes = bytesByFrame(packets, times);
  const starts = [0, ...keyframesOf(packets, times).filter((frame) => frame > 0)];
  const mean = bytes.reduce((sum, count) => sum + count, 0) / times.length;
  const work = new Float64Array(times.length).fill(1);
  if (!(mean > 0)) return work;
  for (const [i, from] of starts.entries()) {
    const group = bytes.subarray(from, starts[i + 1] ?? times.length);
    const groupMean = group.reduce((sum, count) => sum + count, 0) / group.length;
    const movement = Math.min(MOST_MOVEMENT, groupMean / mean);
    work.fill(STILL + (1 - STILL) * movement, from, from + group.length);
  }
  const workMean = work.reduce((sum, frame) => sum + frame, 0) / work.length;
  return work.map((frame) => frame / workMean);
}

/** Frames from which a decoder can start, ascending. */
export function keyframesOf(packets: readonly PacketRow[], times: readonly number[]): number[] {
  const at = indexOf(times);
  return packets
    .flatMap(({ key, discarded, pts }) => (key && !discarded ? [at.get(pts!) ?? -1] : []))
    .filter((frame) => frame >= 0)
    .sort((a, b) => a - b);
}

/**
 * Keyframes that stand nearer to the one before than its encoder's usual distance: there it saw a new scene.
 * None where all stand evenly, as when somebody told it where.
 */
export function likelyScenes(keyframes: readonly number[]): number[] {
  const steps = keyframes.slice(1).map((frame, i) => frame - keyframes[i]!);
  const usual = Math.max(0, ...steps.slice(0, -1));
  return keyframes.slice(1).filter((_, i) => steps[i]! < usual * SCENE_STEP);
}

/** Film that was played at another rate has keyframes a frame or two off. */
const SCENE_STEP = 0.9;

function bytesByFrame(packets: readonly PacketRow[], times: readonly number[]): Float64Array {
  const at = indexOf(times);
  const bytes = new Float64Array(times.length);
  for (const { pts, sizeBytes } of packets) {
    const frame = at.get(pts!);
    if (frame !== undefined && sizeBytes > 0) bytes[frame] = sizeBytes;
  }
  return bytes;
}

function indexOf(times: readonly number[]): ReadonlyMap<number, number> {
  return new Map(times.map((time, index) => [time, index]));
}
