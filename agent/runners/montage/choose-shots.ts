/**
 * Which stretch of which clip fills each slot: the best-looking ones, whose movement is what the slot's energy
 * wants; never across a change of scene; none again before all are used. Pure: analyses, slots and a seed in,
 * shots out.
 */
import type { ClipAnalysis } from './analyses.ts';
import { clipFramesOf, type Shot } from './cut-list.ts';
import { STEPS_A_SECOND } from './clip-measures.ts';
import type { Slot } from './place-cuts.ts';
import { chance } from './seeded.ts';

/** Frames next to a change of scene that may still show the other one. */
const SCENE_MARGIN = 2;
/** Stretches of a scene that are compared. */
const MOST_PLACES = 48;

const QUALITY_SHARE = 0.45;
const MOTION_SHARE = 0.4;
const SOUND_SHARE = 0.1;
const CHANCE_SHARE = 0.12;

interface Scene {
  readonly clip: number;
  readonly from: number;
  /** Exclusive. */
  readonly until: number;
}

/** Frames of the longest stretch of any clip in which the scene does not change. */
export function longestScene(clips: readonly ClipAnalysis[]): number {
  return Math.max(0, ...clips.flatMap(scenesOf).map(({ from, until }) => until - from));
}

/** A scene between two others keeps away from both. */
function scenesOf({ frames, cuts }: ClipAnalysis, clip: number): Scene[] {
  const edges = [0, ...cuts.filter((at) => at > 0 && at < frames), frames];
  return edges.slice(1).map((edge, i) => ({
    clip,
    from: i === 0 ? 0 : edges[i]! + SCENE_MARGIN,
    until: edge === frames ? frames : edge - SCENE_MARGIN,
  }));
}

interface Stretch {
  readonly clip: number;
  readonly from: number;
  readonly until: number;
}

/** Undefined when some slot asks for more frames than any scene has. */
export function chooseShots(
  clips: readonly ClipAnalysis[],
  slots: readonly Slot[],
  seed: number,
): Shot[] | undefined {
  const looks = new Looks(clips);
  const scenes = clips.flatMap(scenesOf);
  const uses = clips.map(() => 0);
  let used: Stretch[] = [];
  let before: Stretch | undefined;
  const shots: Shot[] = [];
  for (const [index, slot] of slots.entries()) {
    const frames = slot.frames + (slots[index + 1]?.transitionFrames ?? 0);
    const length = clipFramesOf(slot, frames);
    const places = scenes.flatMap((scene) => placesIn(scene, length));
    let free = places.filter((place) => !used.some((other) => overlap(place, other)));
    if (free.length === 0) {
      // All are used: from here on they may come again, but not the one that was just seen.
      used = before === undefined ? [] : [before];
      free = places.filter((place) => !used.some((other) => overlap(place, other)));
    }
    const best = bestOf(free.length > 0 ? free : places, looks, slot, {
      uses,
      before,
      seed,
      index,
    });
    if (best === undefined) return undefined;
    used.push(best);
    uses[best.clip]! += 1;
    before = best;
    shots.push({
      clip: best.clip,
      from: best.from,
      frames: slot.frames,
      speedPercent: slot.speedPercent,
      transition: slot.transition,
      transitionFrames: slot.transitionFrames,
    });
  }
  return shots;
}

function placesIn({ clip, from, until }: Scene, length: number): Stretch[] {
  const room = until - from - length;
  if (room < 0) return [];
  const step = Math.max(1, Math.ceil(room / (MOST_PLACES - 1)));
  const places: Stretch[] = [];
  for (let at = from; at <= from + room; at += step) {
    places.push({ clip, from: at, until: at + length });
  }
  return places;
}

function overlap(a: Stretch, b: Stretch): boolean {
  return a.clip === b.clip && a.from < b.until && b.from < a.until;
}

interface Situation {
  readonly uses: readonly number[];
  readonly before: Stretch | undefined;
  readonly seed: number;
  readonly index: number;
}

function bestOf(
  places: readonly Stretch[],
  looks: Looks,
  slot: Slot,
  { uses, before, seed, index }: Situation,
): Stretch | undefined {
  const least = Math.min(...places.map(({ clip }) => uses[clip]!));
  // The same clip twice in a row looks like a mistake, unless there is no other.
  const others = places.filter(({ clip }) => clip !== before?.clip);
  const turn = (others.length > 0 ? others : places).filter(({ clip }) => uses[clip] === least);
  const able = turn.length > 0 ? turn : others.length > 0 ? others : places;
  let best: Stretch | undefined;
  let bestScore = -Infinity;
  for (const place of able) {
    const score =
      looks.score(place, slot.energy) +
      CHANCE_SHARE * chance(seed, 2, index, place.clip, place.from);
    if (score > bestScore) [best, bestScore] = [place, score];
  }
  return best;
}

/** What stretches look like, measured against all the clips there are. */
class Looks {
  readonly #clips: readonly ClipAnalysis[];
  readonly #motion: Ranks;
  readonly #sharpness: Ranks;
  readonly #loudness: Ranks;

  constructor(clips: readonly ClipAnalysis[]) {
    this.#clips = clips;
    this.#motion = new Ranks(clips.flatMap(({ motion }) => motion));
    this.#sharpness = new Ranks(clips.flatMap(({ sharpness }) => sharpness));
    this.#loudness = new Ranks(clips.flatMap(({ loudness }) => loudness));
  }

  score(place: Stretch, energy: number): number {
    const clip = this.#clips[place.clip]!;
    const mean = (values: readonly number[]): number | undefined => meanOver(values, place, clip);
    const motion = this.#motion.of(mean(clip.motion));
    const sharp = this.#sharpness.of(mean(clip.sharpness));
    const exposure = 1 - Math.min(1, Math.abs((mean(clip.brightness) ?? 0) - 118) / 118);
    const contrast = Math.min(1, (mean(clip.contrast) ?? 0) / 50);
    const quality = 0.5 * sharp + 0.3 * exposure + 0.2 * contrast;
    const loud = this.#loudness.of(mean(clip.loudness));
    return (
      QUALITY_SHARE * quality +
      MOTION_SHARE * (1 - Math.abs(motion - energy)) +
      SOUND_SHARE * loud * energy
    );
  }
}

function meanOver(
  values: readonly number[],
  { from, until }: Stretch,
  { rate }: ClipAnalysis,
): number | undefined {
  const stepOf = (frame: number): number =>
    Math.min(values.length - 1, Math.floor((frame * STEPS_A_SECOND * rate.den) / rate.num));
  if (values.length === 0) return undefined;
  let sum = 0;
  const [first, last] = [stepOf(from), stepOf(until - 1)];
  for (let step = first; step <= last; step += 1) sum += values[step]!;
  return sum / (last - first + 1);
}

/** Where among all that was measured a value stands, 0 to 1. */
class Ranks {
  readonly #sorted: Float64Array;

  constructor(values: readonly number[]) {
    this.#sorted = Float64Array.from(values).sort();
  }

  of(value: number | undefined): number {
    if (value === undefined || this.#sorted.length < 2) return 0;
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sorted[middle]! < value) low = middle + 1;
      else high = middle;
    }
    return Math.min(1, low / (this.#sorted.length - 1));
  }
}
