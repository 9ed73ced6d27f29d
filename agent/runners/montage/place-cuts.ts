/**
 * Where a montage is cut: slots between beats, as long as the style says for the energy there, and how each
 * becomes the next. Slots are whole frames and fill the film exactly. Pure: the seed is all the chance there is.
 */
import type {
  MontageBlend,
  MontageRhythm,
  MontageStyle,
} from '../../../proto/gen/furrow/v1/task_montage.ts';
import type { MusicAnalysis } from './analyses.ts';
import { clipFramesOf, type Transition, TRANSITIONS } from './cut-list.ts';
import { chance } from './seeded.ts';
import type { Rate } from './timecode.ts';

export interface Slot {
  /** Frame of the film. */
  readonly start: number;
  readonly frames: number;
  /** Wanted, 0 to 1. */
  readonly energy: number;
  readonly speedPercent: number;
  readonly transition: Transition;
  readonly transitionFrames: number;
}

export interface Placing {
  readonly style: MontageStyle;
  readonly music: MusicAnalysis;
  readonly musicFromMs: number;
  readonly rate: Rate;
  /** Of the film. */
  readonly frames: number;
  readonly seed: number;
  /** Of the longest scene that there is: no slot may ask for more. */
  readonly longestScene: number;
}

/** Values a second of the music's energy. */
const ENERGY_RATE = 2;
/** No shot is shorter: it would not be seen. */
const LEAST_SECONDS = 0.2;
const BEATS_A_BAR = 4;

export function placeCuts(placing: Placing): Slot[] {
  const plain = slotsBetweenBeats(placing);
  return withTransitions(placing, plain);
}

type PlainSlot = Pick<Slot, 'start' | 'frames' | 'energy' | 'speedPercent'>;

interface Beat {
  readonly frame: number;
  readonly downbeat: boolean;
}

function slotsBetweenBeats(placing: Placing): PlainSlot[] {
  const { frames } = placing;
  const least = leastFrames(placing.rate);
  const beats = beatsOf(placing);
  const turns = new Map<MontageRhythm, number>();
  const slots: PlainSlot[] = [];
  let start = 0;
  while (start < frames) {
    const energy = wantedEnergy(placing, start);
    const rhythm = rhythmAt(placing.style, energy);
    const turn = turns.get(rhythm) ?? 0;
    turns.set(rhythm, turn + 1);
    const wanted = endAfter(beats, start, rhythm.beats[turn % rhythm.beats.length] ?? 4) ?? frames;
    const speed = rhythm.speedPercents[turn % Math.max(1, rhythm.speedPercents.length)] ?? 100;
    const { end, speedPercent } = fitted(placing, beats, start, wanted, speed);
    // A rest that is too short to be a shot goes to the last one, where its scene is long enough.
    const rest = frames - end;
    const takesAll =
      rest < least && clipFramesOf({ speedPercent }, frames - start) <= placing.longestScene;
    const until = takesAll ? frames : Math.min(end, frames);
    slots.push({ start, frames: until - start, energy, speedPercent });
    start = until;
  }
  return slots;
}

function leastFrames({ num, den }: Rate): number {
  return Math.max(2, Math.round((LEAST_SECONDS * num) / den));
}

/** Beats of the film in its frames, the start of the film counting as one. */
function beatsOf({ music, musicFromMs, rate, frames }: Placing): Beat[] {
  const least = leastFrames(rate);
  const beats: Beat[] = [];
  for (const [index, seconds] of music.beats.entries()) {
    const frame = Math.round(((seconds - musicFromMs / 1000) * rate.num) / rate.den);
    const previous = beats.at(-1)?.frame ?? 0;
    if (frame - previous < least || frame >= frames) continue;
    beats.push({ frame, downbeat: index % BEATS_A_BAR === music.downbeat });
  }
  return beats;
}

/** The beat so many beats after `start`; whole bars end where a bar begins. Undefined beyond the last. */
function endAfter(beats: readonly Beat[], start: number, count: number): number | undefined {
  const next = beats.findIndex(({ frame }) => frame > start);
  if (next < 0) return undefined;
  const at = next + count - 1;
  if (count % BEATS_A_BAR === 0) {
    for (const near of [at, at - 1, at + 1, at - 2]) {
      if (near >= next && beats[near]?.downbeat === true) return beats[near].frame;
    }
  }
  return beats[at]?.frame;
}

