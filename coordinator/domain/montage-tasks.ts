/** Tasks of which a montage is made, with the shape of furrow.v1's messages, as `task.ts` says. */
import type { ModelUse } from './model.ts';

export interface FrameRate {
  /** Frames … */
  readonly num: number;
  /** … in so many seconds. */
  readonly den: number;
}

export interface MontageGrade {
  /** 1 leaves it. */
  readonly contrast: number;
  /** Added, of the whole range. */
  readonly brightness: number;
  /** 1 leaves it, 0 is black and white. */
  readonly saturation: number;
  /** 1 leaves it. */
  readonly gamma: number;
  /** 6500 leaves it, less is warmer. */
  readonly kelvin: number;
  /** Black is lifted to this share of white. */
  readonly lift: number;
  /** Darker corners, 0 to 1. */
  readonly vignette: number;
  /** Film grain, 0 to 30. */
  readonly grain: number;
}

export interface MontageRhythm {
  /** 0 to 1. */
  readonly fromEnergy: number;
  /** Lengths of shots in beats, taken in turn. */
  readonly beats: readonly number[];
  /** Speeds of shots, taken in turn; none for 100. */
  readonly speedPercents: readonly number[];
}

export interface MontageBlend {
  /** `cut`, `dissolve`, `dip-black`, `dip-white`, `whip` or `zoom`. */
  readonly transition: string;
  readonly weight: number;
  /** Length in hundredths of a beat. */
  readonly beatPercent: number;
}

export interface MontageStyle {
  readonly name: string;
  /** By rising energy; the first begins at 0. */
  readonly rhythms: readonly MontageRhythm[];
  readonly blends: readonly MontageBlend[];
  /** Wanted energy from the film's start to its end, 0 to 1. */
  readonly energyCurve: readonly number[];
  /** How much it counts against the music's own, 0 to 1. */
  readonly curveShare: number;
  readonly grade: MontageGrade | undefined;
  readonly fadeOutSeconds: number;
}

export interface MontageFilm {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly rate: FrameRate | undefined;
  readonly encoder: string;
  readonly crf: number;
  readonly preset: string;
  readonly threads: number;
  /** `crop`, `pad`, or empty. */
  readonly fit: string;
  readonly stabilize: boolean;
  readonly enhance: boolean;
  readonly grade?: MontageGrade | undefined;
  readonly fadeOutSeconds: number;
  /** 0 to 1. */
  readonly clipSound: number;
  /** Clips that are smaller than the film go through a model. */
  readonly upscale: boolean;
}

export type MontageTaskKind =
  | {
      readonly $case: 'analyzeClip';
      readonly value: {
        readonly clip: string;
        readonly index: number;
        readonly rate: FrameRate | undefined;
      };
    }
  | { readonly $case: 'analyzeMusic'; readonly value: { readonly music: string } }
  | {
      readonly $case: 'planCuts';
      readonly value: {
        readonly film: MontageFilm | undefined;
        readonly clips: readonly string[];
        readonly style?: MontageStyle | undefined;
        readonly seed: number;
        readonly lengthMs: number;
        readonly musicFromMs: number;
        readonly list: string;
      };
    }
  | {
      readonly $case: 'takePieces';
      readonly value: { readonly clip: string; readonly index: number; readonly sound: boolean };
    }
  | { readonly $case: 'renderShot'; readonly value: { readonly film: MontageFilm | undefined } }
  | {
      readonly $case: 'enlargeShot';
      readonly value: {
        readonly film: MontageFilm | undefined;
        readonly use: ModelUse | undefined;
      };
    }
  | {
      readonly $case: 'makeProxy';
      readonly value: {
        readonly clip: string;
        readonly index: number;
        readonly rate: FrameRate | undefined;
      };
    }
  | {
      readonly $case: 'joinMontage';
      readonly value: { readonly film: MontageFilm | undefined; readonly music: string };
    }
  | { readonly $case: 'proveMontage'; readonly value: { readonly film: MontageFilm | undefined } };

/** Files in the unit's directory that a task names. */
export function montageNamesIn({ $case, value }: MontageTaskKind): readonly string[] {
  switch ($case) {
    case 'analyzeClip':
    case 'takePieces':
    case 'makeProxy':
      return [value.clip];
    case 'analyzeMusic':
      return [value.music];
    case 'planCuts':
      return [value.film?.name ?? '', ...value.clips, ...(value.list === '' ? [] : [value.list])];
    case 'renderShot':
    case 'proveMontage':
      return [value.film?.name ?? ''];
    case 'enlargeShot':
      return [
        value.film?.name ?? '',
        ...(value.use?.model === undefined ? [] : [value.use.model.file]),
      ];
    case 'joinMontage':
      return [value.film?.name ?? '', value.music];
  }
}
