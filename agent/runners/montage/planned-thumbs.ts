/** Frames against those that the look at the whole clip saw: the same, and not their neighbours. */
import { FilmFault } from '../film/film-fault.ts';
import { compareThumbs, THUMB_BYTES } from '../film/picture-likeness.ts';

/** Two decodings of the same packets differ by nothing; two versions of a decoder or scaler by very little. */
const MAX_DECODING_DIFFERENCE = 2;

/** `planned`, `seen`: tiny copies of so many frames. Throws FilmFault `bad-output`. */
export function refuseOtherThumbs(
  name: string,
  planned: Uint8Array,
  seen: Uint8Array,
  frames: number,
): void {
  const bytes = frames * THUMB_BYTES;
  if (seen.length !== bytes || planned.length !== bytes) {
    throw new FilmFault(
      'bad-output',
      `${name} decodes to ${seen.length / THUMB_BYTES} frames, not ${frames}`,
    );
  }
  const likeness = compareThumbs(planned, seen);
  const other =
    likeness.fault ??
    (likeness.worstDifference > MAX_DECODING_DIFFERENCE
      ? `a frame differs by ${likeness.worstDifference.toFixed(1)} grey levels`
      : undefined);
  if (other === undefined) return;
  throw new FilmFault('bad-output', `${name} is not what its clip shows: ${other}`);
}
