/**
 * The styles of a montage, as data: how long shots are at which energy, how one becomes the next, the energy
 * that is wanted over the film, and what is done to colours. What they mean is said in `task_montage.proto`.
 */
import type { MontageGrade, MontageStyle } from '../domain/montage-tasks.ts';

const PLAIN: MontageGrade = {
  contrast: 1,
  brightness: 0,
  saturation: 1,
  gamma: 1,
  kelvin: 6500,
  lift: 0,
  vignette: 0,
  grain: 0,
};

const cut = (weight: number) => ({ transition: 'cut', weight, beatPercent: 0 });
const blend = (transition: string, weight: number, beatPercent: number) => ({
  transition,
  weight,
  beatPercent,
});
const rhythm = (
  fromEnergy: number,
  beats: readonly number[],
  speedPercents: readonly number[] = [],
) => ({ fromEnergy, beats, speedPercents });

const STYLES: readonly MontageStyle[] = [
  {
    name: 'calm',
    rhythms: [rhythm(0, [8, 6, 8]), rhythm(0.6, [4, 6])],
    blends: [blend('dissolve', 3, 100), cut(1)],
    energyCurve: [0.2, 0.3, 0.4, 0.35, 0.2],
    curveShare: 0.5,
    grade: { ...PLAIN, contrast: 0.96, saturation: 0.92, kelvin: 6000, lift: 0.02 },
    fadeOutSeconds: 2,
  },
  {
    name: 'cinematic',
    rhythms: [rhythm(0, [8, 4, 8]), rhythm(0.4, [4, 4, 2, 4]), rhythm(0.75, [2, 2, 4])],
    blends: [cut(6), blend('dissolve', 2, 75), blend('dip-black', 1, 100)],
    energyCurve: [0.2, 0.35, 0.5, 0.8, 1, 0.3],
    curveShare: 0.6,
    grade: { ...PLAIN, contrast: 1.1, saturation: 0.88, gamma: 0.95, kelvin: 5800, vignette: 0.35 },
    fadeOutSeconds: 1.5,
  },
  {
    name: 'documentary',
    rhythms: [rhythm(0, [8, 12, 8]), rhythm(0.5, [8, 6, 4])],
    blends: [cut(9), blend('dissolve', 1, 50)],
    energyCurve: [0.4, 0.5, 0.5, 0.6, 0.4],
    curveShare: 0.3,
    grade: PLAIN,
    fadeOutSeconds: 1,
  },
  {
    name: 'energetic',
    rhythms: [rhythm(0, [4, 2, 4]), rhythm(0.4, [2, 2, 1, 1]), rhythm(0.75, [1, 1, 2, 1])],
    blends: [cut(8), blend('whip', 2, 40), blend('zoom', 1, 40)],
    energyCurve: [0.6, 0.8, 0.6, 1, 1],
    curveShare: 0.4,
    grade: { ...PLAIN, contrast: 1.12, saturation: 1.25 },
    fadeOutSeconds: 0,
  },
  {
    name: 'dreamy',
    rhythms: [rhythm(0, [8, 4], [50]), rhythm(0.5, [4, 4], [50, 100])],
    blends: [blend('dissolve', 4, 150), blend('dip-white', 1, 150)],
    energyCurve: [0.1, 0.3, 0.4, 0.3, 0.1],
    curveShare: 0.6,
    grade: {
      ...PLAIN,
      contrast: 0.9,
      brightness: 0.03,
      saturation: 0.85,
      kelvin: 7200,
      lift: 0.05,
    },
    fadeOutSeconds: 2,
  },
  {
    name: 'travel',
    rhythms: [rhythm(0, [4, 4, 8]), rhythm(0.4, [4, 2, 2]), rhythm(0.8, [1, 1, 2])],
    blends: [cut(6), blend('whip', 2, 50), blend('dissolve', 2, 50)],
    energyCurve: [0.4, 0.6, 0.5, 0.8, 0.9, 0.5],
    curveShare: 0.4,
    grade: { ...PLAIN, contrast: 1.05, saturation: 1.18, kelvin: 5600 },
    fadeOutSeconds: 1.5,
  },
  {
    name: 'action',
    rhythms: [
      rhythm(0, [2, 2, 4], [100, 50]),
      rhythm(0.35, [1, 1, 2]),
      rhythm(0.8, [1], [100, 200]),
    ],
    blends: [cut(10), blend('dip-white', 1, 25), blend('zoom', 1, 25)],
    energyCurve: [0.7, 0.5, 0.9, 0.7, 1, 1],
    curveShare: 0.5,
    grade: { ...PLAIN, contrast: 1.2, saturation: 0.9, gamma: 0.92, kelvin: 7000, vignette: 0.2 },
    fadeOutSeconds: 0,
  },
  {
    name: 'vintage',
    rhythms: [rhythm(0, [4, 8, 4]), rhythm(0.6, [4, 2])],
    blends: [cut(3), blend('dissolve', 1, 75), blend('dip-black', 1, 75)],
    energyCurve: [0.4, 0.5, 0.6, 0.5, 0.3],
    curveShare: 0.4,
    grade: {
      ...PLAIN,
      contrast: 0.92,
      saturation: 0.6,
      kelvin: 4800,
      lift: 0.06,
      vignette: 0.5,
      grain: 12,
    },
    fadeOutSeconds: 2,
  },
  {
    name: 'noir',
    rhythms: [rhythm(0, [8, 4]), rhythm(0.5, [4, 4, 2])],
    blends: [cut(5), blend('dip-black', 2, 100)],
    energyCurve: [0.3, 0.4, 0.6, 0.8, 0.4],
    curveShare: 0.5,
    grade: { ...PLAIN, contrast: 1.3, saturation: 0, gamma: 0.9, vignette: 0.5, grain: 8 },
    fadeOutSeconds: 2,
  },
];

export const MONTAGE_STYLES: ReadonlyMap<string, MontageStyle> = new Map(
  STYLES.map((style) => [style.name, style]),
);
