/** A list that somebody edited, as its reader found it: not yet held against the clips. Pure. */
import {
  faultOfShots,
  MAX_SPEED_PERCENT,
  MIN_SPEED_PERCENT,
  type Shot,
  type Transition,
  TRANSITIONS,
} from './cut-list.ts';
import type { ClipAnalysis } from './analyses.ts';
import { timecode, type Rate } from './timecode.ts';

export interface EditedShot {
  /** Where in the list it stands, for messages. */
  readonly where: string;
  /** Name of the clip, or its reel. */
  readonly clip: string;
  readonly from: number;
  /** `from` counts as the clip's own timecode does, not from its first frame. */
  readonly fromIsTimecode: boolean;
  readonly frames: number;
  readonly speedPercent: number;
  readonly transition: Transition;
  readonly transitionFrames: number;
}

export interface EditedList {
  readonly shots: readonly EditedShot[];
}

/** What is wrong with a list, in one line that names the place and the remedy. */
export class ListFault extends Error {
  override readonly name = 'ListFault';
}

/** Throws ListFault. */
export function transitionOf(kind: string, where: string): Transition {
  const known = TRANSITIONS.find((each) => each === kind);
  if (known !== undefined) return known;
  throw new ListFault(`${where} has the transition '${kind}': use ${TRANSITIONS.join(', ')}`);
}

/** The shots of a list, held against the clips that are there. Throws ListFault. */
export function shotsOf(
  { shots }: EditedList,
  clips: readonly ClipAnalysis[],
  reels: ReadonlyMap<string, number>,
  rate: Rate,
): Shot[] {
  if (shots.length === 0) throw new ListFault('it has no shots');
  const byName = new Map(clips.map(({ name }, index) => [name, index]));
  const found = shots.map((shot): Shot => {
    const clip =
      byName.get(shot.clip) ?? byName.get(shot.clip.trim()) ?? reels.get(shot.clip.trim());
    if (clip === undefined) {
      throw new ListFault(
        `${shot.where} names '${shot.clip}', which is none of the clips: give that file too, or put the name of one that is given`,
      );
    }
    const { startFrames, frames: clipFrames, name } = clips[clip]!;
    const from = shot.from - (shot.fromIsTimecode ? startFrames : 0);
    if (from < 0 || from >= clipFrames) {
      const [first, last] = shot.fromIsTimecode
        ? [timecode(startFrames, rate), timecode(startFrames + clipFrames - 1, rate)]
        : [0, clipFrames - 1];
      throw new ListFault(
        `${shot.where} begins outside of ${name}, which goes from ${first} to ${last}`,
      );
    }
    if (shot.frames < 1) throw new ListFault(`${shot.where} has no frames: remove it`);
    if (shot.speedPercent < MIN_SPEED_PERCENT || shot.speedPercent > MAX_SPEED_PERCENT) {
      throw new ListFault(
        `${shot.where} plays at ${shot.speedPercent} %: use ${MIN_SPEED_PERCENT} to ${MAX_SPEED_PERCENT}`,
      );
    }
    const { speedPercent, transition, transitionFrames, frames } = shot;
    return { clip, from, frames, speedPercent, transition, transitionFrames };
  });
  refuseContradictions(shots, found, clips);
  return found;
}

function refuseContradictions(
  shots: readonly EditedShot[],
  found: readonly Shot[],
  clips: readonly ClipAnalysis[],
): void {
  const frames = found.reduce((sum, each) => sum + each.frames, 0);
  const fault = faultOfShots({ shots: found, clips, frames });
  const index = Number(/^shot (\d+)/.exec(fault ?? '')?.[1] ?? 0) - 1;
  if (fault === undefined) return;
  throw new ListFault(fault.replace(/^shot \d+/, shots[index]?.where ?? 'it'));
}
