/** The form of a film that is joined of unlike clips, and what each clip becomes in it: pure arithmetic. */

export interface FilmForm {
  /** Pixels; even. */
  readonly width: number;
  readonly height: number;
  /** Frames a second, as a fraction. */
  readonly rateNum: number;
  readonly rateDen: number;
  /** Samples a second; 0 where no clip has sound. */
  readonly sampleRate: number;
  /** 0 where no clip has sound. */
  readonly channels: number;
}

export interface ClipPlace {
  /** In the film. */
  readonly firstFrame: number;
  readonly frames: number;
  /** Samples of sound: as long as the frames, so that nothing adds up from clip to clip. */
  readonly samples: number;
}

/** A clip's picture in the film's: as large as fits, in the middle, its shape kept. */
export interface Letterbox {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
}

const USUAL_RATES: readonly (readonly [number, number])[] = [
  [24_000, 1001],
  [24, 1],
  [25, 1],
  [30_000, 1001],
  [30, 1],
  [50, 1],
  [60_000, 1001],
  [60, 1],
];
const MAX_RATE = 240;

/** The rate of a clip as a film's: one whose frames come unevenly plays at the usual rate that is nearest. */
export function steadyRate(frameRate: string): readonly [number, number] {
  const [num = 25, den = 1] = frameRate.split('/').map(Number);
  const rate = num / den;
  const off = ([n, d]: readonly [number, number]): number => Math.abs(n / d / rate - 1);
  const exact = USUAL_RATES.find((usual) => off(usual) < 1e-6);
  if (exact !== undefined) return exact;
  const near = USUAL_RATES.toSorted((a, b) => off(a) - off(b))[0]!;
  if (off(near) < 0.015) return near;
  if (rate > MAX_RATE) return [MAX_RATE, 1];
  if (rate < 1) return [1, 1];
  return den <= 1001 && num <= 240_000 ? [num, den] : [Math.round(rate * 1000), 1000];
}

/** Ticks of 1/den in which each frame lasts a whole number. */
export function frameTicks({ rateNum, rateDen }: Pick<FilmForm, 'rateNum' | 'rateDen'>): {
  readonly den: number;
  readonly step: number;
} {
  const times = Math.max(1, Math.ceil(10_000 / rateNum));
  return { den: rateNum * times, step: rateDen * times };
}

/** Each clip as long as it is, to the nearest frame, and at least one frame. */
export function clipPlaces(durationsSeconds: readonly number[], form: FilmForm): ClipPlace[] {
  const { rateNum, rateDen, sampleRate } = form;
  const sampleAt = (frame: number): number => Math.round((frame * rateDen * sampleRate) / rateNum);
  let firstFrame = 0;
  return durationsSeconds.map((seconds) => {
    const frames = Math.max(1, Math.round((seconds * rateNum) / rateDen));
    const place = {
      firstFrame,
      frames,
      samples: sampleAt(firstFrame + frames) - sampleAt(firstFrame),
    };
    firstFrame += frames;
    return place;
  });
}

export function letterbox(
  clip: { readonly width: number; readonly height: number },
  form: Pick<FilmForm, 'width' | 'height'>,
): Letterbox {
  const scale = Math.min(form.width / clip.width, form.height / clip.height);
  const even = (side: number, most: number): number =>
    Math.min(most, Math.max(2, Math.round((side * scale) / 2) * 2));
  const width = even(clip.width, form.width);
  const height = even(clip.height, form.height);
  // Even as well: colours are stored for two pixels at once.
  const half = (rest: number): number => Math.floor(rest / 4) * 2;
  return { width, height, left: half(form.width - width), top: half(form.height - height) };
}