/** Shortened to what the longest scene has: at a beat if there is one, and at full speed if that helps. */
function fitted(
  { longestScene }: Placing,
  beats: readonly Beat[],
  start: number,
  end: number,
  speed: number,
): { readonly end: number; readonly speedPercent: number } {
  const fits = (until: number, speedPercent: number): boolean =>
    clipFramesOf({ speedPercent }, until - start) <= longestScene;
  if (fits(end, speed)) return { end, speedPercent: speed };
  const speedPercent = Math.min(speed, 100);
  const beat = beats.findLast(
    ({ frame }) => frame > start && frame <= end && fits(frame, speedPercent),
  );
  return { end: beat?.frame ?? start + longestScene, speedPercent };
}

/** The style's curve and the music's own energy, weighed by the style. */
function wantedEnergy({ style, music, musicFromMs, rate, frames }: Placing, frame: number): number {
  const seconds = (frame * rate.den) / rate.num + musicFromMs / 1000;
  const heard = music.energy[Math.min(music.energy.length - 1, Math.floor(seconds * ENERGY_RATE))];
  const curve = style.energyCurve;
  if (curve.length === 0) return heard ?? 0.5;
  const at = (frame / frames) * (curve.length - 1);
  const from = Math.floor(at);
  const first = curve[from]!;
  const drawn = first + (at - from) * ((curve[from + 1] ?? first) - first);
  return style.curveShare * drawn + (1 - style.curveShare) * (heard ?? drawn);
}

function rhythmAt({ rhythms }: MontageStyle, energy: number): MontageRhythm {
  const rhythm = rhythms.findLast(({ fromEnergy }) => fromEnergy <= energy) ?? rhythms[0];
  return rhythm ?? { fromEnergy: 0, beats: [4], speedPercents: [] };
}

/** A transition has its middle on the beat, where the cut would have been. */
function withTransitions(placing: Placing, plain: readonly PlainSlot[]): Slot[] {
  const { longestScene } = placing;
  const slots: Slot[] = [];
  for (const [index, slot] of plain.entries()) {
    const before = slots.at(-1);
    const cut: Slot = { ...slot, transition: 'cut', transitionFrames: 0 };
    const chosen = before === undefined ? undefined : chooseBlend(placing, index, before, slot);
    const early = Math.floor((chosen?.frames ?? 0) / 2);
    const isRoom =
      before !== undefined &&
      chosen !== undefined &&
      clipFramesOf(before, before.frames - early + chosen.frames) <= longestScene &&
      clipFramesOf(slot, slot.frames + early) <= longestScene;
    if (!isRoom) {
      slots.push(cut);
      continue;
    }
    slots[slots.length - 1] = { ...before, frames: before.frames - early };
    slots.push({
      ...slot,
      start: slot.start - early,
      frames: slot.frames + early,
      transition: chosen.transition,
      transitionFrames: chosen.frames,
    });
  }
  return slots;
}

function chooseBlend(
  { style, seed, music, rate }: Placing,
  index: number,
  before: PlainSlot & Pick<Slot, 'transitionFrames'>,
  slot: PlainSlot,
): { readonly transition: Transition; readonly frames: number } | undefined {
  const blend = weighted(style.blends, chance(seed, 1, index));
  const transition = TRANSITIONS.find((known) => known === blend?.transition) ?? 'cut';
  if (blend === undefined || transition === 'cut') return undefined;
  const beatFrames = (60 / music.tempoBpm) * (rate.num / rate.den);
  // What is left of both shots stays the larger part.
  const most = Math.floor(Math.min(before.frames - before.transitionFrames, slot.frames) / 2);
  const frames = Math.min(most, Math.round((blend.beatPercent / 100) * beatFrames));
  return frames < 2 ? undefined : { transition, frames };
}

function weighted(blends: readonly MontageBlend[], drawn: number): MontageBlend | undefined {
  const total = blends.reduce((sum, { weight }) => sum + weight, 0);
  let left = drawn * total;
  for (const blend of blends) {
    left -= blend.weight;
    if (left < 0) return blend;
  }
  return blends.at(-1);
}
