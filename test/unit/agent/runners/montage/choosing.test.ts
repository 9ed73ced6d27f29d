/** Where cuts fall and what fills them: promises that hold for every style and seed. */
import { describe, expect, test } from 'vitest';
import type { ClipAnalysis, MusicAnalysis } from '../../../../../agent/runners/montage/analyses.ts';
import { chooseShots, longestScene } from '../../../../../agent/runners/montage/choose-shots.ts';
import {
  clipFramesOf,
  faultOfShots,
  materialFrames,
  type Shot,
  shotStarts,
} from '../../../../../agent/runners/montage/cut-list.ts';
import { placeCuts, type Placing } from '../../../../../agent/runners/montage/place-cuts.ts';
import { MONTAGE_STYLES } from '../../../../../coordinator/recipes/montage-styles.ts';

const PICTURE = {
  width: 640,
  height: 360,
  pixelFormat: 'yuv420p',
  orientation: [1, 0, 0, 1],
  pixelAspect: 1,
  colour: { range: 'tv', space: 'bt709', transfer: 'bt709', primaries: 'bt709' },
};
const RATE = { num: 30_000, den: 1001 };

function clip(
  index: number,
  frames: number,
  cuts: number[] = [],
  motion = 10 * index,
): ClipAnalysis {
  const steps = Math.ceil((frames * 2 * RATE.den) / RATE.num);
  const flat = (value: number): number[] => Array.from({ length: steps }, () => value);
  return {
    version: 1,
    name: `clip-${index}.mp4`,
    rate: RATE,
    frames,
    picture: PICTURE,
    stream: 0,
    timeBase: { num: 1, den: 25 },
    startFrames: 0,
    hasSound: true,
    cuts,
    motion: flat(motion),
    brightness: flat(110),
    contrast: flat(40),
    sharpness: flat(5),
    loudness: flat(-20),
  };
}

const CLIPS = [
  clip(0, 400, [150, 290]),
  clip(1, 900),
  clip(2, 260, [100]),
  clip(3, 1200, [300, 600, 900]),
  clip(4, 500),
];

function music(bpm: number, seconds = 60): MusicAnalysis {
  const step = 60 / bpm;
  return {
    version: 1,
    name: 'song.mp3',
    seconds,
    tempoBpm: bpm,
    confidence: 0.8,
    beats: Array.from({ length: Math.floor((seconds - 0.2) / step) }, (_, i) => 0.2 + i * step),
    downbeat: 1,
    energy: Array.from({ length: seconds * 2 }, (_, i) => (i % 40) / 39),
  };
}

function placing(style: string, over: Partial<Placing> = {}): Placing {
  return {
    style: MONTAGE_STYLES.get(style)!,
    music: music(118),
    musicFromMs: 0,
    rate: RATE,
    frames: 1500,
    seed: 1,
    longestScene: longestScene(CLIPS),
    ...over,
  };
}

function shotsFor(wanted: Placing, clips = CLIPS): Shot[] {
  const shots = chooseShots(clips, placeCuts(wanted), wanted.seed);
  if (shots === undefined) throw new Error('nothing was chosen');
  return shots;
}

