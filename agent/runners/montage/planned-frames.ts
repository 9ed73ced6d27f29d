/** Holds a film's frames at its cuts against the frames of the clips that the list names there. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MontageFilm } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { THUMB_BYTES } from '../film/picture-likeness.ts';
import type { Check } from '../../../kit/proof-report.ts';
import { clipFramesOf, type CutList, shotStarts } from './cut-list.ts';
import { likeness } from './likeness.ts';
import { pieceThumbsName, readPiece } from './pieces.ts';

/**
 * Hard grades, crops and stabilising were seen to leave 0.67 of a likeness. That the shots show the very frames
 * was found by their units, before any grade; here it is about the film's being made of these shots.
 */
const LEAST_LIKENESS = 0.4;

/**
 * First and last frame of each shot that it alone fills, against the clip's frames as the look at the clip saw
 * them. `thumbs`: of all frames of the film.
 */
export async function plannedFrames(
  directory: string,
  film: MontageFilm,
  list: CutList,
  thumbs: Uint8Array,
): Promise<Check> {
  const starts = shotStarts(list);
  let [compared, flat] = [0, 0];
  let least = 1;
  let finding: string | undefined;
  for (const [index, shot] of list.shots.entries()) {
    const { picture } = await readPiece(directory, index);
    const planned = await readFile(join(directory, pieceThumbsName(index)));
    const start = starts[index]!;
    const last = start + shot.frames - 1;
    for (const frame of new Set([Math.min(start + shot.transitionFrames, last), last])) {
      const inClip = clipFramesOf(shot, frame - start + 1) - 1;
      const filmThumb = thumbs.subarray(frame * THUMB_BYTES, (frame + 1) * THUMB_BYTES);
      const clipThumb = planned.subarray(inClip * THUMB_BYTES, (inClip + 1) * THUMB_BYTES);
      if (filmThumb.length < THUMB_BYTES || clipThumb.length < THUMB_BYTES) {
        finding ??= `frame ${frame} is not there`;
        continue;
      }
      const alike = likeness(filmThumb, clipThumb, film, picture);
      if (alike === undefined) flat += 1;
      else {
        compared += 1;
        least = Math.min(least, alike);
        if (alike < LEAST_LIKENESS) {
          finding ??= `frame ${frame} does not show frame ${shot.from + inClip} of ${list.clips[shot.clip]!.name} (likeness ${alike.toFixed(2)})`;
        }
      }
    }
  }
  return {
    check: 'frames at cuts that show what was planned (least likeness)',
    expected: `at least ${LEAST_LIKENESS}`,
    found: compared === 0 ? `all ${flat} flat` : Number(least.toFixed(3)),
    finding,
  };
}