describe.each([...MONTAGE_STYLES.keys()])('%s', (style) => {
  test.each([0, 1])('fills the film with what the clips have (seed %i)', (seed) => {
    for (const frames of [743, 61, 30]) {
      const shots = shotsFor(placing(style, { seed, frames }));
      expect(faultOfShots({ shots, clips: CLIPS, frames })).toBeUndefined();
    }
  });

  test('cuts on beats, and lets transitions have their middle there', () => {
    const wanted = placing(style);
    const { beats } = wanted.music;
    const shots = shotsFor(wanted);
    const starts = shotStarts({ shots });
    for (const [index, { transitionFrames }] of shots.entries()) {
      if (index === 0) continue;
      const middle = starts[index]! + Math.floor(transitionFrames / 2);
      const nearest = Math.min(
        ...beats.map((at) => Math.abs(Math.round((at * RATE.num) / RATE.den) - middle)),
      );
      expect(nearest).toBe(0);
    }
    expect(shots.length).toBeGreaterThan(3);
  });

  test('never shows a change of scene', () => {
    const shots = shotsFor(placing(style));
    for (const [index, shot] of shots.entries()) {
      const until = shot.from + clipFramesOf(shot, materialFrames(shots, index));
      const inside = CLIPS[shot.clip]!.cuts.filter((at) => at > shot.from && at < until);
      expect(inside).toEqual([]);
    }
  });

  test('the same seed makes the same list, another one another', () => {
    const once = JSON.stringify(shotsFor(placing(style, { seed: 5 })));
    expect(JSON.stringify(shotsFor(placing(style, { seed: 5 })))).toBe(once);
    expect(JSON.stringify(shotsFor(placing(style, { seed: 6 })))).not.toBe(once);
  });
});

test('no stretch comes again before all are used, and no clip twice in a row', () => {
  const shots = shotsFor(placing('energetic', { frames: 900 }));
  const stretches = shots.map((shot, index) => ({
    ...shot,
    until: shot.from + clipFramesOf(shot, materialFrames(shots, index)),
  }));
  for (const [i, a] of stretches.entries()) {
    for (const b of stretches.slice(i + 1)) {
      expect(a.clip === b.clip && a.from < b.until && b.from < a.until).toBe(false);
    }
    expect(stretches[i + 1]?.clip).not.toBe(a.clip);
  }
  const uses = CLIPS.map((_, clip) => shots.filter((shot) => shot.clip === clip).length);
  expect(Math.max(...uses) - Math.min(...uses)).toBeLessThanOrEqual(1);
});

test('one short clip is shown again, but the film is as long as it should be', () => {
  const short = [clip(0, 60)];
  const wanted = placing('calm', { frames: 600, longestScene: longestScene(short) });
  const shots = shotsFor(wanted, short);
  expect(faultOfShots({ shots, clips: short, frames: 600 })).toBeUndefined();
});

test('clips whose scenes are shorter than a beat are cut off the beat rather than not at all', () => {
  const scraps = [clip(0, 40, [10, 20, 30]), clip(1, 24, [12])];
  const wanted = placing('documentary', { frames: 100, longestScene: longestScene(scraps) });
  const shots = shotsFor(wanted, scraps);
  expect(faultOfShots({ shots, clips: scraps, frames: 100 })).toBeUndefined();
});

test('where the music is loud, shots are shorter and show what moves more', () => {
  const loud = { ...music(120), energy: Array.from({ length: 120 }, (_, i) => (i < 30 ? 0 : 1)) };
  const style = { ...MONTAGE_STYLES.get('energetic')!, curveShare: 0 };
  const clips = [0, 1, 2, 3, 4, 5].map((index) => clip(index, 2000));
  const wanted = placing('energetic', { style, music: loud, frames: 900, longestScene: 2000 });
  const shots = shotsFor(wanted, clips);
  const starts = shotStarts({ shots });
  const quiet = shots.filter((_, index) => starts[index]! < 420);
  const busy = shots.filter((_, index) => starts[index]! > 460);
  const mean = (of: readonly number[]): number => of.reduce((a, b) => a + b, 0) / of.length;
  expect(mean(busy.map(({ frames }) => frames))).toBeLessThan(
    mean(quiet.map(({ frames }) => frames)) / 1.5,
  );
  expect(quiet[0]!.clip).toBeLessThan(busy[0]!.clip);
});

test('music that begins later is counted from there', () => {
  const wanted = placing('documentary', { musicFromMs: 10_000, frames: 600 });
  const beats = wanted.music.beats.map((at) => Math.round(((at - 10) * RATE.num) / RATE.den));
  for (const { start, transitionFrames } of placeCuts(wanted).slice(1)) {
    expect(beats).toContain(start + Math.floor(transitionFrames / 2));
  }
});
